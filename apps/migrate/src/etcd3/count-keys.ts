/**
 * How much a v3 store holds: told to users whose v3 keys are not carried over. The numbers are what
 * the file says; changes that are only in the log (after an unclean stop) are not in them.
 */
import { FormatError } from "../io/format-error.ts";
import { ProtoReader } from "../io/proto-reader.ts";
import { BoltFile } from "./bolt.ts";

/** Distinct keys followed exactly; beyond this the number is a lower bound. */
const KEYS_MAX = 1_000_000;

/** A revision is 8 bytes, "_", 8 bytes; a deletion has a "t" behind it. */
const TOMBSTONE_BYTES = 18;

export interface V3Count {
  /** Keys that exist, by the newest revision of each. */
  readonly keys: number;
  /** False when there were too many keys to follow: `keys` is then a lower bound. */
  readonly isExact: boolean;
  /** Revisions kept: every put and deletion since the last compaction. */
  readonly revisions: number;
}

/** @throws FormatError when the file cannot be read as a v3 store. */
export function countV3Keys(path: string): V3Count {
  const file = new BoltFile(path);
  try {
    const keys = new Set<string>();
    let isExact = true;
    let revisions = 0;
    file.walk("key", (revision, value) => {
      revisions++;
      const key = keyOf(value);
      if (revision.length === TOMBSTONE_BYTES) keys.delete(key);
      else if (keys.size < KEYS_MAX) keys.add(key);
      else if (!keys.has(key)) isExact = false;
    });
    return { keys: keys.size, isExact, revisions };
  } catch (error) {
    if (error instanceof RangeError) throw new FormatError("unreadable v3 store");
    throw error;
  } finally {
    file.close();
  }
}

function keyOf(value: Buffer): string {
  const reader = new ProtoReader(value);
  while (reader.next()) {
    if (reader.field === 1) return reader.byteString();
    reader.skip();
  }
  return "";
}
