/** The small parts of a link, without sockets. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Metadata, status as grpcStatus } from "@grpc/grpc-js";
import fc from "fast-check";
import { seedOfRun } from "@etcd2/test-support";
import { Backoff } from "../../../src/transport/backoff.ts";
import type { Message } from "../../../src/core/model/types.ts";
import type { Hello } from "../../../src/codec/frames.ts";
import { LinkLosses } from "../../../src/transport/link-losses.ts";
import { messageSizeEstimate } from "../../../src/codec/messages.ts";
import { parsePeerUrl } from "../../../src/transport/peer-client.ts";
import {
  refusalIn,
  refusalStatus,
  refuseAnswer,
  refuseHello,
  removedRefusal,
} from "../../../src/transport/refusal.ts";
import type { Refusal } from "../../../src/transport/refusal.ts";
import { SendQueue } from "../../../src/transport/links/send-queue.ts";
import { memberId } from "../../grpc/grpc-transport-harness.ts";

const seed = seedOfRun("peer properties");
fc.configureGlobal({ seed });

function heartbeat(n: number): Message {
  return { type: "heartbeat", from: memberId(1), to: memberId(2), term: 1, commit: n, context: "" };
}

function numbers(messages: readonly Message[]): number[] {
  return messages.map((m) => (m.type === "heartbeat" ? m.commit : -1));
}

describe("back-off", () => {
  it("doubles from the least to the greatest wait and starts anew after a reset", () => {
    const backoff = new Backoff({ minMs: 100, maxMs: 1000 }, () => 0);
    assert.deepEqual(
      Array.from({ length: 6 }, () => backoff.next()),
      [100, 200, 400, 800, 1000, 1000],
    );
    backoff.reset();
    assert.equal(backoff.next(), 100);
  });

  it("stays within its bounds for any randomness and any number of attempts", () => {
    const draws = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
      minLength: 1,
      maxLength: 2000,
    });
    fc.assert(
      fc.property(draws, (values) => {
        let at = 0;
        const backoff = new Backoff({ minMs: 100, maxMs: 1000 }, () => values[at++] ?? 0);
        while (at < values.length) {
          const wait = backoff.next();
          assert.ok(wait >= 100 && wait <= 1000, `${wait} ms`);
        }
      }),
    );
  });
});

describe("a send queue", () => {
  it("hands out in order what it was given, in batches of at most the bytes asked for", () => {
    fc.assert(
      fc.property(fc.nat(3000), fc.integer({ min: 1, max: 2000 }), (count, batch) => {
        const queue = new SendQueue({ countMax: 5000, bytesMax: 1e9 }, "refuseNew");
        for (let i = 0; i < count; i++) assert.equal(queue.push(heartbeat(i)), 0);
        const got: Message[] = [];
        while (queue.length > 0) {
          const taken = queue.take(batch);
          const bytes = taken.reduce((sum, m) => sum + messageSizeEstimate(m), 0);
          assert.ok(taken.length === 1 || bytes <= batch);
          got.push(...taken);
        }
        assert.deepEqual(
          numbers(got),
          Array.from({ length: count }, (_, i) => i),
        );
        assert.equal(queue.bytes, 0);
      }),
      { numRuns: 30 },
    );
  });

  it("that refuses the new keeps the oldest, gapless", () => {
    const queue = new SendQueue({ countMax: 3, bytesMax: 1e9 }, "refuseNew");
    const lost = [1, 2, 3, 4, 5].map((n) => queue.push(heartbeat(n)));
    assert.deepEqual(lost, [0, 0, 0, 1, 1]);
    assert.deepEqual(numbers(queue.take(1e9)), [1, 2, 3]);
  });

  it("that drops the oldest keeps the newest", () => {
    const queue = new SendQueue({ countMax: 3, bytesMax: 1e9 }, "dropOldest");
    const lost = [1, 2, 3, 4, 5].map((n) => queue.push(heartbeat(n)));
    assert.deepEqual(lost, [0, 0, 0, 1, 1]);
    assert.deepEqual(numbers(queue.take(1e9)), [3, 4, 5]);
  });

  it("is bounded by bytes as well, and still lets one large message in", () => {
    const size = messageSizeEstimate(heartbeat(1));
    const queue = new SendQueue({ countMax: 100, bytesMax: 2 * size }, "dropOldest");
    for (let n = 1; n <= 5; n++) queue.push(heartbeat(n));
    assert.ok(queue.bytes <= 2 * size);
    assert.deepEqual(numbers(queue.take(1e9)), [4, 5]);
    const narrow = new SendQueue({ countMax: 100, bytesMax: 1 }, "refuseNew");
    assert.equal(narrow.push(heartbeat(1)), 0);
    assert.equal(narrow.push(heartbeat(2)), 1);
  });
});

describe("losses of links", () => {
  it("are reported once for all streams that were up, and again for those opened after", () => {
    const reports: string[] = [];
    const losses = new LinkLosses((id) => reports.push(id));
    const before = losses.generation("a");
    for (let i = 0; i < 4; i++) losses.lost("a", before);
    assert.deepEqual(reports, ["a"]);
    const after = losses.generation("a");
    losses.lost("a", before);
    assert.deepEqual(reports, ["a"], "a late reset of an old stream is old news");
    losses.lost("a", after);
    losses.lost("b", losses.generation("b"));
    assert.deepEqual(reports, ["a", "a", "b"]);
  });
});

describe("peer URLs", () => {
  it("may name every host that a resolver may know, and keep it as it is written", () => {
    for (const host of ["etcd.1", "a_b", "Host.", "010.0.0.1", "1.2.3.4.5", "[fe80::1%25lo]"]) {
      assert.equal(parsePeerUrl(`http://${host}:1`).text, `http://${host}:1`);
    }
  });

  it("are http or https with a host", () => {
    assert.equal(parsePeerUrl("https://h:1").port, "1");
    for (const text of [
      "",
      "h:2380",
      "ftp://h",
      "http://",
      "http://h:65536",
      "http://%41:1",
      "unix:///x",
    ]) {
      assert.throws(() => parsePeerUrl(text), text);
    }
  });
});

describe("the verdict on a hello", () => {
  const own = {
    clusterId: "c1",
    memberId: memberId(2),
    serverVersion: "2.4.1",
    minClusterVersion: "2.3.0",
  };
  const hello: Hello = {
    clusterId: "c1",
    from: memberId(1),
    to: memberId(2),
    serverVersion: "2.4.0",
    minClusterVersion: "2.4.0",
  };
  const nobodyRemoved = (): boolean => false;

  it("lets in whoever fits, whether known or not", () => {
    assert.equal(refuseHello(hello, own, nobodyRemoved), undefined);
    assert.equal(refuseHello({ ...hello, from: memberId(77) }, own, nobodyRemoved), undefined);
    assert.equal(
      refuseHello({ ...hello, serverVersion: "3.0.0-rc.1" }, own, nobodyRemoved),
      undefined,
    );
    assert.equal(refuseAnswer({ ...hello, from: memberId(3) }, own, memberId(3)), undefined);
  });

  it("names the first thing that does not fit, the cluster before all", () => {
    const wrong: Hello = { ...hello, clusterId: "c2", to: memberId(3), serverVersion: "1.0.0" };
    const reasonOf = (h: Hello, removed: boolean): string =>
      refuseHello(h, own, () => removed)?.reason ?? "none";
    assert.equal(reasonOf(wrong, true), "clusterMismatch");
    assert.equal(reasonOf({ ...wrong, clusterId: "c1" }, true), "removed");
    assert.equal(reasonOf({ ...wrong, clusterId: "c1" }, false), "memberMismatch");
    assert.equal(reasonOf({ ...hello, serverVersion: "2.2.9" }, false), "version");
    assert.equal(reasonOf({ ...hello, minClusterVersion: "2.5.0" }, false), "version");
    assert.equal(reasonOf({ ...hello, serverVersion: "what" }, false), "version");
    assert.equal(
      refuseAnswer({ ...hello, from: memberId(4) }, own, memberId(3))?.reason,
      "memberMismatch",
    );
    assert.equal(
      refuseAnswer({ ...hello, clusterId: "" }, own, memberId(1))?.reason,
      "clusterMismatch",
    );
  });

  it("travels in a gRPC status and is not read out of others", () => {
    const refusal: Refusal = removedRefusal(memberId(1), own);
    const status = refusalStatus(refusal);
    assert.equal(status.code, grpcStatus.PERMISSION_DENIED);
    assert.deepEqual(refusalIn(status), refusal);
    const metadata = new Metadata();
    const other = { code: grpcStatus.PERMISSION_DENIED, details: refusal.details, metadata };
    assert.equal(refusalIn(other), undefined);
    metadata.set("etcd2-refusal", "no such reason");
    assert.equal(refusalIn(other), undefined);
  });
});
