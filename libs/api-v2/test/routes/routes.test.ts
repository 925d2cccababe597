import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { StoreError } from "@etcd2/store";
import { RawConnection, type RawResponse } from "@etcd2/test-support/traces";
import { startFakeServer, type RunningFake } from "../fake-server.ts";

let running: RunningFake;
let connection: RawConnection;
before(async () => {
  running = await startFakeServer({
    pprof: true,
    cors: [" http://a.example ", "http://b.example"],
  });
  connection = await RawConnection.open(running.baseUrl);
});
after(async () => {
  connection.close();
  await running.close();
});

const get = (target: string, headers: Record<string, string> = {}): Promise<RawResponse> =>
  connection.exchange({ method: "GET", target, headers });

test("blanks around allowed origins do not count, and others get no headers", async () => {
  const allowed = await get("/version", { Origin: "http://a.example" });
  assert.equal(allowed.headers.get("access-control-allow-origin"), "http://a.example");
  const others = ["http://A.example", " ", "null"];
  for (const origin of others) {
    const refused = await get("/version", { Origin: origin });
    assert.equal(refused.headers.get("access-control-allow-origin"), undefined, origin);
  }
});

test("probes of orchestrators follow the health of the server", async () => {
  assert.equal((await get("/livez")).body, "ok\n");
  assert.equal((await get("/readyz?verbose")).body, "[+]leader ok\nok\n");
  running.server.membership.started = 0;
  const failed = await get("/readyz");
  assert.equal((await get("/livez")).status, 200);
  running.server.membership.started = 1;
  assert.equal(failed.status, 503);
  assert.equal(failed.body, "[-]leader failed: there is no leader\nreadyz check failed\n");
});

test("probes of etcd 3.x ask for less: this member alone, or without its alarms", async () => {
  const { server } = running;
  server.membership.started = 0;
  const local = await get("/health?serializable=true");
  const localReady = await get("/readyz?serializable=true");
  server.alarm = "no room";
  const alarmed = await get("/health?serializable=true");
  const excluded = await get("/health?exclude=NOSPACE&serializable=true");
  const leaderless = await get("/health?exclude=NOSPACE");
  server.alarm = "";
  server.membership.started = 1;
  assert.deepEqual([local.status, local.body], [200, '{"health": "true"}']);
  assert.equal(localReady.status, 200);
  assert.deepEqual(
    [alarmed.status, alarmed.body],
    [503, '{"health": "false", "reason": "no room"}\n'],
  );
  assert.deepEqual([excluded.status, excluded.body], [200, '{"health": "true"}']);
  assert.deepEqual([leaderless.status, leaderless.body], [503, '{"health": "false"}\n']);
});

