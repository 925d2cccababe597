/** What every ordered byte store must do. Each implementation runs it from a file of its own. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import type { Kv, KvRange } from "../../src/kv/kv.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");
const WHOLE: KvRange = { from: Buffer.of(0), to: Buffer.of(0xff) };

function put(kv: Kv, rows: Readonly<Record<string, string | undefined>>, sync = false): void {
  const batch = kv.batch();
  for (const [key, value] of Object.entries(rows)) {
    if (value === undefined) batch.delete(bytes(key));
    else batch.put(bytes(key), bytes(value));
  }
  batch.write({ sync });
}

function scan(kv: Kv, range: KvRange, rowsMax = 7): [string, string][] {
  const iterator = kv.iterator(range);
  const found: [string, string][] = [];
  for (;;) {
    const rows = iterator.nextMany(rowsMax);
    if (rows.length === 0) break;
    assert.ok(rows.length <= rowsMax * 2);
    for (let i = 0; i < rows.length; i += 2) {
      found.push([Buffer.from(rows[i] ?? []).toString("latin1"), textOf(rows[i + 1])]);
    }
  }
  iterator.close();
  return found;
}

function textOf(value: Uint8Array | undefined): string {
  return value === undefined ? "<none>" : Buffer.from(value).toString("latin1");
}

export function runKvSuite(name: string, open: () => Promise<Kv>): void {
  describe(name, () => {
    let kv: Kv;
    before(async () => {
      kv = await open();
    });
    after(() => kv.close());

    test("yields what was put, and nothing for other keys", () => {
      put(kv, { "g\x00a": "one", "g\xff": "" });
      assert.equal(textOf(kv.get(bytes("g\x00a"))), "one");
      assert.equal(textOf(kv.get(bytes("g\xff"))), "");
      assert.equal(kv.get(bytes("g\x00")), undefined);
      assert.deepEqual(kv.getMany([bytes("g\x00a"), bytes("none"), bytes("g\xff")]).map(textOf), [
        "one",
        "<none>",
        "",
      ]);
    });

    test("keeps the last operation of a batch on a key", () => {
      const batch = kv.batch();
      batch.put(bytes("b1"), bytes("x"));
      batch.put(bytes("b1"), bytes("y"));
      batch.put(bytes("b2"), bytes("x"));
      batch.delete(bytes("b2"));
      batch.delete(bytes("b3"));
      batch.put(bytes("b3"), bytes("z"));
      assert.equal(batch.length, 6);
      assert.equal(kv.get(bytes("b1")), undefined, "nothing shows before write()");
      batch.write({ sync: true });
      assert.deepEqual(scan(kv, { from: bytes("b"), to: bytes("c") }), [
        ["b1", "y"],
        ["b3", "z"],
      ]);
    });

    test("copies what is put, so that buffers can be reused", () => {
      const key = bytes("copy-1");
      const value = bytes("first");
      const batch = kv.batch();
      batch.put(key, value);
      key.write("copy-2", "latin1");
      value.write("other", "latin1");
      batch.put(key, value);
      batch.write({ sync: false });
      assert.deepEqual(scan(kv, { from: bytes("copy"), to: bytes("copz") }), [
        ["copy-1", "first"],
        ["copy-2", "other"],
      ]);
    });

    test("can build two batches at once", () => {
      const one = kv.batch();
      const two = kv.batch();
      one.put(bytes("two-1"), bytes("1"));
      two.put(bytes("two-2"), bytes("2"));
      two.write({ sync: false });
      assert.equal(kv.get(bytes("two-1")), undefined);
      one.write({ sync: false });
      assert.equal(textOf(kv.get(bytes("two-1"))), "1");
    });

    test("iterates in byte order within the range, its end excluded", () => {
      put(kv, { "i\x00": "0", i: "00", "i\x7f": "1", "i\x80": "2", "i\xff": "3", j: "4" });
      assert.deepEqual(
        scan(kv, { from: bytes("i"), to: bytes("j") }, 2).map(([key]) => key),
        ["i", "i\x00", "i\x7f", "i\x80", "i\xff"],
      );
      assert.deepEqual(scan(kv, { from: bytes("i\x01"), to: bytes("i\x80") }), [["i\x7f", "1"]]);
      assert.deepEqual(scan(kv, { from: bytes("ix"), to: bytes("iy") }), []);
    });

    test("yields keys alone when asked to", () => {
      put(kv, { "keys-1": "v", "keys-2": "v" });
      const range = { from: bytes("keys"), to: bytes("keyt") };
      const iterator = kv.iterator(range, { keysOnly: true });
      const rows = iterator.nextMany(10);
      iterator.close();
      assert.deepEqual([textOf(rows[0]), textOf(rows[2])], ["keys-1", "keys-2"]);
    });

    test("an iterator sees the store as it was, whatever is written later", () => {
      put(kv, { "s-1": "old", "s-2": "old", "s-3": "old" });
      const iterator = kv.iterator({ from: bytes("s-"), to: bytes("s.") });
      assert.equal(iterator.nextMany(1).length, 2);
      put(kv, { "s-2": "new", "s-3": undefined, "s-4": "new" });
      assert.deepEqual(iterator.nextMany(9).map(textOf), ["s-2", "old", "s-3", "old"]);
      assert.deepEqual(iterator.nextMany(9), []);
      iterator.close();
      iterator.close();
    });

    test("seeks forwards and backwards, also after the end", () => {
      put(kv, { "k-1": "", "k-3": "", "k-5": "" });
      const iterator = kv.iterator({ from: bytes("k-"), to: bytes("k.") });
      iterator.seek(bytes("k-2"));
      assert.equal(textOf(iterator.nextMany(1)[0]), "k-3");
      iterator.seek(bytes("k-1"));
      assert.equal(iterator.nextMany(9).length, 6);
      assert.equal(iterator.nextMany(9).length, 0);
      iterator.seek(bytes("k-4"));
      assert.equal(textOf(iterator.nextMany(9)[0]), "k-5");
      iterator.close();
    });

    test("agrees with a sorted map under random operations", () => {
      const random = new SeededRandom(seedOfRun());
      const model = new Map<string, string>();
      const range = { from: bytes("r"), to: bytes("s") };
      const key = (): string => `r${String.fromCharCode(random.below(4), random.below(200))}`;
      for (let round = 0; round < 300; round++) {
        const batch = kv.batch();
        for (let i = random.below(20); i >= 0; i--) {
          const chosen = key();
          if (random.chance(0.4)) {
            batch.delete(bytes(chosen));
            model.delete(chosen);
          } else {
            const value = String(random.below(1e6));
            batch.put(bytes(chosen), bytes(value));
            model.set(chosen, value);
          }
        }
        batch.write({ sync: false });
        if (round % 10 > 0) continue;
        const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
        assert.deepEqual(scan(kv, range, 1 + random.below(40)), expected);
        const from = key();
        assert.deepEqual(
          scan(kv, { from: bytes(from), to: range.to }),
          expected.filter(([k]) => k >= from),
        );
      }
    });

    test("refuses use after close, also of iterators that were open", async () => {
      const other = await open();
      put(other, { a: "1" });
      const iterator = other.iterator(WHOLE);
      await other.close();
      await other.close();
      assert.throws(() => iterator.nextMany(1), { name: "StoreError", code: "closed" });
      iterator.close();
      assert.throws(() => other.get(bytes("a")), { code: "closed" });
      assert.throws(() => other.batch(), { code: "closed" });
      assert.throws(() => other.iterator(WHOLE), { code: "closed" });
      assert.equal(other.approximateSizeBytes(), 0);
    });
  });
}
