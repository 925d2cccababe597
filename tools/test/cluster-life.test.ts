/**
 * A cluster of real processes through its life: founding, writing anywhere, restarts, the death of
 * the leader under load, members that come and go, and everything that must be refused.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { Cluster, put, quorumGet } from "../cluster-faults/cluster.ts";
import { MemberProcess } from "../cluster-faults/member-process.ts";
import { until } from "@etcd2/test-support";
import { contradictions, leaves, WriteLoad } from "../cluster-faults/write-load.ts";

/** Elections within a second, and yet no false alarm on a busy machine. */
const QUICK = { heartbeatMs: 50, electionMs: 500 } as const;

const PERMANENTLY = "the member has been permanently removed from the cluster";
const REMOVE_DIR = "the data-dir used by this member must be removed.";

describe("two founders of three", () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.reserve({ size: 3, ...QUICK });
    for (const member of cluster.members.slice(0, 2)) cluster.found(member);
  });
  after(() => cluster.close());

  const names = async (of?: MemberProcess): Promise<readonly string[]> =>
    (await cluster.memberList(of)).map(({ name }) => name).toSorted();

  it("list the third by its configured name, and it starts later as what it is", async () => {
    const [first, , third] = cluster.members;
    assert.ok(first !== undefined && third !== undefined);
    await until("two have published themselves", async () => {
      const list = await cluster.memberList(first).catch(() => []);
      return list.filter(({ clientURLs }) => clientURLs.length > 0).length === 2;
    });
    assert.deepEqual(await names(first), ["m1", "m2", "m3"]);
    const silent = (await cluster.memberList(first)).find(({ name }) => name === "m3");
    assert.deepEqual(silent?.clientURLs, []);
    assert.deepEqual(silent.peerURLs, [third.peerUrl]);
    await first.end("SIGKILL");
    cluster.restart(first);
    await until("the names are there after a restart", async () => {
      return (await names(first).catch(() => [])).join() === "m1,m2,m3";
    });
    cluster.found(third);
    await cluster.ready();
    assert.deepEqual(await names(third), ["m1", "m2", "m3"]);
  });
});

describe("three members whose election timeout is long", () => {
  /** As long as there is; the deadline is shorter. */
  const SLOW = { heartbeatMs: 100, electionMs: 50_000 } as const;
  const DEADLINE_MS = 40_000;
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.reserve({ size: 3, ...SLOW });
  });
  after(() => cluster.close());

  it("have a leader once they reach each other, newly founded and all started again", async () => {
    for (const member of cluster.members) cluster.found(member);
    await cluster.ready(DEADLINE_MS);
    await Promise.all(cluster.members.map((member) => member.end("SIGKILL")));
    for (const member of cluster.members) cluster.restart(member);
    await cluster.leader(DEADLINE_MS);
    await cluster.ready(DEADLINE_MS);
  });

  it("have one when a majority starts again, without the third", async () => {
    await Promise.all(cluster.members.map((member) => member.end("SIGKILL")));
    for (const member of cluster.members.slice(1)) cluster.restart(member);
    await cluster.leader(DEADLINE_MS);
  });
});

describe("three members", () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start({ size: 3, ...QUICK });
  });
  after(() => cluster.close());

  it("elect one leader that all of them name, and know each other", async () => {
    const stats = await Promise.all(cluster.members.map((member) => member.selfStats()));
    assert.equal(stats.filter(({ state }) => state === "StateLeader").length, 1);
    assert.equal(new Set(stats.map(({ leaderInfo }) => leaderInfo.leader)).size, 1);
    for (const member of cluster.members) {
      const list = await cluster.memberList(member);
      assert.deepEqual(list.map(({ name }) => name).toSorted(), ["m1", "m2", "m3"]);
    }
  });

  it("take a write anywhere and read it everywhere", async () => {
    for (const [at, member] of cluster.members.entries()) {
      await put(member, `/any/${String(at)}`, `by ${member.name}`);
      for (const reader of cluster.members) {
        assert.equal(await quorumGet(reader, `/any/${String(at)}`), `by ${member.name}`);
      }
    }
  });

  it("keep data and ids when each is stopped and started in turn under load", async () => {
    const ids = (await cluster.memberList()).map(({ id }) => id);
    const urls = cluster.members.map((member) => member.clientUrl);
    const load = new WriteLoad({ urls: () => urls, clients: 3, prefix: "/rolling" });
    for (const member of cluster.members) {
      const exit = await member.end("SIGTERM");
      assert.deepEqual(exit, { code: null, signal: "SIGTERM" });
      const count = load.acknowledged.length;
      await until("writes go on", () => load.acknowledged.length > count + 20);
      cluster.restart(member);
      await cluster.ready();
    }
    await load.stop();
    const tree = leaves(await cluster.sameTree("/rolling"));
    assert.deepEqual(contradictions(load.acknowledged, tree), []);
    assert.deepEqual(
      (await cluster.memberList()).map(({ id }) => id),
      ids,
    );
  });

  it("lose no acknowledged write when the leader is killed under load", async () => {
    const urls = cluster.members.map((member) => member.clientUrl);
    const load = new WriteLoad({ urls: () => urls, clients: 6, prefix: "/killed" });
    await until("the load runs", () => load.acknowledged.length > 100);
    const leader = await cluster.leader();
    const read = new Map(cluster.members.map((member) => [member, member.log.length]));
    await leader.end("SIGKILL");
    const count = load.acknowledged.length;
    await until("writes go on", () => load.acknowledged.length > count + 100);
    const next = await cluster.leader();
    const news = next.log.slice(read.get(next));
    cluster.restart(leader);
    await cluster.ready();
    await load.stop();
    const tree = leaves(await cluster.sameTree("/killed"));
    assert.deepEqual(contradictions(load.acknowledged, tree), []);
    // The followers saw its sockets reset and did not wait for an election timeout.
    assert.match(news, /peer reset its connections[^]*became pre-candidate[^]*became leader/);
  });

  it("are handed over to by a leader that is asked to stop", async () => {
    const leader = await cluster.leader();
    await leader.end("SIGTERM");
    assert.match(leader.log, /starts leadership transfer to [0-9a-f]+/);
    const next = await cluster.leader();
    assert.notEqual(next, leader);
    await put(next, "/after-transfer", "yes");
    cluster.restart(leader);
    await cluster.ready();
    assert.equal(await quorumGet(leader, "/after-transfer"), "yes");
  });

  it("answer no quorum read and no write while two of three are down, and go on after", async () => {
    const [stays, ...others] = cluster.members;
    assert.ok(stays);
    await put(stays, "/before-loss", "1");
    for (const other of others) await other.end("SIGKILL");
    await until("the loss is noticed", async () => {
      const { status } = await stays.send("/health", { timeoutMs: 3000 });
      return status === 503;
    });
    const write = stays.send("/v2/keys/during-loss", { method: "PUT", form: { value: "1" } });
    // A plain read is answered all the same.
    assert.equal((await stays.send("/v2/keys/before-loss")).status, 200);
    for (const other of others) cluster.restart(other);
    // It waited for a leader and was not lost.
    assert.equal((await write).status, 201);
    await cluster.ready();
    assert.equal(await quorumGet(stays, "/during-loss"), "1");
  });
});

