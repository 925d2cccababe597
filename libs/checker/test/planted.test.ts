/** Each check lets a right history pass and catches a wrong one. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KnownHistory } from "../src/events.ts";
import type { KnownEvent, KnownNode } from "../src/events.ts";
import { checkLives } from "../src/lives.ts";
import { checkOperations } from "../src/operations.ts";
import type { ClientOperation, OperationOutcome } from "../src/operations.ts";
import { checkWatch } from "../src/watches.ts";
import type { WatchStep } from "../src/watches.ts";

const node = (key: string, value: string, created: number, modified: number): KnownNode => ({
  ...{ key, value, createdIndex: created, modifiedIndex: modified },
});
const gone = (key: string, created: number, modified: number): KnownNode => ({
  ...{ key, createdIndex: created, modifiedIndex: modified },
});
const first = node("/a", "client-1", 1, 1);
const second = node("/a", "client-2", 1, 2);
const events: readonly KnownEvent[] = [
  { action: "create", node: first, index: 1 },
  { action: "compareAndSwap", node: second, prevNode: first, index: 2 },
  { action: "set", node: node("/d/x/_h", "client-3", 3, 3), index: 3 },
  { action: "set", node: node("/d/x/y", "client-4", 4, 4), index: 4 },
  {
    ...{ action: "delete", node: { ...gone("/d", 3, 5), dir: true }, index: 5 },
    prevNode: { key: "/d", dir: true, createdIndex: 3, modifiedIndex: 3 },
    removed: new Set(["/d/x", "/d/x/_h", "/d/x/y"]),
  },
  { action: "expire", node: gone("/a", 1, 6), prevNode: second, index: 6 },
];
const history = new KnownHistory(events);

let clock = 0;
/** One request after another, unless times are given. */
function operation(
  kind: ClientOperation["kind"],
  outcome: OperationOutcome,
  rest: Partial<ClientOperation> = {},
): ClientOperation {
  clock += 10;
  const times = { call: clock, return: clock + 5 };
  return { kind, text: `${kind} ${clock}`, key: "/a", member: "m1", outcome, ...times, ...rest };
}
const written = (event: KnownEvent | undefined): OperationOutcome => {
  assert.ok(event !== undefined);
  const { action, node: told, prevNode, index } = event;
  return { kind: "written", action, node: told, prevNode, index };
};
const found = (told: KnownNode | undefined, index: number): OperationOutcome => ({
  ...{ kind: "found", node: told, index },
});
const refused = (code: number, index: number): OperationOutcome => ({
  ...{ kind: "refused", code, index },
});
const others = [2, 3, 4].map((value) =>
  operation("write", { kind: "unknown" }, { value: `client-${value}`, return: Infinity }),
);
const creation = operation("write", written(events[0]), { value: "client-1" });

function problems(...operations: readonly ClientOperation[]): readonly string[] {
  const writes = operations.some(({ value }) => value === "client-1") ? [] : [creation];
  const rest = others.filter(({ value }) => !operations.some((each) => each.value === value));
  return checkOperations(history, [...writes, ...rest, ...operations]);
}

