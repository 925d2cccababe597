import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { toByteString, writeCommand } from "@etcd2/store";
import { AuthStore } from "../../src/auth/auth-store.ts";
import { AUTH_DOCUMENTS_MAX } from "../../src/ports/limits.ts";
import { RawConnection, type RawResponse } from "@etcd2/test-support/traces";
import { startFakeServer, type RunningFake } from "../fake-server.ts";

const ROOT = "root:rootpw";

let running: RunningFake;
let connection: RawConnection;
before(async () => {
  running = await startFakeServer();
  connection = await RawConnection.open(running.baseUrl);
});
after(async () => {
  connection.close();
  await running.close();
});

/** One request; `credentials` is "user:password", `body` a form for keys and JSON elsewhere. */
function call(
  method: string,
  target: string,
  credentials?: string,
  body?: string,
): Promise<RawResponse> {
  const headers: Record<string, string> = { "Content-Type": "application/x-www-form-urlencoded" };
  if (credentials !== undefined) {
    headers["Authorization"] = `Basic ${Buffer.from(credentials, "latin1").toString("base64")}`;
  }
  return connection.exchange({ method, target, headers, body: body ?? "" });
}

async function status(method: string, target: string, credentials?: string): Promise<number> {
  return (await call(method, target, credentials, "value=1")).status;
}

/** Puts a user or role as root. */
async function administer(kind: "users" | "roles", name: string, more: object): Promise<void> {
  const field = kind === "users" ? "user" : "role";
  const document = toByteString(JSON.stringify({ [field]: name, ...more }));
  const response = await call("PUT", `/v2/auth/${kind}/${name}`, ROOT, document);
  assert.ok(response.status < 300, response.body);
}

function rawWrite(path: string, value: string): void {
  running.server.apply(writeCommand({ action: "set", path, value }));
}

test("auth takes effect with the next request, and so does everything that changes it", async () => {
  await administer("users", "root", { password: "rootpw" });
  assert.equal((await call("PUT", "/v2/auth/enable")).status, 200);
  assert.equal(await status("PUT", "/v2/keys/a"), 201, "the guest role allows everything at first");
  const revoke = { kv: { read: ["/*"], write: ["/*"] } };
  await administer("roles", "guest", { revoke });
  assert.equal(await status("GET", "/v2/keys/a"), 401);
  assert.equal(await status("GET", "/v2/keys/a", ROOT), 200);
});

test("credentials are forgotten when the password changes or the user goes", async () => {
  await administer("roles", "reader", { permissions: { kv: { read: ["/a"], write: [] } } });
  await administer("users", "ann", { password: "old", roles: ["reader"] });
  for (let i = 0; i < 3; i++) assert.equal(await status("GET", "/v2/keys/a", "ann:old"), 200);
  assert.equal(await status("PUT", "/v2/keys/a", "ann:old"), 401);
  await administer("users", "ann", { password: "new" });
  assert.equal(await status("GET", "/v2/keys/a", "ann:old"), 401);
  assert.equal(await status("GET", "/v2/keys/a", "ann:new"), 200);
  await administer("users", "ann", { revoke: ["reader"] });
  assert.equal(await status("GET", "/v2/keys/a", "ann:new"), 401);
  await administer("users", "ann", { grant: ["reader"] });
  assert.equal(await status("GET", "/v2/keys/a", "ann:new"), 200);
  await call("DELETE", "/v2/auth/roles/reader", ROOT);
  assert.equal(await status("GET", "/v2/keys/a", "ann:new"), 401);
  await call("DELETE", "/v2/auth/users/ann", ROOT);
  assert.equal(await status("GET", "/v2/keys/a", "ann:new"), 401);
});

test("passwords may hold colons and any bytes", async () => {
  await administer("users", "col", { password: "a:b:\u00e9", roles: ["root"] });
  assert.equal(await status("GET", "/v2/keys/a", "col:a:b:\xc3\xa9"), 200);
  assert.equal(await status("GET", "/v2/keys/a", "col:a:b:\xe9"), 401);
  assert.equal(await status("GET", "/v2/keys/a", "col:a"), 401);
});

test("names that are no path element are unknown, and nothing aborts the connection", async () => {
  for (const name of [
    "",
    "/",
    "../roles/guest",
    ".",
    "..",
    "a/b",
    "\0",
    "\xff",
    "x".repeat(5000),
  ]) {
    assert.equal(await status("GET", "/v2/keys/a", `${name}:x`), 401, JSON.stringify(name));
    assert.equal(await status("DELETE", "/v2/members/1", `${name}:x`), 401, JSON.stringify(name));
  }
});

