/** What pages in browsers may do: origins of writes, and names that requests are addressed to. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { RawConnection, type RawResponse } from "@etcd2/test-support/traces";
import { startFakeServer, type FakeOptions, type RunningFake } from "../fake-server.ts";

const running: RunningFake[] = [];
after(async () => {
  for (const each of running) await each.close();
});

async function start(options: FakeOptions = {}): Promise<RunningFake> {
  const fake = await startFakeServer(options);
  running.push(fake);
  return fake;
}

type Headers = Readonly<Record<string, string>>;

async function ask(
  { baseUrl }: RunningFake,
  request: string,
  headers: Headers = {},
  body?: string,
): Promise<RawResponse> {
  const [method = "", target = ""] = request.split(" ");
  const connection = await RawConnection.open(baseUrl);
  const response = await connection.exchange({ method, target, headers, body }, 5000);
  connection.close();
  return response;
}

const form = { "Content-Type": "application/x-www-form-urlencoded" };

describe("a page of another origin", () => {
  const foreign = (fake: RunningFake): Headers[] => {
    const { port } = new URL(fake.baseUrl);
    return [
      { Origin: "http://evil.example" },
      { Origin: `http://localhost:${port}` },
      { Origin: `https://127.0.0.1:${port}` },
      { Origin: "http://127.0.0.1" },
      { Origin: "null" },
      { Origin: "" },
      { Origin: "chrome-extension://abc" },
      { Origin: `${fake.baseUrl}, http://evil.example` },
      { "Sec-Fetch-Site": "cross-site" },
      { "Sec-Fetch-Site": "same-site" },
      { "Sec-Fetch-Site": "Cross-Site" },
      { "Sec-Fetch-Site": "same-origin, cross-site" },
      { "Sec-Fetch-Site": "cross-site", Origin: fake.baseUrl },
      { "Sec-Fetch-Site": "something new", Origin: "http://evil.example" },
    ];
  };

  it("changes nothing, whatever it writes to", async () => {
    const fake = await start({ pprof: true });
    const before = fake.server.raftIndex;
    const requests = [
      "PUT /v2/keys/a?value=1",
      "POST /v2/keys/a?value=1",
      "POST /v2/keys//a/../b?value=1",
      "DELETE /v2/keys/a?recursive=true",
      "POST /v2/members",
      "DELETE /v2/members/ce2a822cea30bfca",
      "POST /v2/members/ce2a822cea30bfca/move-leader",
      "PUT /v2/auth/users/root",
      "PUT /v2/auth/enable",
      "DELETE /v2/auth/enable",
      "PUT /config/local/log",
      "POST /v2/admin/snapshot",
      "POST /none",
      "PATCH /v2/keys/a",
    ];
    for (const request of requests) {
      for (const headers of foreign(fake)) {
        const refused = await ask(fake, request, { ...form, ...headers }, "value=1");
        const what = `${request} ${JSON.stringify(headers)}`;
        assert.equal(refused.status, 403, what);
        assert.equal(refused.headers.get("content-type"), "application/json");
        assert.match(refused.body, /^\{"message":"[^"]+"\}$/);
        assert.equal(refused.headers.get("access-control-allow-origin"), undefined);
      }
    }
    assert.equal(fake.server.raftIndex, before);
    assert.equal(fake.server.logLevel, "INFO");
  });

  it("does not start what costs much, and reads the rest without seeing it", async () => {
    const fake = await start({ pprof: true });
    for (const headers of foreign(fake)) {
      for (const target of ["/v2/admin/snapshot", "/%762/admin/snapshot", "/debug/pprof/profile"]) {
        assert.equal((await ask(fake, `GET ${target}`, headers)).status, 403, target);
      }
      for (const target of ["/v2/keys/", "/version", "/health", "/metrics"]) {
        const read = await ask(fake, `GET ${target}`, headers);
        assert.equal(read.status, 200, target);
        assert.equal(read.headers.get("access-control-allow-origin"), undefined);
      }
      assert.equal((await ask(fake, "OPTIONS /v2/keys/", headers)).status, 200);
    }
  });

  it("may write where --cors allows its origin, and no other may", async () => {
    const fake = await start({ cors: ["http://ui.example"] });
    const write = "PUT /v2/keys/a?value=1";
    const headers = { Origin: "http://ui.example", "Sec-Fetch-Site": "cross-site" };
    const allowed = await ask(fake, write, headers);
    assert.equal(allowed.status, 201);
    assert.equal(allowed.headers.get("access-control-allow-origin"), "http://ui.example");
    assert.equal((await ask(fake, "GET /v2/admin/snapshot", headers)).status, 200);
    for (const other of [
      { Origin: "http://ui.example:81" },
      { Origin: "https://ui.example" },
      { "Sec-Fetch-Site": "cross-site" },
    ]) {
      assert.equal((await ask(fake, write, other)).status, 403);
    }
    const any = await start({ cors: ["*"] });
    assert.equal((await ask(any, write, { Origin: "http://any.example" })).status, 201);
  });
});

it("a page of this origin, and whoever is no page, may write", async () => {
  const fake = await start({ ownNames: ["ui.example"] });
  const { host } = new URL(fake.baseUrl);
  const harmless: Headers[] = [
    {},
    { Origin: fake.baseUrl },
    { Origin: fake.baseUrl.toUpperCase(), Host: host },
    { Origin: "http://localhost", Host: "localhost:80" },
    { Origin: "http://[::1]:80", Host: "[::1]" },
    { Origin: fake.baseUrl, "Sec-Fetch-Site": "same-origin" },
    { "Sec-Fetch-Site": "none" },
    // A proxy in between took off TLS and gave the request another host.
    { Origin: "https://ui.example", "Sec-Fetch-Site": "same-origin" },
    // What runtimes of programs send of their own accord.
    { "Sec-Fetch-Mode": "cors", "Accept-Language": "*" },
    { Referer: "http://elsewhere.example/", "User-Agent": "Mozilla/5.0" },
  ];
  for (const headers of harmless) {
    const { status, body } = await ask(fake, "PUT /v2/keys/a?value=1", headers);
    assert.ok(status < 300, `${JSON.stringify(headers)}: ${body}`);
  }
});

const STRANGERS = [
  "evil.example",
  "evil.example:2379",
  "EVIL.example.:2379",
  "localhost.evil.example",
  "127.0.0.1.evil.example",
  "x--1.com",
  "a".repeat(300),
];
const OWN_NAMES = [
  "127.0.0.1",
  "127.0.0.1:1",
  "[::1]:2379",
  "[fe80::1%25eth0]:2379",
  "10.1.2.3",
  "127.1:2379",
  "2130706433",
  "0x7f.1",
  "localhost",
  "LocalHost.:2379",
  "app.localhost",
  "etcd:2379",
  "etcd.ns.svc.cluster.local",
  "db.internal",
  "own.example",
  "OWN.example:2379",
];
const BROWSERS: Headers[] = [
  { "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)" },
  { "Accept-Language": "en-GB" },
  { "Sec-Fetch-Site": "same-origin" },
  { Origin: "http://evil.example" },
  { Referer: "http://evil.example/" },
];

describe("the name a request is addressed to", () => {
  const ownNames = ["own.example"];

  it("is one of this server or its machine where only this machine can connect", async () => {
    const fake = await start({ ownNames });
    for (const host of OWN_NAMES) {
      assert.equal((await ask(fake, "GET /version", { Host: host })).status, 200, host);
    }
    for (const host of STRANGERS) {
      for (const request of ["GET /v2/keys/", "PUT /v2/keys/a?value=1", "GET /metrics", "GET /x"]) {
        const refused = await ask(fake, request, { Host: host });
        assert.equal(refused.status, 421, `${request} to ${host}`);
        assert.match(refused.body, /DNS rebinding.*--host-whitelist/);
      }
    }
    assert.equal(fake.server.reader.peek("/1/a"), undefined);
  });

  it("is that of an absolute target, where there is one", async () => {
    const fake = await start({ ownNames });
    const evil = "GET http://evil.example:2379/version";
    assert.equal((await ask(fake, evil, { Host: "localhost" })).status, 421);
    const own = "GET http://user@own.example/version";
    assert.equal((await ask(fake, own, { Host: "evil.example" })).status, 200);
  });

  it("may be any on other listeners, but not for browsers of this machine", async () => {
    const fake = await start({ ownNames, host: "0.0.0.0" });
    for (const host of [...OWN_NAMES, ...STRANGERS]) {
      const served = await ask(fake, "GET /version", { Host: host, "Accept-Language": "*" });
      assert.equal(served.status, 200, host);
    }
    for (const headers of BROWSERS) {
      const refused = await ask(fake, "GET /version", { ...headers, Host: "evil.example" });
      assert.equal(refused.status, 421, JSON.stringify(headers));
      const served = await ask(fake, "GET /version", { ...headers, Host: "own.example" });
      assert.equal(served.status, 200);
    }
  });

  it("is one of --host-whitelist, where it is given", async () => {
    const fake = await start({
      ownNames,
      hostWhitelist: ["Etcd.example", "[::1]"],
      host: "0.0.0.0",
    });
    for (const host of ["etcd.example", "ETCD.example:1", "etcd.example.", "[::1]:1", "[::1]"]) {
      assert.equal((await ask(fake, "GET /version", { Host: host })).status, 200, host);
    }
    for (const host of ["localhost", "127.0.0.1", "own.example", ...STRANGERS]) {
      assert.equal((await ask(fake, "GET /version", { Host: host })).status, 421, host);
    }
    const any = await start({ hostWhitelist: ["*"] });
    for (const host of [...OWN_NAMES, ...STRANGERS]) {
      assert.equal((await ask(any, "GET /version", { Host: host })).status, 200, host);
    }
  });

  it("need not be there at all", async () => {
    for (const options of [{}, { hostWhitelist: ["etcd.example"] }]) {
      const fake = await start(options);
      const connection = await RawConnection.open(fake.baseUrl);
      connection.write("GET /version HTTP/1.0\r\n\r\n");
      assert.equal((await connection.head(5000)).status, 200);
      connection.close();
    }
  });
});
