/** What a member remembers of its health for the console. */
import { CountingMeter } from "@etcd2/observability";
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HealthSamples, quantile } from "../../src/console/health-samples.ts";

function member(): {
  meter: CountingMeter;
  samples: HealthSamples;
  pass: (ms: number) => void;
} {
  let nowMs = 0;
  const meter = new CountingMeter();
  const samples = new HealthSamples({
    meter,
    storeBytes: () => 1234,
    pendingProposals: () => 3,
    shownId: (id) => `id ${id}`,
    wallMs: () => 1_000_000 + nowMs,
    now: () => nowMs,
  });
  return { meter, samples, pass: (ms) => (nowMs += ms) };
}

function isBetween(value: number | undefined, low: number, high: number): boolean {
  return value !== undefined && value >= low && value <= high;
}

describe("health samples", () => {
  test("tell what happened since the sample before, a second", () => {
    const { meter, samples, pass } = member();
    for (let i = 0; i < 100; i++) {
      meter.counter("etcd_http_received_total").add(1, "PUT");
      meter.histogram("etcd_http_successful_duration_seconds").observe(0.003, "PUT");
      meter.histogram("etcd2_proposal_duration_seconds").observe(0.003);
      meter.histogram("etcd_disk_wal_fsync_duration_seconds").observe(0.003);
      meter.histogram("etcd_network_peer_round_trip_time_seconds").observe(0.001, "b");
    }
    pass(5000);
    samples.take();
    pass(5000);
    samples.take();
    const [first, second] = samples.since(0);
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(first.atMs, 1_005_000);
    const [put] = first.methods ?? [];
    assert.ok(put !== undefined);
    assert.equal(put.perSecond, 20);
    assert.ok(isBetween(put.p99Seconds, 0.002, 0.004));
    assert.equal(first.proposalsPerSecond, 20);
    assert.ok(isBetween(first.fsyncP99Seconds, 0.002, 0.004));
    const [trip] = first.roundTrips ?? [];
    assert.equal(trip?.memberId, "id b");
    assert.ok(isBetween(trip.seconds, 0.00099, 0.00101));
    assert.equal(first.storeBytes, 1234);
    assert.equal(first.pendingProposals, 3);
    assert.deepEqual(second.methods, [{ method: "PUT", perSecond: 0, p99Seconds: 0 }]);
    assert.deepEqual(second.roundTrips, []);
    assert.equal(second.fsyncP99Seconds, 0);
  });

  test("go back ten minutes, and are given from a moment on", () => {
    const { samples, pass } = member();
    for (let i = 0; i < 130; i++) {
      pass(5000);
      samples.take();
    }
    assert.equal(samples.since(0).length, 120);
    assert.equal(samples.since(1_000_000 + 128 * 5000).length, 2);
  });

  test("take a quantile as spread evenly in its bucket, and the last bound beyond all", () => {
    assert.equal(quantile(0.5, [1, 2, 4], [0, 10, 10], 10), 1.5);
    assert.equal(quantile(0.99, [1, 2, 4], [0, 0, 0], 10), 4);
    assert.equal(quantile(1, [1, 2, 4], [5, 10, 10], 10), 2);
  });
});
