/**
 * Reads the rows of the event history: a slice of events, and the names that went with a removed
 * directory. Writing and trimming them is the event log's.
 */
import { ByteReader } from "../encoding/bytes.ts";
import { eventIndexOf, readEventRecord } from "../encoding/event-record.ts";
import { indexKey, PREFIX, prefixRange } from "../encoding/keyspace.ts";
import type { Kv } from "../kv/kv.ts";
import type { ByteString } from "../model/byte-string.ts";
import { StoreError } from "../model/errors.ts";
import type { RecordedEvent, RemovedNames } from "../tree/recorded-event.ts";

/** A slice of reading ends after this many events or bytes of rows. */
export const SLICE_EVENTS_MAX = 256;
const SLICE_ROWS = 16;

/** Where the names come from that were removed with the directory of an event. */
export type RemovedNamesOf = (etcdIndex: number, directory: ByteString) => RemovedNames;

/**
 * The events stored from `since` on, oldest first: one slice of them, which begins later where the row
 * of `since` is gone.
 * @throws StoreError corrupt.
 */
export function readEventRows(
  kv: Kv,
  since: number,
  removedOf: RemovedNamesOf,
): readonly RecordedEvent[] {
  const range = { from: indexKey(PREFIX.history, since), to: prefixRange(PREFIX.history).to };
  const iterator = kv.iterator(range);
  const rows = iterator.nextMany(SLICE_ROWS);
  iterator.close();
  const events: RecordedEvent[] = [];
  for (let i = 1; i < rows.length && events.length < SLICE_EVENTS_MAX; i += 2) {
    const row = rows[i];
    if (row !== undefined) decodeRow(row, since, removedOf, events);
  }
  return events;
}

function decodeRow(
  row: Uint8Array,
  since: number,
  removedOf: RemovedNamesOf,
  events: RecordedEvent[],
): void {
  const reader = new ByteReader(row);
  while (!reader.ended) {
    const length = reader.uint32();
    const start = reader.at;
    const end = start + length;
    if (eventIndexOf(reader) < since) {
      reader.at = end;
      continue;
    }
    reader.at = start;
    const event = readEventRecord(reader, removedOf);
    if (reader.at !== end) throw new StoreError("corrupt", "a history row has a wrong length");
    events.push(event);
  }
}

/** The names removed with a directory; undefined when they were not kept. */
export function readRemovedNames(
  kv: Kv,
  etcdIndex: number,
  directory: ByteString,
): readonly ByteString[] | undefined {
  const row = kv.get(indexKey(PREFIX.removedNames, etcdIndex));
  if (row === undefined) return undefined;
  const reader = new ByteReader(row);
  const paths: ByteString[] = [];
  while (!reader.ended) paths.push(directory + reader.sizedText());
  return paths;
}