test("rates that are zero or infinite are not shown", async () => {
  const { body } = await get("/v2/stats/self");
  assert.doesNotMatch(body, /Rate/);
  assert.match(body, /^\{"name":"default","id":"ce2a822cea30bfca","state":"StateLeader",/);
});

test("switching auth reads its flag three times", async () => {
  const { stats } = running.server.reader;
  await connection.exchange({
    method: "PUT",
    target: "/v2/auth/users/ann",
    body: '{"user":"ann","password":"p"}',
  });
  for (const [method, reads] of [
    ["GET", 1],
    ["DELETE", 3],
  ] as const) {
    const before = stats.getsSuccess;
    await connection.exchange({ method, target: "/v2/auth/enable" });
    assert.equal(stats.getsSuccess - before, reads, method);
  }
});

test("the log level arrives in its long form", async () => {
  const headers = { "Content-Type": "text/plain" };
  const request = { method: "PUT", target: "/config/local/log", headers, body: '{"LEVEL":"w"} x' };
  assert.equal((await connection.exchange(request)).status, 204);
  assert.equal(running.server.logLevel, "WARNING");
});

test("members that were removed, or cannot be changed, have their statuses", async () => {
  const change = (method: string, id: string): Promise<RawResponse> =>
    connection.exchange({
      method,
      target: `/v2/members/${id}`,
      headers: { "Content-Type": "application/json" },
      body: '{"peerURLs":["http://127.0.0.1:9"]}',
    });
  const { id } = JSON.parse((await change("POST", "")).body) as { id: string };
  assert.equal((await change("DELETE", id)).status, 500, "there is no quorum");
  running.server.membership.started = 2;
  assert.equal((await change("DELETE", `0${id.toUpperCase()}`)).status, 204);
  const gone = await change("DELETE", id);
  assert.equal(gone.status, 410);
  assert.equal(gone.body, `{"message":"Member permanently removed: ${id}"}`);
  const changed = await change("PUT", id);
  assert.equal(changed.status, 500);
  assert.equal(changed.body, '{"message":"Internal Server Error"}');
  running.server.membership.started = 1;
});

test("machines are sorted as text, and an empty list has no type", async () => {
  const { membership } = running.server;
  const list = membership.list.bind(membership);
  const urls = [["http://b:1", "http://a:10"], ["http://a:9"]];
  membership.list = () =>
    urls.map((clientURLs) => ({ id: "1", name: "", peerURLs: [], clientURLs, isLearner: false }));
  assert.equal((await get("/v2/machines")).body, "http://a:10, http://a:9, http://b:1");
  membership.list = () => [];
  const empty = await get("/v2/machines");
  membership.list = list;
  assert.equal(empty.headers.get("content-type"), undefined);
  assert.equal(empty.headers.get("content-length"), "0");
});

test("a failure nobody expected is a 500 and a log line", async () => {
  const { reader } = running.server;
  const read = reader.get.bind(reader);
  reader.get = () => {
    throw new Error("broken disk");
  };
  const plain = await get("/v2/keys/a");
  const quorum = await get("/v2/keys/a?quorum=true");
  reader.get = read;
  for (const response of [plain, quorum]) {
    assert.equal(response.status, 500);
    assert.equal(response.body, '{"message":"Internal Server Error"}');
  }
  assert.ok(running.server.logLines.some((line) => line.includes("broken disk")));
  assert.equal((await get("/v2/keys")).status, 200);
});

test("a fault of the store is reported, so that the member ends; other failures are not", async () => {
  const { reader, storageFailures } = running.server;
  const read = reader.get.bind(reader);
  const failWith = async (error: Error): Promise<void> => {
    reader.get = () => {
      throw error;
    };
    for (const target of ["/v2/keys/a", "/v2/keys/a?quorum=true"]) {
      assert.equal((await get(target)).status, 500);
    }
    reader.get = read;
  };
  await failWith(new Error("a defect"));
  await failWith(new StoreError("closed", "the store is closed"));
  assert.deepEqual(storageFailures, []);
  const faults = [
    new StoreError("storage", "block checksum mismatch"),
    new StoreError("corrupt", "a row ends early"),
  ];
  for (const fault of faults) await failWith(fault);
  assert.deepEqual(
    storageFailures,
    faults.flatMap((fault) => [fault, fault]),
  );
});

test("profiles are there when asked for, and bounded", async () => {
  const index = await get("/debug/pprof/");
  assert.match(index.body, /profile/);
  const profile = await get("/debug/pprof/profile?seconds=0.05");
  assert.ok(Array.isArray((JSON.parse(profile.body) as { nodes: unknown }).nodes));
  assert.equal((await get("/debug/pprof/profile?seconds=1e9")).status, 400);
  const without = await startFakeServer();
  const other = await RawConnection.open(without.baseUrl);
  assert.equal((await other.exchange({ method: "GET", target: "/debug/pprof/" })).status, 404);
  other.close();
  await without.close();
});

test("requests are counted by method and outcome", async () => {
  const { meter } = running.server;
  const counts = (): number[] => [
    meter.value("etcd_http_received_total", "QGET"),
    meter.value("etcd_http_failed_total", "QGET", "404"),
    meter.value("etcd_http_received_total", "GET"),
    meter
      .samples("etcd_http_successful_duration_second")
      .find(
        ({ labels, metricName }) => labels["method"] === "GET" && metricName?.endsWith("_count"),
      )?.value ?? 0,
    meter.value("etcd_http_failed_total", "GET", "400"),
    meter.value("etcd_debugging_store_watch_requests_total"),
  ];
  const before = counts();
  await get("/v2/keys/none?quorum=true");
  await get("/v2/keys");
  await get("/v2/keys?ttl=x");
  for (let i = 0; i < 1010; i++) {
    const body = "value=1";
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    await connection.exchange({ method: "PUT", target: "/v2/keys/c", headers, body });
  }
  await get("/v2/keys/c?wait=true&waitIndex=1");
  assert.deepEqual(
    counts().map((count, i) => count - (before[i] ?? 0)),
    [1, 1, 1, 1, 1, 1],
  );
});