test("a name with a slash is unknown even where the store has such a node", async () => {
  await administer("users", "deep", { password: "pw", roles: ["root"] });
  const stored = running.server.reader.peek("/2/users/deep")?.value ?? "";
  rawWrite("/2/users/outer/deep", stored);
  assert.equal(await status("GET", "/v2/keys/a", "deep:pw"), 200);
  assert.equal(await status("GET", "/v2/keys/a", "outer/deep:pw"), 401);
  await call("DELETE", "/v2/auth/users/deep", ROOT);
});

test("a user without a password is nobody, whatever the hasher would say", async () => {
  rawWrite("/2/users/bare", '{"user":"bare","roles":["root"]}');
  const { passwords } = running.server;
  const verify = passwords.verify.bind(passwords);
  passwords.verify = () => Promise.resolve(true);
  assert.equal(await status("GET", "/v2/keys/a", "bare:x"), 401);
  passwords.verify = verify;
  await call("DELETE", "/v2/auth/users/bare", ROOT);
});

test("the first look at users tells the hasher that passwords may come", async () => {
  const { passwords } = running.server;
  let prepared = 0;
  passwords.prepare = () => prepared++;
  await status("GET", "/v2/keys/a", ROOT);
  assert.equal(prepared, 0);
  await status("GET", "/v2/auth/users/nobody", ROOT);
  assert.equal(prepared, 1);
  delete passwords.prepare;
});

test("documents of names that were asked for are kept, but not of any number of names", () => {
  const { server } = running;
  const store = new AuthStore(server);
  const { reader } = server;
  const peek = reader.peek.bind(reader);
  const peeked: string[] = [];
  reader.peek = (path) => {
    peeked.push(path);
    return peek(path);
  };
  for (let i = 0; i < AUTH_DOCUMENTS_MAX; i++) store.user(`u${String(i)}`);
  store.user("u0");
  const isFirst = (path: string): boolean => path === "/2/users/u0";
  assert.equal(peeked.filter(isFirst).length, 1);
  store.user("one-more");
  store.user("u0");
  reader.peek = peek;
  assert.equal(peeked.filter(isFirst).length, 2, "an unknown name is not kept for ever");
});

test("the first change may find the places another member has begun to make", async (t) => {
  const other = await startFakeServer();
  t.after(() => other.close());
  other.server.apply(writeCommand({ action: "create", path: "/2", dir: true }));
  other.server.apply(writeCommand({ action: "create", path: "/2/users", dir: true }));
  const client = await RawConnection.open(other.baseUrl);
  t.after(() => {
    client.close();
  });
  const body = '{"user":"root","password":"pw"}';
  const added = await client.exchange({ method: "PUT", target: "/v2/auth/users/root", body });
  assert.equal(added.status, 201, added.body);
});

test("a user that holds a role with an empty name is shown as 404, and its other roles count", async () => {
  await administer("users", "odd", { password: "pw", roles: ["", "root"] });
  const shown = await call("GET", "/v2/auth/users/odd", ROOT);
  assert.equal(shown.status, 404);
  assert.equal(shown.body, '{"message":"auth: Role  does not exist."}');
  assert.equal(await status("GET", "/v2/keys/a", "odd:pw"), 200);
});

test("an empty pattern matches nothing", async () => {
  await administer("roles", "empty", { permissions: { kv: { read: ["", "/a"], write: [""] } } });
  await administer("users", "emp", { password: "pw", roles: ["empty"] });
  assert.equal(await status("GET", "/v2/keys/a", "emp:pw"), 200);
  assert.equal(await status("GET", "/v2/keys", "emp:pw"), 401);
  assert.equal(await status("PUT", "/v2/keys/a", "emp:pw"), 401);
});

test("damaged documents let nobody in and stop nobody else", async () => {
  rawWrite("/2/users/broken", "{");
  rawWrite("/2/roles/broken", '{"role":5}');
  assert.equal(await status("GET", "/v2/keys/a", "broken:"), 401);
  await administer("users", "both", { password: "pw", roles: ["broken", "root"] });
  assert.equal(await status("GET", "/v2/keys/a", "both:pw"), 200);
  const response = await call("GET", "/v2/auth/users/broken", ROOT);
  assert.equal(response.status, 500);
  assert.equal(response.body, '{"message":"Internal Server Error"}');
  await call("DELETE", "/v2/auth/users/broken", ROOT);
  await call("DELETE", "/v2/auth/roles/broken", ROOT);
});

