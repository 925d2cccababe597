/** What crosses between threads comes out as it went in. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encodeCommand,
  encodeCommandBody,
  withRequestId,
} from "../../src/encoding/command-codec.ts";
import { EtcdError } from "../../src/model/errors.ts";
import type { StoreEvent } from "../../src/model/event.ts";
import { OutcomeWriter, readOutcomes } from "../../src/shared/outcome-codec.ts";
import { command, TestStore } from "../support.ts";

test("a body with an id put before it is the command as it is encoded at once", () => {
  const id = { session: 2 ** 46 + 5, sequence: 300 };
  for (const given of [
    command("set", "/1/\u00e4", { value: "v".repeat(20_000), expirationMs: 5, ttlMs: 7 }),
    command("compareAndSwap", "/1/a", { prevIndex: 7, prevValue: "x", value: "" }),
    command("delete", "/1/a", { dir: true, recursive: true }),
  ]) {
    assert.deepEqual(withRequestId(id, encodeCommandBody(given)), encodeCommand(id, given));
  }
});

test("events and refusals come out under the numbers of their requests, in order", async () => {
  const store = await TestStore.open();
  const events: StoreEvent[] = [
    store.write("set", "/1/a", { value: "\u00ff" }),
    store.write("set", "/1/a", { value: "2" }),
    store.write("create", "/1/d", { dir: true }),
    store.write("delete", "/1/a"),
  ];
  const refusal = new EtcdError(101, "[2 != 1]", 12);
  const writer = new OutcomeWriter();
  assert.ok(writer.isEmpty);
  for (const [at, event] of events.entries()) {
    writer.add(2 ** 40 + at, { event, raftIndex: at + 10, raftTerm: 3 });
  }
  writer.add(7, refusal);
  const outcomes: unknown[] = [];
  readOutcomes(writer.take(), (request, outcome) => {
    outcomes.push([request, outcome]);
  });
  assert.ok(writer.isEmpty);
  for (const [at, event] of events.entries()) {
    const [request, outcome] = outcomes[at] as [number, { event: StoreEvent; raftIndex: number }];
    assert.equal(request, 2 ** 40 + at);
    assert.equal(outcome.raftIndex, at + 10);
    assert.deepEqual({ ...outcome.event, removed: undefined }, { ...event, removed: undefined });
  }
  const [request, error] = outcomes.at(-1) as [number, EtcdError];
  assert.equal(request, 7);
  assert.ok(error instanceof EtcdError);
  const { code, cause, index } = error;
  assert.deepEqual({ code, cause, index }, { code: 101, cause: "[2 != 1]", index: 12 });
});
