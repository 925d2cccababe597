/**
 * Second reading of a write-ahead log: the entries that count, in order, after a scan has said
 * which ones those are.
 */
import { decodeAt } from "../io/format-error.ts";
import type { WalEntry } from "./records.ts";
import { decodeEntry, RECORD_TYPE } from "./records.ts";
import type { WalScan } from "./wal-scan.ts";
import { WalReader } from "./wal.ts";

export interface PlacedEntry {
  readonly entry: WalEntry;
  readonly file: string;
  readonly offset: number;
  /** Bytes of log passed, for progress. */
  readonly bytesRead: number;
}

/** Entries behind `afterIndex` that no later entry replaced; each is valid until the next. */
export function* effectiveEntries(scan: WalScan, afterIndex: number): Generator<PlacedEntry> {
  const reader = new WalReader(scan.segments, { verify: false });
  const voidFrom = voidBounds(scan);
  let ordinal = 0;
  let overwrite = 0;
  try {
    for (let count = 0; count < scan.recordCount; count++) {
      const record = reader.next();
      if (record === undefined) return;
      if (record.type !== RECORD_TYPE.entry) continue;
      const { file, offset, data } = record;
      const entry = decodeAt(file, offset, () => decodeEntry(data));
      if (entry.index <= afterIndex) continue;
      ordinal++;
      while ((scan.overwrites[overwrite]?.ordinal ?? Infinity) <= ordinal) overwrite++;
      if (entry.index >= (voidFrom[overwrite] ?? Infinity)) continue;
      yield { entry, file, offset, bytesRead: reader.bytesRead };
    }
  } finally {
    reader.close();
  }
}

/** For each overwrite, the lowest index that it or a later one voids. */
function voidBounds(scan: WalScan): readonly number[] {
  const bounds: number[] = [];
  let lowest = Infinity;
  for (const { index } of scan.overwrites.toReversed()) {
    lowest = Math.min(lowest, index);
    bounds.push(lowest);
  }
  return bounds.reverse();
}
