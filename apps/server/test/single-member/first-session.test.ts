import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { until } from "@etcd2/test-support";
import { ask, etcdctl, runToEnd, ServerProcess } from "./server-process.ts";

describe("the first session with a fresh single member", () => {
  let server: ServerProcess;
  before(async () => {
    server = await ServerProcess.start();
  });
  after(() => server.dispose());

  const ctl = (...args: string[]) =>
    runToEnd(etcdctl, ["--endpoints", server.clientUrl, ...args], server.directory);

  it("announces what operators and test suites wait for, in order", () => {
    const facts = [
      "etcd Version: 2.3.8",
      "listening for peers on http://127.0.0.1:",
      "listening for client requests on http://127.0.0.1:",
      "name = default",
      "data dir = ",
      "snapshot count = 10000",
      "advertise client URLs = http://127.0.0.1:",
      "initial advertise peer URLs = http://127.0.0.1:",
      "initial cluster = default=http://127.0.0.1:",
      "starting member ",
      "added local member ",
      "became leader at term 2",
      "elected leader ",
      "published {Name:default ClientURLs:[http://127.0.0.1:",
    ];
    let at = 0;
    for (const fact of facts) {
      const found = server.log.indexOf(fact, at);
      assert.notEqual(found, -1, `${fact} is missing after position ${at} in\n${server.log}`);
      at = found;
    }
  });

  it("gives the first client write index 3", async () => {
    const set = await ctl("set", "testkey", "hello world");
    assert.deepEqual([set.status, set.stdout, set.stderr], [0, "hello world\n", ""]);
    const get = await ctl("get", "testkey");
    assert.deepEqual([get.status, get.stdout], [0, "hello world\n"]);
    const { body } = await ask("GET", `${server.clientUrl}/v2/keys/testkey`);
    assert.equal(
      body,
      '{"action":"get","node":{"key":"/testkey","value":"hello world","modifiedIndex":3,"createdIndex":3}}\n',
    );
  });

  it("shows the rest of the session as documented", async () => {
    assert.equal((await ctl("set", "/testdir/testkey", "Hello world")).stdout, "Hello world\n");
    assert.equal((await ctl("update", "testkey", "world")).stdout, "world\n");
    const missing = await ctl("get", "testkey2");
    assert.equal(missing.status, 4);
    assert.equal(missing.stderr, "Error:  100: Key not found (/testkey2) [5]\n");
  });

  it("sets the cluster version without taking an index", async () => {
    const version = await ask("GET", `${server.clientUrl}/version`);
    assert.equal(version.body, '{"etcdserver":"2.3.8","etcdcluster":"2.3.0"}');
    const { headers } = await ask("GET", `${server.clientUrl}/v2/keys/`);
    assert.equal(headers["x-etcd-index"], "5");
  });

  it("stops on SIGTERM as the signal would have stopped it, keeping what it has", async () => {
    const exit = await server.kill("SIGTERM");
    assert.deepEqual(exit, { status: null, signal: "SIGTERM" });
    assert.match(server.log, /received terminated signal, shutting down\.\.\./);
    await server.spawn();
    assert.match(
      server.log,
      /restarting member [0-9a-f]+ in cluster [0-9a-f]+ at commit index \d+/,
    );
    assert.equal((await ctl("get", "testkey")).stdout, "world\n");
  });

  it("says after a restart what tools wait for, as etcd 2.3.8 read from its log", () => {
    assert.match(
      server.log,
      /etcdserver: added local member [0-9a-f]+ \[http:\S+\] to cluster \w+$/m,
    );
    assert.match(server.log, /etcdserver: set the initial cluster version to 2\.3$/m);
    assert.match(server.log, /etcdserver: enabled capabilities for version 2\.3$/m);
  });

  it("and as it read from a snapshot, once the log is compacted", async () => {
    await server.kill("SIGTERM");
    const flags = server.flags;
    server.flags = [...flags, "--snapshot-count", "1", "--snapshot-catchup-entries", "1"];
    await server.spawn();
    await ctl("set", "testkey", "again");
    await until("the log is compacted", () => server.log.includes("compacted raft log"));
    await server.kill("SIGTERM");
    await server.spawn();
    assert.match(server.log, /etcdserver: recovered store from snapshot at index \d+$/m);
    assert.match(
      server.log,
      /etcdserver: added member \w+ \[http:\S+\] to cluster \w+ from store$/m,
    );
    assert.match(server.log, /etcdserver: set the cluster version to 2\.3 from store$/m);
  });

  it("ends when its only member is removed, after the answer", async () => {
    const members = await ask("GET", `${server.clientUrl}/v2/members`);
    const [id] = /[0-9a-f]{15,16}/.exec(members.body) ?? [];
    const removed = await ask("DELETE", `${server.clientUrl}/v2/members/${id}`);
    assert.equal(removed.status, 204);
    assert.deepEqual(await server.exited(), { status: 0, signal: null });
  });
});
