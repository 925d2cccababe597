/** The records beside the values. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  decodeAnnouncement,
  decodeDirectoryRecord,
  decodeFileRecord,
  encodeAnnouncement,
  encodeDirectoryRecord,
  encodeFileRecord,
} from "../../src/mapping/node-record.ts";

const PLAIN = { noNullPrototype: true };

const file = fc.record(
  {
    action: fc.constantFrom("set", "create", "update", "compareAndSwap"),
    createdIndex: fc.maxSafeNat(),
    expirationMs: fc.option(fc.maxSafeInteger(), { nil: undefined }),
    refresh: fc.boolean(),
  },
  PLAIN,
);
const directory = fc
  .tuple(file, fc.record({ modifiedIndex: fc.maxSafeNat(), isImplicit: fc.boolean() }, PLAIN))
  .map(([node, rest]) => ({ ...node, ...rest }));
const announcement = fc.record(
  {
    action: fc.constantFrom("delete", "compareAndDelete", "expire"),
    path: fc
      .uint8Array({ maxLength: 9 })
      .map((bytes) => `/${Buffer.from(bytes).toString("latin1")}`),
    dir: fc.boolean(),
  },
  PLAIN,
);

test("records come back as they were written", () => {
  fc.assert(
    fc.property(file, directory, announcement, (one, two, three) => {
      assert.deepEqual(decodeFileRecord(encodeFileRecord(one)), one);
      assert.deepEqual(decodeDirectoryRecord(encodeDirectoryRecord(two)), two);
      assert.deepEqual(decodeAnnouncement(encodeAnnouncement(three)), three);
    }),
  );
});

test("what a person would read is short", () => {
  const record = {
    action: "set",
    createdIndex: 0,
    expirationMs: undefined,
    refresh: false,
  } as const;
  assert.equal(encodeFileRecord(record).toString(), '{"action":"set"}');
});

test("anything else is no record", () => {
  const texts = ["", "x", "[]", "1", "{}", '{"action":"get"}', '{"action":"set","created":-1}'];
  for (const text of [...texts, '{"action":"set","expires":"1"}']) {
    assert.equal(decodeFileRecord(Buffer.from(text)), undefined, text);
    assert.equal(decodeDirectoryRecord(Buffer.from(text)), undefined, text);
    assert.equal(decodeAnnouncement(Buffer.from(text)), undefined, text);
  }
});
