import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { LogKv } from "../../src/testing/log-kv.ts";
import { runKvSuite } from "../kv/kv-suite.ts";

const root = mkdtempSync(join(tmpdir(), "log-kv-"));
let count = 0;
const freshPath = (): string => join(root, String(++count));
after(() => {
  rmSync(root, { recursive: true });
});

runKvSuite("the twin for simulations", () => LogKv.open(freshPath()));

function put(kv: LogKv, key: string, value: string | undefined): void {
  const batch = kv.batch();
  if (value === undefined) batch.delete(Buffer.from(key));
  else batch.put(Buffer.from(key), Buffer.from(value));
  batch.write({ sync: false });
}

const textOf = (kv: LogKv, key: string): string | undefined => {
  const value = kv.get(Buffer.from(key));
  return value === undefined ? undefined : Buffer.from(value).toString();
};

test("rows survive closing and opening", async () => {
  const path = freshPath();
  const first = await LogKv.open(path);
  put(first, "a", "1");
  put(first, "b", "2");
  put(first, "a", undefined);
  await first.close();
  const second = await LogKv.open(path, { mustExist: true });
  assert.equal(textOf(second, "a"), undefined);
  assert.equal(textOf(second, "b"), "2");
  await second.close();
});

test("of a log cut anywhere the whole batches before the cut are kept, and it goes on from there", async () => {
  const path = freshPath();
  const first = await LogKv.open(path);
  for (let at = 0; at < 5; at += 1) put(first, "k", String(at));
  await first.close();
  const log = join(path, "000001.log");
  const whole = readFileSync(log);
  const record = whole.length / 5;
  for (let cut = 0; cut <= whole.length; cut += 1) {
    writeFileSync(log, whole.subarray(0, cut));
    const kv = await LogKv.open(path, { mustExist: true });
    const batches = Math.floor(cut / record);
    assert.equal(textOf(kv, "k"), batches === 0 ? undefined : String(batches - 1));
    put(kv, "k", "new");
    await kv.close();
    const again = await LogKv.open(path, { mustExist: true });
    assert.equal(textOf(again, "k"), "new");
    await again.close();
  }
});

test("a store that must exist is not made", async () => {
  await assert.rejects(LogKv.open(freshPath(), { mustExist: true }), { code: "storage" });
});
