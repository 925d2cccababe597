import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { codeName, countCall, countedAnswer } from "../../src/grpc/call-counts.ts";

describe("counting calls", () => {
  const seen: string[] = [];
  const counters = {
    rpcStarted: (method: string) => seen.push(`begun ${method}`),
    rpcHandled: (method: string, code: string, seconds: number) =>
      seen.push(`${method} ${code} ${seconds}`),
  };

  it("names statuses as dashboards know them", () => {
    assert.deepEqual(
      [status.OK, status.CANCELLED, status.NOT_FOUND, status.UNAVAILABLE].map(codeName),
      ["OK", "Canceled", "NotFound", "Unavailable"],
    );
  });

  it("tells begin, end and time of a call, and passes its answer on", () => {
    let now = 1000;
    const ended = countCall(counters, "ClusterInfo", () => now);
    now = 3000;
    const answers: unknown[] = [];
    const answer = countedAnswer((error, value) => answers.push(error ?? value?.toString()), ended);
    answer(null, Buffer.from("yes"));
    assert.deepEqual(answers, ["yes"]);
    assert.deepEqual(seen.splice(0), ["begun ClusterInfo", "ClusterInfo OK 2"]);
  });

  it("does nothing where nobody counts", () => {
    countCall(undefined, "Stream", () => 0)(status.OK);
    assert.deepEqual(seen, []);
  });
});
