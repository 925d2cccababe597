/**
 * A micro benchmark to run by hand: node --conditions=etcd2-source bench/apply.ts [memory|rocks].
 * Prints microseconds per operation of apply, get, codec and event delivery.
 */
import { setImmediate as turn } from "node:timers/promises";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeCommand, encodeCommand } from "../src/encoding/command-codec.ts";
import { type WriteCommand, writeCommand } from "../src/model/command.ts";
import type { Kv } from "../src/kv/kv.ts";
import { MemoryKv } from "../src/kv/memory-kv.ts";
import { RocksKv } from "../src/kv/rocks-kv.ts";
import { StateMachine } from "../src/state-machine.ts";
import { SteadyClock } from "../src/clock/steady-clock.ts";
import { StoreWatcherHub } from "../src/events/watcher-hub.ts";

const BATCH = 64;
const value = "x".repeat(256);

function set(path: string): WriteCommand {
  return writeCommand({ action: "set", path, value });
}

function report(name: string, count: number, startNs: bigint): void {
  const us = Number(process.hrtime.bigint() - startNs) / 1e3 / count;
  const rss = Math.round(process.memoryUsage().rss / 1e6);
  process.stdout.write(`${name.padEnd(48)} ${us.toFixed(2).padStart(7)} us   rss ${rss} MB\n`);
}

const path = mkdtempSync(join(tmpdir(), "store-bench-"));
const kv: Kv = process.argv[2] === "memory" ? new MemoryKv() : await RocksKv.open(path);
const machine = await StateMachine.open({ kv, clock: SteadyClock.open(kv) });
const hub = new StoreWatcherHub(machine);
let index = 0;

function applySets(count: number, pathOf: (i: number) => string, batch = BATCH): void {
  for (let done = 0; done < count; done += batch) {
    const entries = [];
    for (let i = 0; i < batch; i++) {
      entries.push({ index: ++index, term: 1, command: set(pathOf(done + i)) });
    }
    machine.apply(entries);
  }
}

for (const round of ["cold", "warm"]) {
  let start = process.hrtime.bigint();
  applySets(64_000, (i) => `/1/bench/key-${i % 10_000}`);
  report(`${round}: set, 10,000 keys, batches of 64`, 64_000, start);
  start = process.hrtime.bigint();
  applySets(100_000, (i) => `/1/fresh-${round}/key-${i}`);
  report(`${round}: set of new keys, batches of 64`, 100_000, start);
  start = process.hrtime.bigint();
  applySets(10_000, (i) => `/1/bench/key-${i % 10_000}`, 1);
  report(`${round}: set, batches of 1`, 10_000, start);
  start = process.hrtime.bigint();
  for (let i = 0; i < 300_000; i++) {
    machine.reader.get(`/1/bench/key-${i % 1000}`, { recursive: false });
  }
  report(`${round}: get, cached`, 300_000, start);
  start = process.hrtime.bigint();
  for (let i = 0; i < 50_000; i++) {
    machine.reader.get(`/1/fresh-${round}/key-${(i * 7919) % 100_000}`, {
      recursive: false,
    });
  }
  report(`${round}: get, not cached`, 50_000, start);
  const command = set("/1/bench/key-12345");
  start = process.hrtime.bigint();
  let bytes = encodeCommand({ session: 123456789, sequence: 1 }, command);
  for (let i = 0; i < 300_000; i++) {
    bytes = encodeCommand({ session: 123456789, sequence: i }, command);
  }
  report(`${round}: encode`, 300_000, start);
  start = process.hrtime.bigint();
  for (let i = 0; i < 300_000; i++) decodeCommand(bytes);
  report(`${round}: decode`, 300_000, start);
}
{
  const start = process.hrtime.bigint();
  const { children } = machine.reader.get("/1", { recursive: true });
  let count = 0;
  for (;;) {
    const rows = children?.next(500) ?? [];
    if (rows.length === 0) break;
    count += rows.length;
  }
  report(`recursive listing of ${count} nodes, per node`, count, start);
}
{
  let told = 0;
  for (let i = 0; i < 5000; i++) {
    hub.watch({
      path: "/1/bench/key-1",
      recursive: false,
      sinceIndex: 0,
      stream: false,
      deliver: () => {
        told += 1;
        return "taken";
      },
      ended: () => undefined,
    });
  }
  const start = process.hrtime.bigint();
  applySets(1, () => "/1/bench/key-1", 1);
  while (told < 5000) await turn();
  report(`tell ${told} watchers, each`, told, start);
}
const rss = Math.round(process.memoryUsage().rss / 1e6);
process.stdout.write(`rss ${rss} MB, store ${Math.round(machine.approximateSizeBytes / 1e6)} MB\n`);
await machine.close();
rmSync(path, { recursive: true });