describe("members that come and go", () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start({ size: 3, ...QUICK });
    await put(cluster.any(), "/first", "1");
  });
  after(() => cluster.close());

  it("join when they were added, and catch up", async () => {
    const { id, member } = await cluster.join();
    await cluster.ready();
    const tree = leaves(await cluster.sameTree());
    assert.equal(tree.get("/first")?.value, "1");
    await put(member, "/by-the-new-one", "2");
    const list = await cluster.memberList(member);
    assert.equal(list.find((other) => other.id === id)?.name, member.name);
  });

  it("start as learners, which have no vote, and are promoted once they caught up", async () => {
    const { id, member } = await cluster.join({ learner: true });
    await cluster.ready();
    await cluster.sameTree();
    const isLearner = async (): Promise<boolean> =>
      (await cluster.memberList(member)).find((other) => other.id === id)?.isLearner === true;
    assert.equal(await isLearner(), true);
    const leader = await cluster.leader();
    const answer = await leader.send(`/v2/members/${id}/promote`, { method: "POST" });
    assert.equal(answer.status, 204, answer.body);
    await until("it is a voter", async () => !(await isLearner()));
  });

  it("leave for good when removed: they say so, exit with 0, and never start again", async () => {
    const leaving = cluster.members.at(-1);
    assert.ok(leaving);
    const { id } = await leaving.selfStats();
    const answer = await cluster.any().send(`/v2/members/${id}`, { method: "DELETE" });
    assert.equal(answer.status, 204, answer.body);
    assert.deepEqual(await leaving.exited(), { code: 0, signal: null });
    assert.ok(leaving.log.includes(PERMANENTLY) && leaving.log.includes(REMOVE_DIR), leaving.log);
    leaving.log = "";
    cluster.restart(leaving);
    assert.deepEqual(await leaving.exited(), { code: 0, signal: null });
    assert.ok(leaving.log.includes(PERMANENTLY) && leaving.log.includes(REMOVE_DIR), leaving.log);
    const gone = await cluster.any().send(`/v2/members/${id}`, { method: "DELETE" });
    assert.equal(gone.status, 410);
  });

  it("learn of their removal when they were down meanwhile", async () => {
    const leaving = (await cluster.followers()).at(-1);
    assert.ok(leaving);
    const { id } = await leaving.selfStats();
    await leaving.end("SIGKILL");
    const answer = await cluster.any().send(`/v2/members/${id}`, { method: "DELETE" });
    assert.equal(answer.status, 204, answer.body);
    leaving.log = "";
    cluster.restart(leaving);
    assert.deepEqual(await leaving.exited(), { code: 0, signal: null });
    assert.ok(leaving.log.includes(PERMANENTLY) && leaving.log.includes(REMOVE_DIR), leaving.log);
  });

  it("include the leader, which the others outlive", async () => {
    const leader = await cluster.leader();
    const { id } = await leader.selfStats();
    const answer = await leader.send(`/v2/members/${id}`, { method: "DELETE" });
    assert.equal(answer.status, 204, answer.body);
    assert.deepEqual(await leader.exited(), { code: 0, signal: null });
    await cluster.leader();
    await put(cluster.any(), "/without-old-leader", "3");
  });

  it("are refused when they were not added, cannot reach anybody, or name a wrong cluster", async () => {
    const stranger = await MemberProcess.reserve("stranger", cluster.directory);
    const names = await cluster.memberNames(stranger);
    const state = ["--initial-cluster-state", "existing"];
    stranger.start(["--initial-cluster", `${names},stranger=${stranger.peerUrl}`, ...state]);
    assert.equal((await stranger.exited()).code, 1);
    assert.match(stranger.log, /member count is unequal/);

    stranger.log = "";
    const nobody = await MemberProcess.reserve("nobody", cluster.directory);
    const pair = `nobody=${nobody.peerUrl},stranger=${stranger.peerUrl}`;
    stranger.start(["--initial-cluster", pair, ...state]);
    assert.equal((await stranger.exited()).code, 1);
    assert.match(stranger.log, /cannot fetch cluster info from peer urls/);
    // Nothing was written: the directory is as good as new.
    assert.ok(!existsSync(stranger.dataDir) || readdirSync(stranger.dataDir).length === 0);
  });
});
