import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

import fc from "fast-check";

import { CountingHistogram, doublingBuckets } from "../../src/metrics/histogram.ts";
import type { MetricsOptions } from "../../src/metrics/registry.ts";
import { createMetrics } from "../../src/metrics/registry.ts";
import type { MetricSources } from "../../src/metrics/sources.ts";

const stats = {
  getsSuccess: 7,
  getsFail: 1,
  setsSuccess: 5,
  setsFail: 1,
  deleteSuccess: 2,
  deleteFail: 0,
  updateSuccess: 0,
  updateFail: 0,
  createSuccess: 3,
  createFail: 0,
  compareAndSwapSuccess: 0,
  compareAndSwapFail: 1,
  compareAndDeleteSuccess: 0,
  compareAndDeleteFail: 0,
  expireCount: 4,
};

const sources: MetricSources = {
  identity: () => ({
    memberId: "ce2a822cea30bfca",
    clusterId: "7e27652122e8b2ae",
    clusterVersion: "2.3.0",
  }),
  raft: () => ({
    hasLeader: true,
    isLeader: false,
    isLearner: false,
    leaderChanges: 2,
    term: 3,
    committed: 100,
    applied: 99,
    firstIndex: 1,
    lastIndex: 101,
    pendingProposals: 1,
  }),
  store: () => ({
    stats,
    watchers: 6,
    etcdIndex: 50,
    historyFirstIndex: 1,
    historyLastIndex: 50,
    sizeBytes: 4096,
    liveBytes: 2048,
    quotaBytes: 8192,
  }),
  peers: () => [{ id: "00000000000000ff", isActive: true }],
  clients: () => ({ connections: 3, connectionsMax: 900, receivedBytes: 10, sentBytes: 20 }),
  disk: () => ({ freeBytes: 1e9, reserveBytes: 1e8, isLow: false }),
  fds: () => ({ used: 42, limit: 1024 }),
  certificates: () => [
    { side: "peer", notBeforeSeconds: 1_500_000_000, notAfterSeconds: 1_900_000_000 },
  ],
  alarms: () => ["quota"],
};

const everything: MetricsOptions = { compat: true, detail: "extensive" };
const usual: MetricsOptions = { compat: false, detail: "basic" };

/** Feeds every counter once, so that every family with labels has a series. */
function feed(metrics: ReturnType<typeof createMetrics>): void {
  const { counters } = metrics;
  counters.received("PUT");
  counters.succeeded("PUT", 0.003);
  counters.failed("PUT", 412);
  counters.watchRequested();
  counters.proposalApplied(0.002);
  counters.proposalFailed();
  counters.walSynced(0.0001);
  counters.backendCommitted(0.02);
  counters.onFrameSent("00000000000000ff", 1000, 3, 0.0001);
  counters.onFrameReceived("00000000000000ff", 2000, 4);
  counters.onSendFailed("00000000000000ff", 1);
  counters.onRoundTrip("00000000000000ff", 0.0003);
  counters.onSnapshotBytesSent("00000000000000ff", 5);
  counters.onSnapshotBytesReceived("00000000000000ff", 6);
  counters.snapshotSent("00000000000000ff", true);
  counters.snapshotSent("00000000000000ff", false);
  counters.rpcStarted("Stream");
  counters.rpcHandled("ClusterInfo", "OK", 0.01);
  counters.proxyRequests.add("GET");
  counters.proxyHandled.add("GET\t200");
  counters.proxyDropped.add("GET\tzero_endpoints");
  counters.proxySeconds.observe("GET", 0.1);
}

async function page(options: MetricsOptions, from: MetricSources = sources): Promise<string> {
  const metrics = createMetrics(options, from);
  feed(metrics);
  const { contentType, body } = await metrics.page();
  assert.equal(contentType, "text/plain; version=0.0.4; charset=utf-8");
  return body;
}

/** Series of the page: name and labels to value. */
function series(body: string): Map<string, number> {
  const lines = body.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), line.endsWith("+Inf") ? Infinity : Number(line.slice(at + 1))];
    }),
  );
}

