/**
 * Random requests to the auth API and, with and without credentials, to a few keys: users and
 * roles that meet, documents right and wrong, auth on and off.
 */
import type { SeededRandom } from "@etcd2/test-support";
import type { RawRequest } from "@etcd2/test-support/traces";

const USERS = ["root", "ann", "ben", "guest", "_eve"];
const ROLES = ["root", "guest", "r1", "r2", "_r3", "none"];
const PATTERNS = ["/a", "/a/*", "/*", "*", "/a*", "/b/", "/a/b", "/_h", "a", "/*/b"];
const KEYS = [
  "/a",
  "/a/",
  "/a/b",
  "/ab",
  "/b",
  "/b/",
  "/b/c",
  "/_h",
  "/_h/x",
  "/",
  "",
  "/*",
  "/a/*",
];
const PASSWORDS = ["p", "q:r", "é"];
const ODD_BODIES = [
  "",
  "{",
  "{}",
  "[]",
  "null",
  '"x"',
  "1",
  "{} x",
  '{"user":1}',
  '{"user":null,"role":null}',
  '{"role":"r1","permissions":[]}',
  '{"role":"r1","permissions":{"kv":{"read":"x"}}}',
  '{"role":"r1","permissions":{"kv":null}}',
  '{"role":"r1","grant":{"kv":{}}}',
  '{"user":"ann","roles":"r1"}',
  '{"user":"ann","grant":[1]}',
  '{"USER":"ann","PassWord":"p"}',
  '{"user":"ann","user":"ben","password":"p"}',
  '{"user":"ann","password":"p","roles":[]}',
  '{"user":"ann","password":"p","roles":null}',
  '{"user":"ann","roles":["r1",null]}',
  '{"user":"ann","password":"p"}{"user":"x"}',
  '\ufeff{"user":"ann"}',
  '{"user":"ann","password":"\\u0070","extra":{"a":[1,2]}}',
  '{"role":"r2","permissions":{"kv":{"read":["/b"],"write":null}}}',
  '{"role":"r1","Permissions":{"KV":{"Read":["/a"]}}}',
];

export function randomAuthRequest(random: SeededRandom): RawRequest {
  const roll = random.below(100);
  const request = roll < 45 ? randomAccess(random) : randomAdministration(random);
  const credentials = randomCredentials(random);
  const headers = { ...request.headers, ...(credentials && { Authorization: credentials }) };
  return { ...request, headers };
}

function randomAccess(random: SeededRandom): RawRequest {
  const method = random.pick(["GET", "PUT", "DELETE", "POST", "HEAD"]);
  const query = random.chance(0.3) ? "?recursive=true" : random.chance(0.05) ? "?ttl=x" : "";
  const target = `/v2/keys${random.pick(KEYS)}${query}${query === "" ? "?" : "&"}sorted=true`;
  if (random.chance(0.1)) {
    const other = random.pick([
      "/v2/members",
      "/v2/members/xyz",
      "/v2/stats/store",
      "/v2/machines",
    ]);
    return { method: random.pick(["PUT", "POST", "DELETE", "PATCH"]), target: other, body: "" };
  }
  return method === "PUT" || method === "POST" ? { method, target, body: "" } : { method, target };
}

function randomAdministration(random: SeededRandom): RawRequest {
  const method = random.pick(["GET", "PUT", "PUT", "PUT", "PUT", "DELETE"]);
  const kind = random.below(100);
  if (kind < 18) return { method, target: "/v2/auth/enable", body: "" };
  if (kind < 24)
    return {
      method: random.pick(["GET", "GET", "PUT"]),
      target: random.pick([
        "/v2/auth/users",
        "/v2/auth/roles",
        "/v2/auth/users/",
        "/v2/auth/roles/",
        "/v2/auth/users/a/b",
      ]),
      body: "",
    };
  const isUser = kind < 65;
  const name = random.pick(isUser ? USERS : ROLES);
  const target = `/v2/auth/${isUser ? "users" : "roles"}/${name}${random.chance(0.03) ? "/" : ""}`;
  if (method !== "PUT") return { method, target };
  if (random.chance(0.12))
    return { method, target, body: Buffer.from(random.pick(ODD_BODIES)).toString("latin1") };
  const shown = random.chance(0.95) ? name : "other";
  const document = isUser ? randomUser(random, shown) : randomRole(random, shown);
  return { method, target, body: Buffer.from(JSON.stringify(document)).toString("latin1") };
}

function some<T>(random: SeededRandom, choices: readonly T[]): T[] {
  return Array.from({ length: random.below(3) }, () => random.pick(choices));
}

function randomUser(random: SeededRandom, user: string): object {
  return {
    user,
    ...(random.chance(0.75) && { password: random.chance(0.9) ? random.pick(PASSWORDS) : "" }),
    ...(random.chance(0.25) && { roles: some(random, ROLES) }),
    ...(random.chance(0.3) && { grant: some(random, ROLES) }),
    ...(random.chance(0.25) && { revoke: some(random, ROLES) }),
  };
}

function randomRole(random: SeededRandom, role: string): object {
  const permissions = (): object => ({
    kv: {
      ...(random.chance(0.8) && { read: some(random, PATTERNS) }),
      ...(random.chance(0.8) && { write: some(random, PATTERNS) }),
    },
  });
  return {
    role,
    ...(random.chance(0.5) && { permissions: permissions() }),
    ...(random.chance(0.35) && { grant: permissions() }),
    ...(random.chance(0.35) && { revoke: permissions() }),
  };
}

function randomCredentials(random: SeededRandom): string | undefined {
  if (random.chance(0.35)) return undefined;
  if (random.chance(0.06)) {
    return random.pick([
      "Basic",
      "Basic ",
      "basic !",
      "Bearer x",
      "Basic cm9vdA==",
      "Basic  cm9vdDpw",
      "Basic cm9vdDpw ",
      "Basic cm9vdDpwCg==",
      "Basic cm9vdDpw=",
      "Basic cm9v\tdDpw",
      "BASIC cm9vdDpw",
    ]);
  }
  const user = random.chance(0.5) ? "root" : random.pick(USERS);
  const word = `${user}:${random.chance(0.85) ? "p" : random.pick(PASSWORDS)}`;
  return `${random.pick(["Basic", "basic", "BASIC"])} ${Buffer.from(word).toString("base64")}`;
}
