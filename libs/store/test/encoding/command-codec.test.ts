import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Action, CommandSchema, ExpiredNodeSchema, LifeLeftSchema } from "@etcd2/proto/command";
import fc from "fast-check";
import { seedOfRun } from "@etcd2/test-support";
import { decodeCommand, decodeRequestId, encodeCommand } from "../../src/encoding/command-codec.ts";
import type { Command, RequestId, WriteAction } from "../../src/model/command.ts";
import { command as write } from "../support.ts";

/** Records with the ordinary prototype: deepEqual sees the difference. */
const PLAIN = { noNullPrototype: true } as const;
const parameters = { seed: seedOfRun(), numRuns: 1500 };

const ACTIONS: Readonly<Record<WriteAction, Action>> = {
  set: Action.SET,
  create: Action.CREATE,
  createInOrder: Action.CREATE_IN_ORDER,
  update: Action.UPDATE,
  compareAndSwap: Action.COMPARE_AND_SWAP,
  delete: Action.DELETE,
  compareAndDelete: Action.COMPARE_AND_DELETE,
};

const text = fc
  .array(fc.integer({ min: 0, max: 255 }), { maxLength: 60 })
  .map((codes) => String.fromCharCode(...codes));
const path = text.map((t) => `/1/${t.replaceAll("/", ".")}x`);
const time = fc.integer({ min: 1 - 2 ** 52, max: 2 ** 52 - 1 });
const index = fc.oneof(fc.nat(300), fc.maxSafeNat());
const optionalTime = fc.option(time, { nil: undefined });

const writeCommand: fc.Arbitrary<Command> = fc.record(
  {
    action: fc.constantFrom(...(Object.keys(ACTIONS) as WriteAction[])),
    path,
    value: text,
    dir: fc.boolean(),
    recursive: fc.boolean(),
    prevValue: text,
    prevIndex: index,
    refresh: fc.boolean(),
    expirationMs: optionalTime,
    ttlMs: optionalTime,
  },
  PLAIN,
);
const expireCommand: fc.Arbitrary<Command> = fc.record(
  {
    action: fc.constant("expire" as const),
    expired: fc.array(fc.record({ path, modifiedIndex: index, expirationMs: time }, PLAIN)),
  },
  PLAIN,
);
const livesCommand: fc.Arbitrary<Command> = fc.record(
  {
    action: fc.constant("expire" as const),
    expired: fc.array(fc.record({ path, modifiedIndex: index, expirationMs: time }, PLAIN)),
    lives: fc.array(
      fc.record({ path, modifiedIndex: index, expirationMs: time, leftMs: index }, PLAIN),
      { minLength: 1 },
    ),
  },
  PLAIN,
);
const versionCommand: fc.Arbitrary<Command> = fc.record(
  {
    action: fc.constant("clusterVersion" as const),
    value: text,
  },
  PLAIN,
);
const command = fc.oneof(writeCommand, expireCommand, livesCommand, versionCommand);
const requestId: fc.Arbitrary<RequestId> = fc.record({ session: index, sequence: index }, PLAIN);

const bytes = (value: string): Uint8Array => Buffer.from(value, "latin1");
const latin1 = (value: Uint8Array): string => Buffer.from(value).toString("latin1");

/** The same command as the generated schema holds it. */
function asMessage(id: RequestId, given: Command): ReturnType<typeof create<typeof CommandSchema>> {
  const head = { session: BigInt(id.session), sequence: BigInt(id.sequence) };
  if (given.action === "group") assert.fail("groups have no wire form");
  if (given.action === "clusterVersion") {
    const action = Action.CLUSTER_VERSION;
    return create(CommandSchema, { ...head, action, value: bytes(given.value) });
  }
  if (given.action === "expire") {
    const expired = given.expired.map((node) =>
      create(ExpiredNodeSchema, {
        path: bytes(node.path),
        modifiedIndex: BigInt(node.modifiedIndex),
        expirationMs: BigInt(node.expirationMs),
      }),
    );
    const lives = (given.lives ?? []).map((node) =>
      create(LifeLeftSchema, {
        path: bytes(node.path),
        modifiedIndex: BigInt(node.modifiedIndex),
        expirationMs: BigInt(node.expirationMs),
        leftMs: BigInt(node.leftMs),
      }),
    );
    return create(CommandSchema, { ...head, action: Action.EXPIRE, expired, lives });
  }
  const { expirationMs, ttlMs } = given;
  return create(CommandSchema, {
    ...head,
    action: ACTIONS[given.action],
    path: bytes(given.path),
    value: bytes(given.value),
    dir: given.dir,
    recursive: given.recursive,
    prevValue: bytes(given.prevValue),
    prevIndex: BigInt(given.prevIndex),
    refresh: given.refresh,
    ...(expirationMs === undefined ? {} : { expirationMs: BigInt(expirationMs) }),
    ...(ttlMs === undefined ? {} : { ttlMs: BigInt(ttlMs) }),
  });
}

