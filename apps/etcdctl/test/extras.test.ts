/** The commands beyond etcdctl 2.3.8, against scripted answers. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { MemoryKv, StateMachine, SteadyClock, writeCommand } from "@etcd2/store";
import { type Outcome, runInside } from "./support/run.ts";
import { type Route, ScriptedServer } from "./support/scripted-server.ts";
import { closedAddress } from "./support/transcripts.ts";

let server: ScriptedServer;
before(async () => {
  server = await ScriptedServer.listen();
});
after(() => server.close());

interface MemberFields {
  readonly id: string;
  readonly name: string;
  readonly peerURLs: readonly string[];
  readonly clientURLs?: readonly string[];
  readonly isLearner?: boolean;
}

const old: MemberFields = { id: "a1", name: "infra1", peerURLs: ["http://10.0.0.1:2380"] };
const other: MemberFields = { id: "b2", name: "infra2", peerURLs: ["http://10.0.0.2:2380"] };
const fresh: MemberFields = {
  id: "c3",
  name: "",
  peerURLs: ["http://10.0.0.3:2380"],
  isLearner: true,
};

function membersRoute(...members: readonly MemberFields[]): Route {
  const all = members.map((member) => ({ clientURLs: [server.url], ...member }));
  return { method: "GET", path: "/v2/members", body: JSON.stringify({ members: all }) };
}

function leaderRoute(member: MemberFields): Route {
  const body = JSON.stringify({ ...member, clientURLs: [server.url] });
  return { method: "GET", path: "/v2/members/leader", body };
}

function refusal(method: string, path: string, status: number, message: string): Route {
  return { method, path, status, body: JSON.stringify({ message }) };
}

function run(...words: readonly string[]): Promise<Outcome> {
  return runInside(["--no-sync", "--endpoints", server.url, ...words]);
}

describe("member promote and move-leader", () => {
  test("ask the leader where it has published itself", async () => {
    const leader = await ScriptedServer.listen();
    leader.begin([{ method: "POST", path: "/v2/members/c3/promote", status: 200, body: "" }]);
    const body = JSON.stringify({ ...old, clientURLs: [leader.url] });
    server.begin([{ method: "GET", path: "/v2/members/leader", body }]);
    const outcome = await run("member", "promote", "c3");
    assert.deepEqual(outcome, { exit: 0, stdout: "Promoted member c3\n", stderr: "" });
    assert.equal(leader.received.length, 1);
    await leader.close();
  });

  test("ask any member when the leader cannot be reached", async () => {
    const body = JSON.stringify({ ...old, clientURLs: [`http://${await closedAddress()}`] });
    server.begin([
      { method: "GET", path: "/v2/members/leader", body },
      { method: "POST", path: "/v2/members/b2/move-leader", status: 204 },
    ]);
    const outcome = await run("move-leader", "b2");
    assert.deepEqual(outcome, { exit: 0, stdout: "Leadership moved to member b2\n", stderr: "" });
  });

  test("explain a refusal with ids and the command that helps", async () => {
    server.begin([
      leaderRoute(old),
      membersRoute(old, fresh),
      refusal("POST", "/v2/members/c3/promote", 500, "c3 lacks 500 entries"),
    ]);
    assert.deepEqual(await run("member", "promote", "c3"), {
      exit: 1,
      stdout: "",
      stderr:
        "Cannot promote c3: c3 lacks 500 entries\n\nMembers:\n" +
        "  a1  infra1  voter  http://10.0.0.1:2380\n" +
        "  c3  (not started)  learner  http://10.0.0.3:2380\n\n" +
        "This helps:\n  etcdctl endpoint status -w table\n  etcdctl member promote c3\n",
    });
  });

  test("name the learners when the id is not one of the members", async () => {
    server.begin([
      leaderRoute(old),
      membersRoute(old, fresh),
      refusal("POST", "/v2/members/zz/promote", 404, "No such member: zz"),
    ]);
    const { stderr } = await run("member", "promote", "zz");
    assert.match(stderr, /^Cannot promote zz: No such member: zz\n/);
    assert.match(stderr, /This helps:\n {2}etcdctl member promote c3\n$/);
  });

  test("send a learner to its promotion before it can lead", async () => {
    server.begin([
      leaderRoute(old),
      membersRoute(old, fresh),
      refusal("POST", "/v2/members/c3/move-leader", 409, "c3 is a learner"),
    ]);
    const { stderr, exit } = await run("move-leader", "c3");
    assert.equal(exit, 1);
    assert.match(
      stderr,
      /This helps:\n {2}etcdctl member promote c3\n {2}etcdctl move-leader c3\n$/,
    );
  });

  test("say so when the server does not know the request", async () => {
    server.begin([
      leaderRoute(old),
      membersRoute(old),
      refusal("POST", "/v2/members/a1/promote", 415, "?"),
    ]);
    const { stderr } = await run("member", "promote", "a1");
    assert.match(stderr, /^Cannot promote a1: this server does not know the request\n/);
    assert.doesNotMatch(stderr, /This helps/);
  });

  test("wait for a slow order as long as the whole command may take", async () => {
    server.begin([
      leaderRoute(old),
      { method: "POST", path: "/v2/members/c3/promote", status: 204, delay_ms: 600 },
    ]);
    const words = ["member", "promote", "c3"];
    assert.equal((await run("--timeout", "400ms", ...words)).stdout, "Promoted member c3\n");
    server.begin([
      leaderRoute(old),
      { method: "POST", path: "/v2/members/c3/promote", hang: true },
    ]);
    const { exit, stderr } = await run("--total-timeout", "300ms", ...words);
    assert.equal(exit, 1);
    assert.match(
      stderr,
      /^no answer within the time of --total-timeout; [^\n]* still be carried out/,
    );
  });

  test("changes that were sent and not answered have an unknown outcome, and those not sent none", async () => {
    const hang = { hang: true } as const;
    const error500 = { status: 500, body: '{"message":"the outcome is unknown"}' } as const;
    const added = ["member", "add", "n", "http://10.0.0.9:2380"];
    for (const fate of [hang, error500]) {
      server.begin([{ method: "POST", path: "/v2/members", ...fate }]);
      const { exit, stderr } = await run("--timeout", "300ms", ...added);
      assert.equal(exit, 1);
      assert.match(stderr, /^client: etcd cluster is unavailable or misconfigured\n/);
      assert.match(stderr, /\nthe outcome is unknown, [^\n]*'etcdctl member list' before/);
    }
    server.begin([
      { method: "PUT", path: "/v2/auth/roles/r", ...hang },
      refusal("GET", "/v2/auth/roles/r", 404, "gone"),
    ]);
    const role = await run("--timeout", "300ms", "role", "add", "r");
    assert.match(role.stderr, /the outcome is unknown, [^\n]*'etcdctl role get r'/);
    server.begin([{ method: "POST", path: "/v2/members", status: 503, body: "" }]);
    const refused = await run(...added);
    assert.doesNotMatch(refused.stderr, /unknown/);
  });

  test("need exactly one id", async () => {
    for (const words of [
      ["member", "promote"],
      ["move-leader", "a", "b"],
    ]) {
      const outcome = await run(...words);
      assert.deepEqual(outcome, { exit: 1, stdout: "", stderr: "Provide a single member ID\n" });
    }
  });
});

describe("learners", () => {
  test("are added with their kind in the request and the next command in the output", async () => {
    server.begin([
      { method: "POST", path: "/v2/members", status: 201, body: JSON.stringify(fresh) },
      membersRoute(old, fresh),
    ]);
    const { stdout, exit } = await run(
      "member",
      "add",
      "--learner",
      "infra3",
      "http://10.0.0.3:2380",
    );
    assert.equal(exit, 0);
    assert.equal(
      stdout,
      "Added learner named infra3 with ID c3 to cluster\n\n" +
        'ETCD_NAME="infra3"\n' +
        'ETCD_INITIAL_CLUSTER="infra1=http://10.0.0.1:2380,infra3=http://10.0.0.3:2380"\n' +
        'ETCD_INITIAL_CLUSTER_STATE="existing"\n\n' +
        "When it has caught up:\n\n  etcdctl member promote c3\n",
    );
    assert.equal(
      server.received[0]?.body,
      '{"peerURLs":["http://10.0.0.3:2380"],"isLearner":true}',
    );
  });

  test("are marked in the list, voters are as in etcdctl 2.3.8", async () => {
    server.begin([membersRoute(old, fresh), leaderRoute(old)]);
    const { stdout } = await run("member", "list");
    assert.equal(
      stdout,
      `a1: name=infra1 peerURLs=http://10.0.0.1:2380 clientURLs=${server.url} isLeader=true\n` +
        "c3[unstarted]: peerURLs=http://10.0.0.3:2380 isLearner=true\n",
    );
  });
});

describe("member replace", () => {
  const words = ["member", "replace", "a1", "infra3", "http://10.0.0.3:2380"];
  const promotePath = "/v2/members/c3/promote";

  test("adds a learner, waits, promotes, and only then removes the old member", async () => {
    server.begin([
      { ...membersRoute(old, other), times: 1 },
      { method: "POST", path: "/v2/members", status: 201, body: JSON.stringify(fresh) },
      membersRoute(old, other, fresh),
      leaderRoute(old),
      { ...refusal("POST", promotePath, 500, "c3 lacks 9 entries"), times: 2 },
      { method: "POST", path: promotePath, status: 200 },
      { method: "DELETE", path: "/v2/members/a1", status: 204 },
    ]);
    const outcome = await run(...words);
    assert.deepEqual(outcome, {
      exit: 0,
      stderr: "Waiting for c3: c3 lacks 9 entries\n",
      stdout:
        "Added learner c3 named infra3\n\nStart it now, if it is not running:\n\n" +
        '  etcd --name "infra3" \\\n' +
        "    --initial-advertise-peer-urls http://10.0.0.3:2380 \\\n" +
        "    --listen-peer-urls http://10.0.0.3:2380 \\\n" +
        '    --initial-cluster "infra1=http://10.0.0.1:2380,infra2=http://10.0.0.2:2380,' +
        'infra3=http://10.0.0.3:2380" \\\n' +
        "    --initial-cluster-state existing\n\n" +
        "Promoted member c3\nRemoved member a1 from cluster\n",
    });
    const changes = server.received.filter(({ method }) => method !== "GET");
    assert.deepEqual(
      changes.map(({ method, path }) => `${method} ${path}`),
      [
        "POST /v2/members",
        ...Array.from({ length: 3 }, () => `POST ${promotePath}`),
        "DELETE /v2/members/a1",
      ],
    );
  });

  test("takes up an interrupted run where it stopped", async () => {
    server.begin([
      membersRoute(old, other, { ...fresh, name: "infra3", isLearner: false }),
      { method: "DELETE", path: "/v2/members/a1", status: 204 },
    ]);
    const { exit, stdout } = await run(...words);
    assert.equal(exit, 0);
    assert.equal(
      stdout,
      "Found member c3 with http://10.0.0.3:2380, going on with it\nRemoved member a1 from cluster\n",
    );
    assert.deepEqual(
      server.received.filter(({ method }) => method !== "GET").map(({ method }) => method),
      ["DELETE"],
    );
  });

  test("removes nothing when the new member does not catch up in time", async () => {
    server.begin([
      membersRoute(old, other, fresh),
      leaderRoute(old),
      refusal("POST", promotePath, 500, "c3 lacks 9 entries"),
    ]);
    const { exit, stderr } = await run("member", "replace", "--wait", "0", ...words.slice(2));
    assert.equal(exit, 1);
    assert.match(stderr, /^Cannot promote c3: c3 lacks 9 entries\n/);
    assert.match(stderr, /\n {2}etcdctl member remove c3\n$/);
    assert.ok(server.received.every(({ method }) => method !== "DELETE"));
  });

  test("changes nothing when the old member is unknown or the address is taken", async () => {
    server.begin([membersRoute(old, other)]);
    const unknown = await run("member", "replace", "zz", "infra3", "http://10.0.0.3:2380");
    assert.match(unknown.stderr, /^Cannot replace zz: no such member\n/);
    assert.match(unknown.stderr, /etcdctl member replace b2 infra3 http:\/\/10.0.0.3:2380\n$/);
    const taken = await run("member", "replace", "a1", "infra3", "http://10.0.0.2:2380");
    assert.match(taken.stderr, /^Cannot add http:\/\/10.0.0.2:2380: member b2 has this peer URL\n/);
    assert.ok(server.received.every(({ method }) => method === "GET"));
  });

  test("has nothing left to do when an earlier run did all of it", async () => {
    server.begin([membersRoute(other, { ...fresh, name: "infra3", isLearner: false })]);
    assert.deepEqual(await run(...words), {
      exit: 0,
      stdout: "Member a1 is gone, and c3 votes: nothing is left to do\n",
      stderr: "",
    });
    server.begin([membersRoute(other, { ...fresh, name: "infra3" })]);
    assert.equal((await run(...words)).exit, 1);
  });

  test("without a majority says how many must be up, and what else can be done", async () => {
    server.begin([membersRoute(old, other), { method: "POST", path: "/v2/members", status: 503 }]);
    const { exit, stderr } = await run(...words);
    assert.equal(exit, 1);
    assert.match(
      stderr,
      /^Cannot replace a1: client: etcd cluster is unavailable or misconfigured\n/,
    );
    assert.match(stderr, /has no leader\n\nA change of members needs 2 of the 2 voters up/);
    assert.match(stderr, /etcdctl member replace a1 infra3 http:\/\/10.0.0.3:2380\n/);
    assert.match(stderr, /etcdctl snapshot restore <file>\n$/);
  });

  test("tells how to go on when the old member cannot be removed", async () => {
    server.begin([
      membersRoute(old, other, { ...fresh, name: "infra3", isLearner: false }),
      refusal("DELETE", "/v2/members/a1", 403, "no"),
    ]);
    const { exit, stderr } = await run(...words);
    assert.equal(exit, 1);
    assert.match(stderr, /^Cannot remove a1: unexpected status code 403\n/);
    assert.match(stderr, /etcdctl move-leader c3\n {2}etcdctl member remove a1\n$/);
  });
});

describe("snapshot save", () => {
  const path = "/v2/admin/snapshot";
  let directory: string;
  let file: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "etcdctl-"));
    file = join(directory, "copy.snap");
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  test("says what is wrong with the path before it asks for anything", async () => {
    server.begin([]);
    for (const [target, reason] of [
      [directory, "it is a directory; name a file in it"],
      [join(directory, "no", "copy.snap"), `there is no directory ${join(directory, "no")}`],
      ["/dev/null/copy.snap", "/dev/null is not a directory"],
    ] as const) {
      const { exit, stderr } = await run("snapshot", "save", target);
      assert.equal(exit, 1);
      assert.equal(stderr, `Cannot save the snapshot at ${target}: ${reason}\n`);
    }
    assert.equal((await run("snapshot", "save", "")).stderr, "Provide a single file name\n");
    assert.equal(server.received.length, 0);
  });

  /** Runs the command against a server that answers with these bytes. */
  async function saveFrom(content: Buffer): Promise<Outcome> {
    const answering = http.createServer((_request, response) => response.end(content));
    await new Promise<void>((resolve) => answering.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(answering.address() as AddressInfo).port}`;
    try {
      return await runInside(["--no-sync", "--endpoints", url, "snapshot", "save", file]);
    } finally {
      answering.closeAllConnections();
      answering.close();
    }
  }

  async function snapshotBytes(): Promise<Buffer> {
    const kv = new MemoryKv();
    const machine = await StateMachine.open({ kv, clock: SteadyClock.open(kv) });
    const value = "x".repeat(2000);
    const entries = Array.from({ length: 200 }, (_, i) => {
      const command = writeCommand({ action: "set", path: `/1/k${i}`, value });
      return { index: i + 1, term: 1, command };
    });
    machine.apply(entries);
    const chunks: Uint8Array[] = [];
    for await (const chunk of machine.exportSnapshot()) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks);
  }

  test("writes the whole stream under the final name only", async () => {
    const content = await snapshotBytes();
    assert.deepEqual(await saveFrom(content), {
      exit: 0,
      stdout: `Snapshot saved at ${file} (${content.length} bytes)\n`,
      stderr: "",
    });
    assert.deepEqual(readFileSync(file), content);
    assert.deepEqual(readdirSync(directory), ["copy.snap"]);
  });

  test("keeps nothing that a checksum gives away while it arrives, or that has no end", async () => {
    const content = await snapshotBytes();
    const altered = Buffer.from(content);
    const at = altered.length >> 1;
    altered[at] = (altered[at] ?? 0) ^ 1;
    for (const bytes of [altered, content.subarray(0, -1), Buffer.from("x"), Buffer.alloc(0)]) {
      const { exit, stdout, stderr } = await saveFrom(bytes);
      assert.deepEqual([exit, stdout], [1, ""]);
      assert.match(stderr, /^Cannot save the snapshot at [^\n]*copy\.snap: [^\n]+\n$/);
      assert.deepEqual(readdirSync(directory), []);
    }
  });

  test("passes on why the server refuses for now, and waits longer than for a header", async () => {
    server.begin([refusal("GET", path, 503, "4 snapshots are being taken already")]);
    const { exit, stderr } = await run("--timeout", "1ms", "snapshot", "save", file);
    assert.equal(exit, 1);
    assert.equal(stderr, "Cannot take a snapshot: 4 snapshots are being taken already\n");
  });

  test("leaves an earlier file as it was when the stream breaks off", async () => {
    const breaking = http.createServer((_request, response) => {
      response.writeHead(200, { "Content-Length": "1000" });
      response.write("half", () => response.destroy());
    });
    await new Promise<void>((resolve) => breaking.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(breaking.address() as AddressInfo).port}`;
    writeFileSync(file, "earlier");
    const words = ["--no-sync", "--endpoints", url, "snapshot", "save", file];
    const { exit, stderr, stdout } = await runInside(words);
    breaking.close();
    assert.deepEqual([exit, stdout], [1, ""]);
    assert.match(stderr, /^Cannot save the snapshot at .*copy\.snap: /);
    assert.equal(readFileSync(file, "utf8"), "earlier");
    assert.deepEqual(readdirSync(directory), ["copy.snap"]);
  });

  test("creates nothing when the server refuses or does not know snapshots", async () => {
    server.begin([refusal("GET", path, 401, "Insufficient credentials")]);
    const refused = await run("snapshot", "save", file);
    assert.equal(refused.stderr, "Cannot take a snapshot: Insufficient credentials\n");
    server.begin([]);
    const unknown = await run("snapshot", "save", file);
    assert.equal(unknown.stderr, "Cannot take a snapshot: this server cannot stream snapshots\n");
    assert.equal(existsSync(file), false);
  });

  test("names a place that cannot be written", async () => {
    server.begin([{ method: "GET", path, body: "x" }]);
    const { exit, stderr } = await run("snapshot", "save", join(directory, "none", "copy.snap"));
    assert.equal(exit, 1);
    assert.match(stderr, /none\/copy\.snap: there is no directory/);
  });
});