test("a watch is judged like a read, before it starts", async () => {
  const before = running.server.hub.watchers;
  assert.equal(await status("GET", "/v2/keys/a?wait=true", "nobody:x"), 401);
  assert.equal(running.server.hub.watchers, before);
});

test("a client that leaves while its password is checked leaves no watch behind", async () => {
  await administer("users", "late", { password: "pw", roles: ["root"] });
  let release = (): void => undefined;
  const { passwords } = running.server;
  const verify = passwords.verify.bind(passwords);
  const asked = new Promise<void>((resolve) => {
    passwords.verify = async (password, hash) => {
      resolve();
      await new Promise<void>((go) => (release = go));
      return verify(password, hash);
    };
  });
  const leaving = await RawConnection.open(running.baseUrl);
  leaving.send({
    method: "GET",
    target: "/v2/keys/a?wait=true",
    headers: { Authorization: `Basic ${Buffer.from("late:pw").toString("base64")}` },
  });
  await asked;
  leaving.close();
  // The server has noticed once a later connection is served.
  const other = await RawConnection.open(running.baseUrl);
  for (let i = 0; i < 3; i++) await other.exchange({ method: "GET", target: "/version" });
  other.close();
  passwords.verify = verify;
  release();
  assert.equal(await status("GET", "/v2/keys/a", "late:pw"), 200);
  assert.equal(running.server.hub.watchers, 0);
});

test("without a quorum a change of auth is a server error, and access checks go on", async () => {
  running.server.membership.started = 0;
  const change = await call("PUT", "/v2/auth/users/x", ROOT, '{"user":"x","password":"y"}');
  running.server.membership.started = 1;
  assert.equal(change.status, 500);
  assert.equal(change.body, '{"message":"Internal Server Error"}');
  assert.equal(await status("GET", "/v2/keys/a", ROOT), 200);
});

test("with auth off credentials are ignored", async () => {
  assert.equal((await call("DELETE", "/v2/auth/enable", ROOT)).status, 200);
  assert.equal(await status("GET", "/v2/keys/a", "nobody:x"), 200);
  assert.equal((await call("GET", "/v2/auth/users", "nobody:x")).status, 200);
});

test("a record of whether auth is on that cannot be read keeps the door shut, until root says", async () => {
  for (const damaged of ["tru\u0000", "", "TRUE", "fals", "{}"]) {
    rawWrite("/2/enabled", damaged);
    assert.equal(await status("GET", "/v2/keys/a"), 401, JSON.stringify(damaged));
    assert.equal(await status("GET", "/v2/auth/users"), 401, JSON.stringify(damaged));
    assert.equal(await status("GET", "/v2/keys/a", ROOT), 200, JSON.stringify(damaged));
  }
  assert.ok(running.server.logLines.some((line) => line.includes("is damaged")));
  assert.equal(await status("DELETE", "/v2/auth/enable", ROOT), 200);
  assert.equal(await status("GET", "/v2/keys/a"), 200);
  assert.equal(await status("PUT", "/v2/auth/enable", ROOT), 200);
});

test("users without a record of whether auth is on keep the door shut, until root says", async () => {
  running.server.apply(writeCommand({ action: "delete", path: "/2/enabled" }));
  assert.equal(await status("GET", "/v2/keys/a"), 401);
  assert.equal(await status("GET", "/v2/keys/a", ROOT), 200);
  assert.equal(await status("DELETE", "/v2/auth/enable", ROOT), 200);
  assert.equal(await status("GET", "/v2/keys/a"), 200);
  assert.equal(await status("PUT", "/v2/auth/enable", ROOT), 200);
});

test("a document that is about somebody else makes nobody root", async () => {
  const everything = '{"kv":{"read":["/*"],"write":["/*"]}}';
  await administer("roles", "narrow", { permissions: { kv: { read: ["/none"], write: [] } } });
  await administer("users", "eve", { password: "pw", roles: ["narrow"] });
  rawWrite("/2/roles/narrow", `{"role":"root","permissions":${everything}}`);
  assert.equal(await status("GET", "/v2/keys/a", "eve:pw"), 401);
  const { value } = running.server.reader.peek("/2/users/root") ?? {};
  rawWrite("/2/users/eve", value ?? "");
  assert.equal(await status("GET", "/v2/keys/a", "eve:rootpw"), 401);
  assert.equal(await status("GET", "/v2/auth/users/root", "eve:rootpw"), 401);
});
