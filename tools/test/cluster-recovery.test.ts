/**
 * Clusters of real processes that lag, lose their majority for good, or are set up wrongly.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Cluster, put, quorumGet } from "../cluster-faults/cluster.ts";
import { MemberProcess } from "../cluster-faults/member-process.ts";
import { until } from "@etcd2/test-support";
import { contradictions, leaves, WriteLoad } from "../cluster-faults/write-load.ts";

const QUICK = { heartbeatMs: 50, electionMs: 500 } as const;

describe("a log that is compacted", () => {
  let cluster: Cluster;
  before(async () => {
    const flags = ["--snapshot-count", "100", "--snapshot-catchup-entries", "10"];
    cluster = await Cluster.start({ size: 3, flags, ...QUICK });
  });
  after(() => cluster.close());

  it("brings a follower that fell behind it back by a snapshot while writes go on", async () => {
    const [behind] = await cluster.followers();
    assert.ok(behind);
    await put(behind, "/before", "1");
    await behind.end("SIGKILL");
    const urls = cluster.running.map((member) => member.clientUrl);
    const load = new WriteLoad({ urls: () => urls, clients: 4, valueBytes: 500 });
    await until("the log is cut", () => load.acknowledged.length > 500);
    behind.log = "";
    cluster.restart(behind);
    await behind.logged(/applied snapshot at index \d+/);
    await until("it serves", () => quorumGet(behind, "/before"));
    await load.stop();
    const tree = leaves(await cluster.sameTree("/load"));
    assert.deepEqual(contradictions(load.acknowledged, tree), []);
    // What came by snapshot survives a crash like everything else.
    await behind.end("SIGKILL");
    cluster.restart(behind);
    await cluster.ready();
    const again = leaves(await cluster.sameTree("/load"));
    assert.deepEqual(contradictions(load.acknowledged, again), []);
  });

  it("lets a new member start from a snapshot", async () => {
    const { member } = await cluster.join();
    await member.logged(/applied snapshot at index \d+/);
    await cluster.ready();
    await cluster.sameTree();
    await put(member, "/by-the-new-one", "1");
  });
});

describe("a majority lost for good", () => {
  it("is overcome by --force-new-cluster: data kept, one member, ready to grow", async () => {
    const cluster = await Cluster.start({ size: 3, ...QUICK });
    try {
      await put(cluster.any(), "/kept", "1");
      await cluster.sameTree();
      const [survivor, ...lost] = cluster.members;
      assert.ok(survivor);
      for (const member of cluster.members) await member.end("SIGKILL");
      survivor.log = "";
      cluster.members.splice(1, lost.length);
      cluster.restart(survivor, "--force-new-cluster");
      await cluster.ready();
      assert.match(survivor.log, /forcing restart of member [0-9a-f]+ in cluster [0-9a-f]+ at/);
      assert.deepEqual(
        (await cluster.memberList()).map(({ name }) => name),
        ["m1"],
      );
      assert.equal(await quorumGet(survivor, "/kept"), "1");
      // The next start needs no flag, and the cluster can grow again.
      await survivor.end("SIGTERM");
      cluster.restart(survivor);
      await cluster.ready();
      const { member } = await cluster.join();
      await cluster.ready();
      assert.equal(await quorumGet(member, "/kept"), "1");
    } finally {
      await cluster.close();
    }
  });
});

describe("a cluster with --strict-reconfig-check", () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start({ size: 2, flags: ["--strict-reconfig-check"], ...QUICK });
  });
  after(() => cluster.close());

  it("refuses a second member that has not started, and says why on the console", async () => {
    const first = await MemberProcess.reserve("first", cluster.directory);
    const second = await MemberProcess.reserve("second", cluster.directory);
    const { id } = await cluster.announce(first);
    const asked = cluster.any();
    const answer = await asked.send("/v2/members", {
      method: "POST",
      json: { peerURLs: [second.peerUrl] },
    });
    assert.equal(answer.status, 500);
    assert.equal(answer.body, '{"message":"Internal Server Error"}');
    await asked.logged(
      "Reject add member request: the number of started member (2) will be less than the quorum number of the cluster (3)",
    );
    const removed = await asked.send(`/v2/members/${id}`, { method: "DELETE" });
    assert.equal(removed.status, 204, removed.body);
  });

  it("refuses an address that a member has already", async () => {
    const asked = cluster.any();
    const answer = await asked.send("/v2/members", {
      method: "POST",
      json: { peerURLs: [asked.peerUrl] },
    });
    assert.equal(answer.status, 409);
  });
});

describe("a cluster set up with different tokens", () => {
  it("does not form: who comes second is refused, who was let in is refused by its peer", async () => {
    const cluster = await Cluster.reserve({ size: 2, ...QUICK });
    const [one, two] = cluster.members;
    assert.ok(one && two);
    try {
      cluster.found(one, "--initial-cluster-token", "blue");
      await one.logged("starting server...");
      cluster.found(two, "--initial-cluster-token", "green");
      assert.deepEqual(await two.exited(), { code: 1, signal: null });
      assert.match(two.log, /cluster ID mismatch: .*--initial-cluster-token/);
      assert.ok(!existsSync(join(two.dataDir, "member")));

      // Started before anybody could be asked, it finds out when they meet.
      await one.end("SIGTERM");
      cluster.found(two, "--initial-cluster-token", "green");
      await two.logged("starting server...");
      cluster.restart(one);
      const refusal = /cluster id mismatch: member [0-9a-f]{16} belongs to cluster [0-9a-f]{16}/;
      await Promise.all([one.logged(refusal), two.logged(refusal)]);
      assert.equal((await one.selfStats()).leaderInfo.leader, "");
    } finally {
      await cluster.close();
    }
  });
});

describe("a founder whose data directory was lost", () => {
  it("is told how to come back instead of voting twice", async () => {
    const cluster = await Cluster.start({ size: 3, ...QUICK });
    try {
      const [lost] = await cluster.followers();
      assert.ok(lost);
      await lost.end("SIGKILL");
      lost.log = "";
      lost.dataDir += "-empty";
      cluster.found(lost);
      assert.deepEqual(await lost.exited(), { code: 1, signal: null });
      assert.match(lost.log, /has already been bootstrapped.*etcdctl member remove/);
    } finally {
      await cluster.close();
    }
  });
});
