import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

import type { Counter, Figures, Histogram } from "@etcd2/observability";
import { CountingMeter, FAMILIES } from "@etcd2/observability";
import type { MetricsOptions } from "../../src/metrics/registry.ts";
import { createMetrics } from "../../src/metrics/registry.ts";
import { info, portFigures, processFigures, storeFigures } from "../../src/metrics/figures.ts";
import type { ProcessFigures, StoreFigures } from "../../src/metrics/figures.ts";

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

const process: ProcessFigures = {
  fdsUsed: 42,
  fdLimit: 1024,
  certificates: [{ side: "peer", notBeforeSeconds: 1_500_000_000, notAfterSeconds: 1_900_000_000 }],
};

const store: StoreFigures = {
  stats,
  recursiveReads: 0,
  watchers: 6,
  etcdIndex: 50,
  historyFirstIndex: 1,
  historyLastIndex: 50,
  sizeBytes: 4096,
  liveBytes: 2048,
  quotaBytes: 8192,
};

/** What a member shows. */
const figures: Figures = {
  ...processFigures(process),
  ...portFigures({ connections: 3, connectionsMax: 900, receivedBytes: 10, sentBytes: 20 }),
  ...storeFigures(store),
  etcd_server_id: info("server_id", "ce2a822cea30bfca"),
  etcd_cluster_version: info("cluster_version", "2.3.0"),
  etcd_server_has_leader: true,
  etcd_server_is_leader: false,
  etcd_server_is_learner: false,
  etcd_server_leader_changes_seen_total: 2,
  etcd2_raft_term: 3,
  etcd_server_proposals_committed_total: 100,
  etcd_server_proposals_applied_total: 99,
  etcd2_raft_first_index: 1,
  etcd2_raft_last_index: 101,
  etcd_server_proposals_pending: 1,
  etcd_disk_wal_write_bytes_total: 7,
  etcd_network_active_peers: [{ labels: { Local: "ce2a822cea30bfca", Remote: "ff" }, value: 1 }],
  etcd2_bridge_watch_lag_revisions: 0,
  etcd2_bridge_watch_connected: true,
  etcd2_disk_free_bytes: 1e9,
  etcd2_disk_reserve_bytes: 1e8,
  etcd2_alarm: [
    { labels: { type: "diskLow" }, value: 0 },
    { labels: { type: "quota" }, value: 1 },
  ],
};

const everything: MetricsOptions = { compat: true, detail: "extensive", bridge: true };
const usual: MetricsOptions = { compat: false, detail: "basic" };

/** Counts once in every family that has labels, so that each has a series. */
function feed(meter: CountingMeter): void {
  for (const [name, { type, labels = [], of, read }] of FAMILIES) {
    if (of !== undefined || read === true || labels.length === 0) continue;
    const values = labels.map((label) => VALUES[label] ?? assert.fail(`${name}: ${label}`));
    if (type === "histogram") histogramOf(meter, name).observe(0.003, ...values);
    else counterOf(meter, name).add(AMOUNTS[name] ?? 1, ...values);
  }
}

/** Label values; "code" is a status of HTTP. */
const VALUES: Readonly<Record<string, string>> = {
  ...{ method: "PUT", code: "412", action: "getRecursive", kind: "read", verdict: "same" },
  ...{ To: "00000000000000ff", From: "00000000000000ff" },
  ...{ Local: "ce2a822cea30bfca", Remote: "00000000000000ff" },
  ...{ grpc_method: "ClusterInfo", grpc_code: "OK", proxying_error: "zero_endpoints" },
};

const AMOUNTS: Readonly<Record<string, number>> = {
  etcd_network_peer_sent_bytes_total: 1000,
  etcd_network_peer_received_bytes_total: 2000,
  etcd2_peer_received_messages_total: 4,
};

function counterOf(meter: CountingMeter, name: string): Counter<readonly string[]> {
  return meter.counter(name as "etcd_http_received_total");
}

function histogramOf(meter: CountingMeter, name: string): Histogram<readonly string[]> {
  return meter.histogram(name as "etcd_proxy_handling_duration_seconds");
}

async function page(options: MetricsOptions, from: Figures = figures): Promise<string> {
  const meter = new CountingMeter();
  meter.read(() => from);
  const metrics = createMetrics(options, meter);
  feed(meter);
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
      'etcd_network_peer_round_trip_time_seconds_bucket{To="ff",le="0.0032"}': 1,
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
    const body = await page(usual, { ...figures, ...storeFigures({ ...store, quotaBytes: 0 }) });
    assert.equal(series(body).has("etcd_server_quota_backend_bytes"), false);
  });

  it("can be had without any figure that is read, as a proxy needs it", async () => {
    const all = series(await page(everything, {}));
    assert.equal(all.has("etcd_server_has_leader"), false);
    assert.equal(all.get('etcd_proxy_handled_total{code="412",method="PUT"}'), 1);
  });

  it("asks for the figures once a page", async () => {
    let reads = 0;
    const meter = new CountingMeter();
    meter.read(() => {
      reads++;
      return figures;
    });
    const metrics = createMetrics(everything, meter);
    await metrics.page();
    assert.equal(reads, 1);
    await metrics.page();
    assert.equal(reads, 2);
  });

  it("counts its own scrapes", async () => {
    const metrics = createMetrics(everything, new CountingMeter());
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