function families(body: string): string[] {
  return [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
    .map(([, name, type]) => `${name} ${type}`)
    .sort();
}

const documented = readFileSync(new URL("../../../../docs/metrics.md", import.meta.url), "utf8");

describe("the metrics page", () => {
  it("has exactly the families that docs/metrics.md lists", async () => {
    const rows = [...documented.matchAll(/^\| `(\w+)` +\| (\w+) +\|/gm)];
    const listed = rows.map(([, name, type]) => `${name} ${type}`).sort();
    assert.deepEqual(families(await page(everything)), listed);
  });

  it("has exactly the labels that docs/metrics.md lists", async () => {
    const rows = [...documented.matchAll(/^\| `(\w+)` +\| \w+ +\| ([^|]*)\|/gm)];
    const wanted = new Map(rows.map(([, name = "", labels = ""]) => [name, labels.trim()]));
    const seen = new Set<string>();
    for (const key of series(await page(everything)).keys()) {
      const [, full = "", labels = ""] = /^(\w+)(?:\{(.*)\})?$/.exec(key) ?? [];
      const name = wanted.has(full) ? full : full.replace(/_(bucket|sum|count)$/, "");
      const names = [...labels.matchAll(/(\w+)="/g)].map(([, label = ""]) => label);
      const listed = (wanted.get(name) ?? "missing").split(", ").filter((label) => label !== "");
      const shown = names.filter((label) => label !== "le");
      const isSummaryTotal = listed.includes("quantile") && !shown.includes("quantile");
      const expected = isSummaryTotal ? listed.filter((label) => label !== "quantile") : listed;
      assert.deepEqual(shown.sort(), [...expected].sort(), key);
      seen.add(name);
    }
    // Everything listed has been looked at, but for what happens only later.
    const unseen = [...wanted.keys()].filter((name) => !seen.has(name));
    assert.deepEqual(
      unseen,
      ["nodejs_gc_duration_seconds"].filter((name) => unseen.includes(name)),
    );
  });

  it("serves what the stock alerts and dashboard of etcd 3.x read", async () => {
    const body = await page({ compat: false, detail: "extensive" });
    const names = new Set(
      series(body)
        .keys()
        .map((key) => key.replace(/\{.*/, "")),
    );
    for (const name of [
      "etcd_server_has_leader",
      "etcd_server_leader_changes_seen_total",
      "etcd_server_proposals_failed_total",
      "etcd_server_proposals_pending",
      "etcd_server_proposals_committed_total",
      "etcd_server_proposals_applied_total",
      "etcd_network_peer_round_trip_time_seconds_bucket",
      "etcd_network_peer_sent_failures_total",
      "etcd_network_peer_sent_bytes_total",
      "etcd_network_peer_received_bytes_total",
      "etcd_disk_wal_fsync_duration_seconds_bucket",
      "etcd_disk_backend_commit_duration_seconds_bucket",
      "etcd_mvcc_db_total_size_in_bytes",
      "etcd_mvcc_db_total_size_in_use_in_bytes",
      "etcd_server_quota_backend_bytes",
      "grpc_server_handled_total",
      "grpc_server_handling_seconds_bucket",
      "grpc_server_started_total",
      "etcd_network_client_grpc_sent_bytes_total",
      "etcd_network_client_grpc_received_bytes_total",
      "process_resident_memory_bytes",
      "os_fd_used",
      "os_fd_limit",
      "process_open_fds",
    ]) {
      assert.ok(names.has(name), name);
    }
  });

  it("shows the figures of counters and sources", async () => {
    const all = series(await page(everything));
    const wanted: Readonly<Record<string, number>> = {
      'etcd_http_received_total{method="PUT"}': 1,
      'etcd_http_failed_total{code="412",method="PUT"}': 1,
      'etcd_http_successful_duration_seconds_bucket{method="PUT",le="0.002"}': 0,
      'etcd_http_successful_duration_seconds_bucket{method="PUT",le="0.004"}': 1,
      'etcd_http_successful_duration_seconds_bucket{method="PUT",le="+Inf"}': 1,
      'etcd_http_successful_duration_second_sum{method="PUT"}': 0.003,
      'etcd_debugging_store_reads_total{action="get"}': 8,
      'etcd_store_writes_total{action="set"}': 6,
      'etcd_store_writes_total{action="compareAndSwap"}': 1,
      etcd_store_expires_total: 4,
      etcd_store_watchers: 6,
      etcd_server_has_leader: 1,
      etcd_server_is_leader: 0,
      etcd_server_proposals_committed_total: 100,
      etcd_server_pending_proposal_total: 1,
      etcd_wal_last_index_saved: 101,
      'etcd_server_id{server_id="ce2a822cea30bfca"}': 1,
      'etcd_network_active_peers{Local="ce2a822cea30bfca",Remote="ff"}': 1,
      'etcd_network_peer_sent_bytes_total{To="ff"}': 1000,
      'etcd_network_peer_received_bytes_total{From="ff"}': 2000,
      'etcd_network_peer_round_trip_time_seconds_bucket{To="ff",le="0.0004"}': 1,
      'etcd_rafthttp_message_sent_failed_total{msgType="batch",remoteID="ff",sendingType="stream"}': 1,
      'etcd2_tls_certificate_not_before_seconds{side="peer"}': 1_500_000_000,
      'etcd2_tls_certificate_not_after_seconds{side="peer"}': 1_900_000_000,
      'etcd2_alarm{type="quota"}': 1,
      'etcd2_alarm{type="diskLow"}': 0,
      'grpc_server_handled_total{grpc_code="OK",grpc_method="ClusterInfo",grpc_service="raft.v1.RaftService",grpc_type="unary"}': 1,
      'grpc_server_msg_received_total{grpc_method="Stream",grpc_service="raft.v1.RaftService",grpc_type="bidi_stream"}': 4,
      etcd_storage_keys_total: 0,
    };
    for (const [key, value] of Object.entries(wanted)) assert.equal(all.get(key), value, key);
  });

  it("writes labels in the order of their names, bounds last", async () => {
    for (const key of series(await page(everything)).keys()) {
      if (key.startsWith("nodejs_")) continue;
      const names = [...key.matchAll(/(\w+)="/g)].map(([, name = ""]) => name);
      const last = ["le", "quantile"].includes(names.at(-1) ?? "") ? names.slice(0, -1) : names;
      assert.deepEqual(last, last.toSorted(), key);
    }
  });

  it("keeps the names of 2.3 and the extensive ones back unless asked", async () => {
    const body = await page(usual);
    for (const name of [
      "etcd_store_watchers",
      "etcd_storage_",
      "etcd_wal_fsync",
      "http_requests_total",
      "grpc_server_handling",
    ]) {
      assert.ok(!body.includes(`\n${name}`), name);
    }
  });

  it("has no quota without one, so that no alert takes 0 for full", async () => {
    const store = sources.store?.() ?? assert.fail();
    const body = await page(usual, { ...sources, store: () => ({ ...store, quotaBytes: 0 }) });
    assert.equal(series(body).has("etcd_server_quota_backend_bytes"), false);
  });

  it("can be had without any source, as a proxy needs it", async () => {
    const all = series(await page(everything, {}));
    assert.equal(all.has("etcd_server_has_leader"), false);
    assert.equal(all.get('etcd_proxy_handled_total{code="200",method="GET"}'), 1);
  });

  it("reads each source once", async () => {
    let reads = 0;
    const raft = () => {
      reads++;
      return sources.raft?.() ?? assert.fail();
    };
    const metrics = createMetrics(everything, { ...sources, raft });
    await metrics.page();
    assert.equal(reads, 1);
    await metrics.page();
    assert.equal(reads, 2);
  });

  it("counts its own scrapes", async () => {
    const metrics = createMetrics(everything, sources);
    await metrics.start();
    const first = series((await metrics.page()).body);
    assert.equal(first.get('http_requests_total{code="200",handler="prometheus",method="get"}'), 0);
    const second = series((await metrics.page()).body);
    assert.equal(
      second.get('http_requests_total{code="200",handler="prometheus",method="get"}'),
      1,
    );
    assert.equal(second.get('http_response_size_bytes_count{handler="prometheus"}'), 1);
  });
});

describe("a counting histogram", () => {
  it("agrees with a plain count for any values", () => {
    const bounds = doublingBuckets(0.001, 14);
    assert.equal(bounds.at(-1), 8.192);
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 20, noNaN: true })), (values) => {
        const histogram = new CountingHistogram(bounds);
        for (const value of values) histogram.observe(value);
        const plain = bounds.map((bound) => values.filter((value) => value <= bound).length);
        assert.deepEqual(histogram.cumulative(), plain);
        assert.equal(histogram.count, values.length);
      }),
      { seed: Number(process.env["SEED"] ?? Date.now()) },
    );
  });
});
