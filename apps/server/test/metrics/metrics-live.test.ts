/** Makes what the metrics count happen on real processes, and reads it from their pages. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { freePort, until } from "@etcd2/test-support";
import { ask, ServerProcess } from "../single-member/server-process.ts";

const running: ServerProcess[] = [];
let leader: ServerProcess;
let learner: ServerProcess;
let learnerId: string;

/** One figure of a page; the sum of all series of that name when it has labels. */
async function figure(server: ServerProcess, name: string): Promise<number> {
  const { body } = await ask("GET", `${server.clientUrl}/metrics`);
  const lines = body.split("\n").filter((line) => line.split(/[ {]/, 1)[0] === name);
  assert.ok(lines.length > 0, `${name} has no series`);
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

async function postJson(url: string, document: object): Promise<string> {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(document),
  });
  const body = await answer.text();
  assert.ok(answer.ok, body);
  return body;
}

before(async () => {
  // Requests that cannot be confirmed are given up after 5 s and twice this.
  leader = await ServerProcess.start(["--election-timeout", "500"]);
  running.push(leader);
  const peerUrl = `http://127.0.0.1:${await freePort()}`;
  const added = await postJson(`${leader.clientUrl}/v2/members`, {
    peerURLs: [peerUrl],
    isLearner: true,
  });
  learnerId = (JSON.parse(added) as { id: string }).id;
  learner = new ServerProcess();
  running.push(learner);
  learner.clientUrl = `http://127.0.0.1:${await freePort()}`;
  const first = leader.flags[leader.flags.indexOf("--initial-cluster") + 1] ?? "";
  learner.flags = [
    ...["--name", "second", "--data-dir", learner.dataDir, "--initial-cluster-state", "existing"],
    ...["--listen-client-urls", learner.clientUrl, "--advertise-client-urls", learner.clientUrl],
    ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
    ...["--initial-cluster", `${first},second=${peerUrl}`, "--election-timeout", "500"],
  ];
  await learner.spawn();
});

after(async () => {
  await Promise.all(running.map((server) => server.dispose()));
});

describe("figures of members at work", () => {
  it("tell of a learner, and of its promotion where it was asked for", async () => {
    await until("it knows", async () => (await figure(learner, "etcd_server_is_learner")) === 1);
    assert.equal(await figure(leader, "etcd_server_learner_promote_successes"), 0);
    await until("the learner has caught up", async () => {
      const promoted = await ask("POST", `${leader.clientUrl}/v2/members/${learnerId}/promote`);
      return promoted.status < 300;
    });
    assert.equal(await figure(leader, "etcd_server_learner_promote_successes"), 1);
    await until("it votes", async () => (await figure(learner, "etcd_server_is_learner")) === 0);
  });

  it("tell of heartbeats that a busy leader sends late", async () => {
    const before = await figure(leader, "etcd_server_heartbeat_send_failures_total");
    process.kill(leader.pid, "SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 400));
    process.kill(leader.pid, "SIGCONT");
    await until("it is counted", async () => {
      return (await figure(leader, "etcd_server_heartbeat_send_failures_total")) > before;
    });
    await until("it is said", () => /heartbeats to the other members are \d+ms/.test(leader.log));
    assert.match(leader.log, /expected less than 100ms/);
  });

  it("count the bytes of clients, connections that have ended included", async () => {
    const received = await figure(leader, "etcd_network_client_grpc_received_bytes_total");
    const sent = await figure(leader, "etcd_network_client_grpc_sent_bytes_total");
    const value = "v".repeat(100_000);
    const put = await fetch(`${leader.clientUrl}/v2/keys/large`, {
      method: "PUT",
      headers: { "Content-Type": "application/x-www-form-urlencoded", Connection: "close" },
      body: `value=${value}`,
    });
    await put.text();
    const receivedNow = await figure(leader, "etcd_network_client_grpc_received_bytes_total");
    const sentNow = await figure(leader, "etcd_network_client_grpc_sent_bytes_total");
    assert.ok(receivedNow - received > 100_000, `${received} -> ${receivedNow}`);
    assert.ok(sentNow - sent > 100_000, `${sent} -> ${sentNow}`);
  });

  it("show what is live of the store, and not what was deleted", async () => {
    const inUse = () => figure(leader, "etcd_mvcc_db_total_size_in_use_in_bytes");
    const value = "v".repeat(50_000);
    const without = await inUse();
    for (let i = 0; i < 5; i += 1) {
      await ask("PUT", `${leader.clientUrl}/v2/keys/bulk/${i}`, `value=${value}`);
    }
    assert.ok((await inUse()) > without + 250_000);
    assert.ok((await figure(leader, "etcd_mvcc_db_total_size_in_bytes")) > 250_000);
    await ask("DELETE", `${leader.clientUrl}/v2/keys/bulk?recursive=true`);
    await until("it has shrunk", async () => Math.abs((await inUse()) - without) < 100);
  });

  it("tell of failed proposals and changes of leader while the other member is gone", async () => {
    const changes = await figure(learner, "etcd_server_leader_changes_seen_total");
    const failed = await figure(leader, "etcd_network_disconnected_peers_total").catch(() => 0);
    await learner.kill("SIGKILL");
    await until("the link is counted as lost", async () => {
      return (await figure(leader, "etcd_network_disconnected_peers_total")) > failed;
    });
    await until("there is no leader", async () => {
      return (await figure(leader, "etcd_server_has_leader")) === 0;
    });
    const health = await figure(leader, "etcd_server_health_failures");
    assert.equal((await ask("GET", `${leader.clientUrl}/health`)).status, 503);
    assert.equal((await ask("GET", `${leader.clientUrl}/livez`)).status, 200);
    assert.equal((await ask("GET", `${leader.clientUrl}/readyz`)).status, 503);
    assert.ok((await figure(leader, "etcd_server_health_failures")) >= health + 2);
    const unconfirmed = await figure(leader, "etcd_server_read_indexes_failed_total");
    const quorumRead = await ask("GET", `${leader.clientUrl}/v2/keys/large?quorum=true`);
    assert.equal(quorumRead.status, 500);
    assert.ok((await figure(leader, "etcd_server_read_indexes_failed_total")) > unconfirmed);
    await learner.spawn();
    await until("there is a leader", async () => {
      return (await figure(leader, "etcd_server_has_leader")) === 1;
    });
    assert.ok(changes >= 1);
    await until("the change is counted", async () => {
      return (await figure(leader, "etcd_server_leader_changes_seen_total")) >= 2;
    });
  });
});
