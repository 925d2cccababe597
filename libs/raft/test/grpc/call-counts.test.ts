/** The calls of the peer service as they are counted, and what their statuses are called. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CountingMeter } from "@etcd2/observability";
import { status } from "@grpc/grpc-js";
import {
  codeName,
  countCall,
  countedAnswer,
  createCallCounts,
} from "../../src/grpc/call-counts.ts";

describe("counting calls", () => {
  it("names statuses as dashboards know them", () => {
    assert.deepEqual(
      [status.OK, status.CANCELLED, status.NOT_FOUND, status.UNAVAILABLE].map(codeName),
      ["OK", "Canceled", "NotFound", "Unavailable"],
    );
  });

  it("tells begin, end and time of a call, and passes its answer on", () => {
    const meter = new CountingMeter();
    let now = 1000;
    const ended = countCall(createCallCounts(meter), "ClusterInfo", () => now);
    assert.equal(meter.value("grpc_server_started_total", "ClusterInfo"), 1);
    now = 3000;
    const answers: unknown[] = [];
    const answer = countedAnswer((error, value) => answers.push(error ?? value?.toString()), ended);
    answer(null, Buffer.from("yes"));
    assert.deepEqual(answers, ["yes"]);
    assert.equal(meter.value("grpc_server_handled_total", "ClusterInfo", "OK"), 1);
    const samples = meter.samples("grpc_server_handling_seconds");
    assert.equal(samples.find(({ metricName }) => metricName?.endsWith("_sum"))?.value, 2);
  });
});
