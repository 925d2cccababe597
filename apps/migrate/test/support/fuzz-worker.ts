/**
 * Damages a fixture again and again and replays it. Runs in a thread of its own, so that the test
 * can stop it when a damaged file sends the program into a loop.
 */
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parentPort, workerData } from "node:worker_threads";
import { SeededRandom } from "@etcd2/test-support";
import { MigrateError } from "../../src/errors.ts";
import { countV3Keys } from "../../src/etcd3/count-keys.ts";
import { FormatError } from "../../src/io/format-error.ts";
import { expectedOf, UnpackedFixture } from "./fixtures.ts";
import { mutate } from "./mutate.ts";
import type { Replayed } from "./replay-directory.ts";
import { replayDirectory } from "./replay-directory.ts";

interface Work {
  readonly fixture: string;
  readonly seed: number;
  readonly rounds: number;
}

/** Preallocated logs are cut to this, which keeps all their records. */
const LOG_BYTES_MAX = 256 * 1024;

/** Files whose bytes no checksum covers: damage there may go unnoticed. */
const UNPROTECTED = /\/(?:log|conf|standby_info|db)$/;

/** Notices that own up to something having been left out or replaced. */
const CONFESSIONS: ReadonlySet<string> = new Set(["tornTail", "zeroTail", "damagedSnapshot"]);

async function run({ fixture, seed, rounds }: Work): Promise<string | undefined> {
  const random = new SeededRandom(seed);
  using unpacked = new UnpackedFixture(fixture);
  const { directory } = unpacked;
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const file of files) {
    if (file.endsWith(".wal") && statSync(file).size > LOG_BYTES_MAX)
      truncateSync(file, LOG_BYTES_MAX);
  }
  const name = expectedOf(fixture).member_name;
  const intact = await replayDirectory(directory, { name });
  for (let round = 0; round < rounds; round++) {
    const file = random.pick(files);
    const original = readFileSync(file);
    const mutation = mutate(original, random);
    writeFileSync(file, mutation.bytes);
    parentPort?.postMessage({
      kind: "round",
      what: `${file.slice(directory.length)}: ${mutation.what}`,
    });
    const problem =
      mutation.bytes.equals(original) || isCleanCut(file, original, mutation.bytes)
        ? undefined
        : await judge(directory, name, file, intact);
    if (problem !== undefined) {
      return `round ${round}, ${file.slice(directory.length)}, ${mutation.what}: ${problem}`;
    }
    writeFileSync(file, original);
  }
  return undefined;
}

/** A log cut exactly between two records (or in filling) looks like one that was never longer. */
function isCleanCut(file: string, original: Buffer, damaged: Buffer): boolean {
  if (!file.endsWith(".wal") || !original.subarray(0, damaged.length).equals(damaged)) return false;
  let at = 0;
  while (at < damaged.length && at + 8 <= original.length) {
    const high = original.readUInt32LE(at + 4);
    const padding = high >>> 31 === 1 ? (high >>> 24) & 7 : 0;
    const length = original.readUInt32LE(at);
    if (length === 0) return true;
    const end = at + 8 + length;
    if (damaged.length >= end && damaged.length <= end + padding) return true;
    at = end + padding;
  }
  return at === damaged.length;
}

/** What is wrong with how a damaged directory was taken; undefined when all is well. */
async function judge(
  directory: string,
  name: string | undefined,
  file: string,
  intact: Replayed,
): Promise<string | undefined> {
  for (const skipCorrupt of [false, true]) {
    try {
      if (file.endsWith("/db")) countV3Keys(file);
      const replayed = await replayDirectory(directory, { name, skipCorrupt });
      const confessed = replayed.notices.some(
        ({ code }) => CONFESSIONS.has(code) || (skipCorrupt && code === "dropped"),
      );
      const isSame =
        replayed.etcdIndex === intact.etcdIndex &&
        isDeepStrictEqual(replayed.keys, intact.keys) &&
        isDeepStrictEqual(replayed.others, intact.others);
      if (!isSame && !confessed && !UNPROTECTED.test(file)) return "accepted without a word";
    } catch (error) {
      const isForeseen = error instanceof MigrateError || error instanceof FormatError;
      if (!isForeseen)
        return error instanceof Error ? (error.stack ?? error.message) : String(error);
      if (error instanceof MigrateError && error.describe().includes("\n")) return "two lines";
    }
  }
  return undefined;
}

void run(workerData as Work).then(
  (problem) => parentPort?.postMessage({ kind: "done", problem }),
  (error: unknown) => {
    const problem = error instanceof Error ? error.stack : String(error);
    parentPort?.postMessage({ kind: "done", problem });
  },
);