test("what is encoded decodes to the same", () => {
  fc.assert(
    fc.property(requestId, command, (id, given) => {
      assert.deepEqual(decodeCommand(encodeCommand(id, given)), { id, command: given });
    }),
    parameters,
  );
});

test("the request id is found without decoding the rest", () => {
  fc.assert(
    fc.property(requestId, command, (id, given) => {
      const found = decodeRequestId(encodeCommand(id, given));
      assert.deepEqual(found, id.session === 0 || id.sequence === 0 ? undefined : id);
    }),
    parameters,
  );
  assert.equal(decodeRequestId(bytes("")), undefined);
  assert.equal(decodeRequestId(bytes("no command")), undefined);
});

test("the generated schema reads what is encoded", () => {
  fc.assert(
    fc.property(requestId, command, (id, given) => {
      const message = fromBinary(CommandSchema, encodeCommand(id, given));
      assert.equal(message.$unknown, undefined);
      assert.deepEqual(
        toBinary(CommandSchema, message),
        toBinary(CommandSchema, asMessage(id, given)),
      );
    }),
    parameters,
  );
});

test("what the generated schema writes is decoded", () => {
  fc.assert(
    fc.property(requestId, command, (id, given) => {
      const encoded = toBinary(CommandSchema, asMessage(id, given));
      assert.deepEqual(decodeCommand(encoded), { id, command: given });
    }),
    parameters,
  );
});

test("damaged bytes give a command or a typed error, never anything else", () => {
  fc.assert(
    fc.property(requestId, command, fc.nat(), fc.nat(255), fc.nat(), (id, given, at, to, cut) => {
      const damaged = Buffer.from(encodeCommand(id, given));
      if (damaged.length > 0) damaged[at % damaged.length] = to;
      const shortened = damaged.subarray(0, damaged.length - (cut % 5));
      try {
        decodeCommand(shortened);
      } catch (error) {
        assert.ok(error instanceof Error);
        assert.equal(error.name, "StoreError");
        assert.equal("code" in error ? error.code : undefined, "malformed");
      }
    }),
    parameters,
  );
});

test("fields of a later version are passed over", () => {
  const id = { session: 5, sequence: 9 };
  const set = write("set", "/1/a", { value: "x" });
  // Fields 20 to 23: a varint, 8 bytes, a string, 4 bytes.
  const later = Buffer.from("a001ff01a9010102030405060708b20103616263bd0101020304", "hex");
  const extended = Buffer.concat([encodeCommand(id, set), later]);
  assert.deepEqual(decodeCommand(extended), { id, command: set });
});

const bad: readonly [string, Uint8Array][] = [
  ["an empty message", new Uint8Array()],
  ["an unknown action", encodeWith({ action: 77 as Action })],
  ["no path", encodeWith({ path: "" })],
  ["a path that ends in a slash", encodeWith({ path: "/1/a/" })],
  ["a path with an empty element", encodeWith({ path: "/1//a" })],
  ["a relative path", encodeWith({ path: "1/a" })],
  ["an index beyond the safe integers", encodeWith({ prevIndex: 2n ** 60n })],
  ["field number 0", Buffer.of(0x02, 0x00)],
  ["a group wire type", Buffer.of(0x0b)],
];

function encodeWith(changes: { action?: Action; path?: string; prevIndex?: bigint }): Uint8Array {
  const message = create(CommandSchema, {
    action: changes.action ?? Action.SET,
    path: bytes(changes.path ?? "/1/a"),
    prevIndex: changes.prevIndex ?? 0n,
  });
  return toBinary(CommandSchema, message);
}

for (const [title, given] of bad) {
  test(`${title} is malformed`, () => {
    assert.throws(() => decodeCommand(given), { name: "StoreError", code: "malformed" });
  });
}

test("a group is never encoded", () => {
  const group: Command = { action: "group", writes: [] };
  assert.throws(() => encodeCommand({ session: 1, sequence: 1 }, group), {
    name: "InvariantError",
  });
});

test("keys and values keep every byte", () => {
  const all = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  const given = write("set", `/1/${all.replace("/", "")}`, { value: all });
  const message = fromBinary(CommandSchema, encodeCommand({ session: 1, sequence: 2 }, given));
  assert.equal(latin1(message.value), all);
});
