/** What a meter shows of what was counted, and of what it is told at a scrape. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CATALOGUE, CountingMeter, FAMILIES, type MetricSpec } from "../src/index.ts";

const SPECS: Readonly<Record<string, MetricSpec>> = CATALOGUE;

describe("the catalogue", () => {
  it("has a sentence for each family, and another name for none but a family that exists", () => {
    for (const [name, { help, of, labels, read }] of FAMILIES) {
      assert.match(help, /^[A-Z0-9].*\.$/, name);
      if (of === undefined) continue;
      const source = SPECS[of];
      assert.ok(
        source !== undefined && source.of === undefined,
        `${name} is another name for ${of}`,
      );
      assert.deepEqual([labels, read], [undefined, undefined], name);
    }
  });

  it("has ascending buckets for every histogram that is counted", () => {
    for (const [name, { type, of, buckets = [] }] of FAMILIES) {
      if (type !== "histogram" || of !== undefined) continue;
      assert.ok(buckets.length > 1, name);
      assert.deepEqual(
        buckets,
        buckets.toSorted((a, b) => a - b),
        name,
      );
    }
  });
});

describe("a meter", () => {
  it("gives the same instrument each time", () => {
    const meter = new CountingMeter();
    meter.counter("etcd_http_received_total").add(1, "GET");
    meter.counter("etcd_http_received_total").of("GET").add(2);
    assert.equal(meter.value("etcd_http_received_total", "GET"), 3);
    assert.equal(meter.value("etcd_http_received_total", "PUT"), 0);
  });

  it("shows labelled counters that are known beforehand as 0 before they occur, and once after", () => {
    const meter = new CountingMeter();
    const sample = (method: string, code: string): number[] =>
      meter
        .samples("grpc_server_handled_total")
        .filter(({ labels }) => labels["grpc_method"] === method && labels["grpc_code"] === code)
        .map(({ value }) => value);
    assert.deepEqual(sample("Stream", "OK"), [0]);
    meter.counter("grpc_server_handled_total").add(1, "Stream", "OK");
    meter.counter("grpc_server_handled_total").add(1, "Other", "OK");
    assert.deepEqual(sample("Stream", "OK"), [1]);
    assert.deepEqual(sample("Other", "OK"), [1]);
  });

  it("shows a family under its other name, with that name's labels", () => {
    const meter = new CountingMeter();
    const sent = meter.counter("etcd2_peer_sent_messages_total");
    sent.add(3, "00000000000000ff");
    sent.add(4, "00000000000000aa");
    const [main] = meter.samples("etcd2_peer_sent_messages_total");
    assert.deepEqual(main, { labels: { To: "ff" }, value: 3 });
    assert.deepEqual(
      meter.samples("grpc_server_msg_sent_total").map(({ value }) => value),
      [7],
    );
    meter.histogram("etcd2_proposal_duration_seconds").observe(0.5);
    const names = meter.samples("etcd_server_proposal_durations_seconds");
    assert.ok(names.every(({ metricName }) => metricName?.startsWith("etcd_server_proposal_")));
  });

  it("shows figures as of the last look at them, and none where nobody answers", () => {
    const meter = new CountingMeter();
    let term = 1;
    meter.collect();
    assert.deepEqual(meter.samples("etcd2_raft_term"), []);
    meter.read(() => ({ etcd2_raft_term: term }));
    meter.collect();
    term = 2;
    assert.deepEqual(meter.samples("etcd2_raft_term"), [{ labels: {}, value: 1 }]);
    meter.collect();
    assert.deepEqual(meter.samples("etcd2_raft_term"), [{ labels: {}, value: 2 }]);
  });

  it("shows a counter without labels as 0 from the start, and a gauge as it was set", () => {
    const meter = new CountingMeter();
    assert.deepEqual(meter.samples("etcd_server_proposals_failed_total"), [
      { labels: {}, value: 0 },
    ]);
    meter.gauge("etcd2_data_diverged").set(1);
    assert.deepEqual(meter.samples("etcd2_data_diverged"), [{ labels: {}, value: 1 }]);
  });
});