describe("endpoint status and health", () => {
  const stats = { name: "infra1", id: "a1", state: "StateLeader" };
  const indexes = { "X-Etcd-Index": "12", "X-Raft-Index": "34", "X-Raft-Term": "2" };
  const routes: readonly Route[] = [
    { method: "HEAD", path: "/v2/keys/", headers: indexes },
    { method: "GET", path: "/v2/stats/self", body: JSON.stringify(stats) },
    { method: "GET", path: "/version", body: '{"etcdserver":"2.3.8","etcdcluster":"2.3.0"}' },
    { method: "GET", path: "/health", body: '{"health": "true"}' },
  ];

  test("show id, version, leadership, indexes and latency", async () => {
    server.begin(routes);
    const { stdout, exit } = await run("endpoint", "status");
    assert.equal(exit, 0);
    assert.match(stdout, /^http:\S+, a1, infra1, 2\.3\.8, yes, 2, 34, 12, \d+\.\d ms\n$/);
  });

  test("show them as JSON for programs", async () => {
    server.begin(routes);
    const { stdout } = await run("endpoint", "status", "-w", "json");
    const [status] = JSON.parse(stdout) as Record<string, unknown>[];
    assert.deepEqual(
      { ...status, latencyMs: 0 },
      {
        endpoint: server.url,
        id: "a1",
        name: "infra1",
        version: "2.3.8",
        raftIndex: 34,
        raftTerm: 2,
        etcdIndex: 12,
        leader: true,
        latencyMs: 0,
      },
    );
  });

  test("show a dead endpoint beside a live one and end with 5", async () => {
    server.begin(routes);
    const closed = await closedAddress();
    const list = `${server.url},http://${closed}`;
    const words = ["--no-sync", "--endpoints", list, "endpoint", "status", "--write-out=table"];
    const { stdout, exit } = await runInside(words);
    assert.equal(exit, 5);
    assert.match(stdout, /│ ENDPOINT .*│ LEADER .*│ ERROR/);
    assert.match(
      stdout,
      new RegExp(`│ http://${closed} .*dial tcp ${closed}: connection refused │`),
    );
    assert.match(stdout, /│ a1 +│ infra1 +│ 2\.3\.8 +│ yes +│ 2 +│ 34 +│ 12 +│/);
  });

  test("fall back to the given endpoints when nobody can be asked for more", async () => {
    const closed = await closedAddress();
    const words = ["--endpoints", `http://${closed}`, "endpoint", "health"];
    assert.deepEqual(await runInside(words), {
      exit: 5,
      stdout: `http://${closed} is unhealthy: dial tcp ${closed}: connection refused\n`,
      stderr: "",
    });
  });

  test("ask every member the cluster knows", async () => {
    server.begin([
      membersRoute({ ...old, clientURLs: [server.url, `${server.url}/x`] }),
      ...routes,
    ]);
    const { stdout } = await runInside(["--endpoints", server.url, "endpoint", "health"]);
    assert.match(stdout, /^http:\S+ is healthy: answered in \S+ ms\nhttp:\S+\/x is unhealthy: /);
  });

  test("report an endpoint that somebody named although the members do not publish it", async () => {
    const closed = await closedAddress();
    for (const environment of [false, true]) {
      server.begin([membersRoute({ ...old, clientURLs: [server.url] }), ...routes]);
      const list = `${server.url},http://${closed}`;
      const { stdout, exit } = await (environment
        ? runInside(["endpoint", "health"], { env: { ETCDCTL_ENDPOINTS: list } })
        : runInside(["--endpoints", list, "endpoint", "health"]));
      assert.equal(exit, 5);
      assert.ok(stdout.includes(`http://${closed} is unhealthy: dial tcp`), stdout);
      assert.ok(stdout.includes(`${server.url} is healthy`), stdout);
    }
  });

  test("colour a terminal unless told not to", async () => {
    server.begin(routes);
    const words = ["--no-sync", "--endpoints", server.url, "endpoint", "health"];
    const coloured = await runInside(words, { isTerminal: true });
    assert.match(coloured.stdout, /\x1b\[32mhealthy\x1b\[39m/);
    const plain = await runInside(words, { isTerminal: true, env: { NO_COLOR: "1" } });
    assert.doesNotMatch(plain.stdout, /\x1b/);
  });

  test("an unknown format is refused before any request", async () => {
    server.begin(routes);
    const { exit, stderr } = await run("endpoint", "status", "-w", "yaml");
    assert.equal(exit, 1);
    assert.equal(stderr, "Unsupported output format: yaml (simple, table, json)\n");
    assert.equal(server.received.length, 0);
  });
});
