import assert from "node:assert/strict";
import { get as httpGet, type IncomingMessage } from "node:http";
import { after, before, test } from "node:test";
import { verifySnapshot } from "@etcd2/store";
import { MembershipError, type MembershipErrorCode } from "../../src/index.ts";
import { RawConnection, type RawResponse } from "@etcd2/test-support/traces";
import { startFakeServer, until, type RunningFake } from "../fake-server.ts";

const SNAPSHOT = "/v2/admin/snapshot";

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

function post(target: string): Promise<RawResponse> {
  return connection.exchange({ method: "POST", target });
}

/** The head of an answer whose body has not been read. */
function open(headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    httpGet(running.baseUrl + SNAPSHOT, { agent: false, headers }, resolve).on("error", reject);
  });
}

/** An export that is as long as its reader likes, and tells when it was given up. */
function endlessExport(): { stream: AsyncIterable<Uint8Array>; ended: () => boolean } {
  let ended = false;
  async function* frames(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        yield Buffer.alloc(64 << 10);
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      ended = true;
    }
  }
  return { stream: frames(), ended: () => ended };
}

test("a snapshot is streamed whole, in chunks, and verifies", async () => {
  for (let i = 0; i < 50; i++) {
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const body = `value=${"v".repeat(4000)}`;
    await connection.exchange({ method: "PUT", target: `/v2/keys/k${i}`, headers, body });
  }
  const message = await open();
  assert.equal(message.statusCode, 200);
  assert.equal(message.headers["transfer-encoding"], "chunked");
  const info = await verifySnapshot(message as AsyncIterable<Uint8Array>);
  assert.equal(info.raftIndex, running.server.raftIndex);
  assert.ok(info.bytes > 200_000);
  const refused = await post(SNAPSHOT);
  assert.equal(refused.status, 405);
  assert.equal(refused.headers.get("allow"), "GET");
});

test("two snapshots run at once, a third is refused, and a client that goes ends its export", async () => {
  const { server } = running;
  const original = server.exportSnapshot.bind(server);
  const exports = [endlessExport(), endlessExport()];
  const waiting = exports.map(({ stream }) => stream);
  server.exportSnapshot = () => waiting.shift() ?? original();
  const [one, two] = await Promise.all([open(), open()]);
  const third = await open();
  assert.equal(third.statusCode, 503);
  assert.match(String(await third.toArray()), /being taken already/);
  one.destroy();
  two.destroy();
  await until(() => exports.every(({ ended }) => ended()));
  server.exportSnapshot = original;
  await until(() => server.logLines.filter((line) => line.includes("cut short")).length === 2);
  const again = await open();
  assert.equal(again.statusCode, 200);
  again.resume();
  await new Promise((resolve) => again.on("end", resolve));
});

test("an export that fails cuts the connection instead of ending the answer", async () => {
  const { server } = running;
  const original = server.exportSnapshot.bind(server);
  server.exportSnapshot = async function* failing() {
    await Promise.resolve();
    yield Buffer.alloc(1000);
    throw new Error("broken disk");
  };
  const message = await open();
  server.exportSnapshot = original;
  await assert.rejects(message.toArray(), { code: "ECONNRESET" });
});

test("a member without a quorum gives the state it has", async () => {
  running.server.membership.started = 0;
  const message = await open();
  running.server.membership.started = 1;
  assert.equal(message.statusCode, 200);
  await verifySnapshot(message as AsyncIterable<Uint8Array>);
  assert.ok(running.server.logLines.some((line) => line.includes("as it stands")));
});

test("orders about members answer 204, or why not", async () => {
  const { membership } = running.server;
  const orders: string[] = [];
  membership.promote = (id) => Promise.resolve(void orders.push(`promote ${id}`));
  membership.moveLeader = (id) => Promise.resolve(void orders.push(`move-leader ${id}`));
  for (const order of ["promote", "move-leader"]) {
    const done = await post(`/v2/members/00AB/${order}`);
    assert.equal(done.status, 204);
    assert.equal(done.body, "");
  }
  assert.deepEqual(orders, ["promote ab", "move-leader ab"]);
  const refusals: [MembershipErrorCode, number, string][] = [
    ["notFound", 404, "No such member: ab"],
    ["removed", 410, "said by the server"],
    ["unsafe", 412, "said by the server"],
    ["timeout", 500, "said by the server"],
  ];
  for (const [code, status, message] of refusals) {
    membership.promote = () => Promise.reject(new MembershipError(code, "said by the server"));
    const refused = await post("/v2/members/ab/promote");
    assert.equal(refused.status, status, code);
    assert.deepEqual(JSON.parse(refused.body), { message }, code);
  }
});

test("a learner is asked for and shown as one, and a voter looks as it always did", async () => {
  const { membership } = running.server;
  const bodies = [
    '{"peerURLs":["http://127.0.0.1:11"],"isLearner":true}',
    '{"peerURLs":["http://127.0.0.1:12"],"ISLEARNER":true}',
    '{"peerURLs":["http://127.0.0.1:13"],"isLearner":null}',
    '{"peerURLs":["http://127.0.0.1:14"]}',
  ];
  const shown: boolean[] = [];
  for (const body of bodies) {
    running.server.membership.started = membership.list().length;
    const headers = { "Content-Type": "application/json" };
    const added = await connection.exchange({
      method: "POST",
      target: "/v2/members",
      headers,
      body,
    });
    assert.equal(added.status, 201, added.body);
    shown.push(added.body.includes('"isLearner":true'));
    assert.equal(/isLearner":false/.test(added.body), false);
  }
  assert.deepEqual(shown, [true, true, false, false]);
  const listed = await connection.exchange({ method: "GET", target: "/v2/members" });
  assert.equal(listed.body.split('"isLearner":true').length, 3);
});

test("with auth on, snapshots and orders are for root", async () => {
  const json = { "Content-Type": "application/json" };
  const root = {
    Authorization: `Basic ${Buffer.from("root:pw").toString("base64")}`,
  };
  const change = (method: string, target: string, body = ""): Promise<RawResponse> =>
    connection.exchange({ method, target, headers: { ...json, ...root }, body });
  const made = await change("PUT", "/v2/auth/users/root", '{"user":"root","password":"pw"}');
  assert.equal(made.status, 201, made.body);
  assert.equal((await change("PUT", "/v2/auth/enable")).status, 200);
  const stranger = await open();
  assert.equal(stranger.statusCode, 401);
  stranger.resume();
  assert.equal((await post("/v2/members/ab/promote")).status, 401);
  const admitted = await open(root);
  assert.equal(admitted.statusCode, 200);
  await verifySnapshot(admitted as AsyncIterable<Uint8Array>);
  assert.equal((await change("DELETE", "/v2/auth/enable")).status, 200);
});
