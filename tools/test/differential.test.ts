import assert from "node:assert/strict";
import { test } from "node:test";
import type { RawResponse } from "@etcd2/test-support/traces";
import { SeededRandom } from "@etcd2/test-support";
import { comparable, difference } from "../differential/comparison.ts";
import { randomKeyRequest } from "../differential/key-requests.ts";

function response(body: string, headers: Record<string, string> = {}, status = 200): RawResponse {
  return { status, headers: new Map(Object.entries(headers)), body, complete: true };
}

function compare(a: RawResponse, b: RawResponse, isSorted = true): string | undefined {
  return difference(comparable(a, isSorted), comparable(b, isSorted));
}

test("what must differ between two servers is no difference", () => {
  const node = (time: string, ttl: number): string => `{"expiration":"${time}","ttl":${ttl}}`;
  const a = response(node("2026-01-01T00:00:00.5Z", 500), { "x-raft-index": "7", date: "now" });
  const b = response(node("2026-01-01T00:00:00.123456789Z", 499), { "x-raft-index": "9" });
  assert.equal(compare(a, b), undefined);
});

test("status, headers and bytes of the body are compared", () => {
  const plain = response("a", { "x-etcd-index": "1", "x-raft-index": "1" });
  for (const other of [
    response("a", { "x-etcd-index": "1", "x-raft-index": "1" }, 201),
    response("a", { "x-etcd-index": "2", "x-raft-index": "1" }),
    response("a", { "x-etcd-index": "1" }),
    response("a\n", { "x-etcd-index": "1", "x-raft-index": "1" }),
  ]) {
    assert.notEqual(compare(plain, other), undefined, JSON.stringify(other));
  }
});

test("only listings that asked for an order must have it", () => {
  const [a, b] = [
    '{"node":{"nodes":[{"key":"/a"},{"key":"/b"}]}}',
    '{"node":{"nodes":[{"key":"/b"},{"key":"/a"}]}}',
  ].map((body) => response(body));
  assert.ok(a !== undefined && b !== undefined);
  assert.equal(compare(a, b, false), undefined);
  assert.notEqual(compare(a, b, true), undefined);
});

test("a seed stands for one sequence of requests", () => {
  const sequence = (seed: number): unknown[] => {
    const random = new SeededRandom(seed);
    return Array.from({ length: 50 }, () => randomKeyRequest(random, 10));
  };
  assert.deepEqual(sequence(5), sequence(5));
  assert.notDeepEqual(sequence(5), sequence(6));
});