describe("the check of requests", () => {
  it("passes a history in which every answer is right", () => {
    const right = [
      operation("read", found(first, 1)),
      operation("write", written(events[1]), { value: "client-2", wanted: { index: 1 } }),
      operation("read", found(second, 2)),
      operation("write", refused(101, 2), { value: "client-9", wanted: { value: "client-1" } }),
      operation("localRead", found(first, 1), { member: "m2" }),
      operation("read", found(undefined, 6)),
      operation("write", refused(100, 6)),
    ];
    assert.deepEqual(problems(...right), []);
  });

  const wrong: readonly (readonly [string, RegExp, () => readonly ClientOperation[]])[] = [
    [
      "an acknowledged write that is lost",
      /lost/,
      () => [operation("write", written({ action: "set", node: second, index: 99 }))],
    ],
    [
      "a wrong createdIndex",
      /was told/,
      () => [
        operation("write", { ...written(events[1]), node: node("/a", "client-2", 2, 2) } as never, {
          value: "client-2",
        }),
      ],
    ],
    [
      "a wrong prevNode",
      /was told/,
      () => [
        operation("write", { ...written(events[1]), prevNode: undefined } as never, {
          value: "client-2",
        }),
      ],
    ],
    [
      "a swap whose condition did not hold",
      /took effect where/,
      () => [
        operation("write", written(events[1]), { value: "client-2", wanted: { value: "other" } }),
      ],
    ],
    [
      "a comparison that failed although it held",
      /failed to compare/,
      () => [operation("write", refused(101, 2), { wanted: { index: 2 } })],
    ],
    [
      "a key said to be missing that is there",
      /no key/,
      () => [operation("write", refused(100, 2))],
    ],
    ["a key said to exist that does not", /exists/, () => [operation("write", refused(105, 6))]],
    [
      "a read of something else than there was",
      /found/,
      () => [operation("read", found(first, 2))],
    ],
    [
      "a quorum read of an older state than was shown before",
      /began after/,
      () => [operation("read", found(second, 2)), operation("read", found(first, 1))],
    ],
    [
      "a write that takes its place before one that had ended",
      /began after/,
      () => [
        operation("read", found(second, 3)),
        operation("write", written(events[1]), { value: "client-2" }),
      ],
    ],
    [
      "a member that goes back",
      /went back/,
      () => [operation("localRead", found(second, 2)), operation("localRead", found(first, 1))],
    ],
    [
      "a refused write that took effect",
      /was refused, and took effect/,
      () => [operation("write", refused(105, 1), { value: "client-2" })],
    ],
  ];
  for (const [name, pattern, make] of wrong) {
    it(`catches ${name}`, () => {
      assert.match(problems(...make()).join("\n"), pattern);
    });
  }

  it("catches a value that nobody wrote", () => {
    assert.match(checkOperations(history, [creation]).join("\n"), /nobody wrote/);
  });

  it("catches a write that took effect twice", () => {
    const twice = new KnownHistory([
      { action: "set", node: first, index: 1 },
      { action: "set", node: node("/a", "client-1", 2, 2), prevNode: first, index: 2 },
    ]);
    const unknown = operation("write", { kind: "unknown" }, { value: "client-1" });
    assert.match(checkOperations(twice, [unknown]).join("\n"), /took effect twice/);
  });
});

describe("the check of watches", () => {
  const told = (event: KnownEvent | undefined): WatchStep => {
    assert.ok(event !== undefined);
    return { kind: "told", event };
  };
  const check = (path: string, steps: readonly WatchStep[], from = 1): readonly string[] =>
    checkWatch(history, { name: "w", path, recursive: true, from, steps, until: 6 }, 1000);
  const [one, two, , four, five, six] = events;

  it("passes what is complete, hidden nodes left out, a removed directory told below it", () => {
    assert.deepEqual(check("/", [one, two, four, five, six].map(told)), []);
    assert.deepEqual(check("/d/x/y", [four, five].map(told)), []);
    assert.deepEqual(check("/a", [two, six].map(told), 2), []);
  });

  it("catches a gap", () => {
    assert.match(check("/a", [one, six].map(told)).join(), /due was/);
  });
  it("catches a missing end", () => {
    assert.match(check("/a", [one, two].map(told)).join(), /never told/);
  });
  it("catches an event told twice", () => {
    assert.match(check("/a", [one, two, two, six].map(told)).join(), /due was/);
  });
  it("catches two events in the wrong order", () => {
    assert.match(check("/a", [two, one, six].map(told)).join(), /due was/);
  });
  it("catches a hidden node that is shown", () => {
    assert.match(check("/d", [events[2], four, five].map(told)).join(), /due was/);
  });
  it("catches a wrong action and a wrong prevNode", () => {
    assert.ok(one !== undefined && two !== undefined && six !== undefined);
    assert.match(check("/a", [told(one), told({ ...two, action: "set" })]).join(), /due was/);
    assert.match(check("/a", [told(one), told({ ...two, prevNode: undefined })]).join(), /due was/);
  });
  it("catches a history that is said to be gone and is not", () => {
    const cleared: WatchStep = { kind: "cleared", wanted: 1, first: 3, resumed: 7 };
    assert.match(check("/a", [cleared]).join(), /cleared/);
    const record = { name: "w", path: "/a", recursive: false, from: 1, steps: [cleared], until: 6 };
    assert.deepEqual(checkWatch(history, record, 3), []);
  });
});

describe("the check of lives", () => {
  const lives = [{ text: "PUT /a", index: 2, call: 1000, ttlMs: 2000 }];
  it("passes an end in time, and catches one that is early", () => {
    assert.deepEqual(
      checkLives(history, lives, () => 3000, 1),
      [],
    );
    assert.match(checkLives(history, lives, () => 2990, 1).join(), /ended at index 6/);
    assert.deepEqual(
      checkLives(history, lives, () => 2990, 1.05),
      [],
    );
  });
});
