/**
 * Owns the number of bytes that the nodes of the store take, kept while nodes come and go: keys,
 * values and a little for each record. History, what is deleted but not reclaimed yet, and what
 * the engine adds are not in it. Nodes that go without having been read are taken for average
 * ones, and the number counts as an estimate until all rows have been counted again.
 */
import { ByteReader } from "../encoding/bytes.ts";
import type { ByteString } from "../model/byte-string.ts";
import { PREFIX, prefixRange } from "../encoding/keyspace.ts";
import type { Kv } from "../kv/kv.ts";
import { readValueLength } from "../encoding/node-record.ts";
import { type Schedule, yieldTurn } from "../clock/schedule.ts";
import type { LiveSize } from "../encoding/state-row.ts";

/** What a record costs besides key and value. */
const RECORD_BYTES = 16;

const COUNT_ROWS = 1024;

/** The bytes of one node. */
function bytesOfNode(path: ByteString, valueLength: number): number {
  return path.length + valueLength + RECORD_BYTES;
}

/** The number, with what changes it. */
export class LiveBytes {
  #bytes: number;
  #isExact: boolean;
  /** Grows with every estimate, so that a count knows whether one came in between. */
  #estimates = 0;

  /** @param kept What was written with the store. */
  constructor(kept: LiveSize) {
    this.#bytes = kept.bytes;
    this.#isExact = kept.isExact;
  }

  /** As it is to be written with the store. */
  get size(): LiveSize {
    return { bytes: this.#bytes, isExact: this.#isExact };
  }

  added(path: ByteString, valueLength: number): void {
    this.#bytes += bytesOfNode(path, valueLength);
  }

  removed(path: ByteString, valueLength: number): void {
    this.#bytes = Math.max(0, this.#bytes - bytesOfNode(path, valueLength));
  }

  /** So many of `all` nodes went unread. */
  removedUnread(count: number, all: number): void {
    if (count === 0) return;
    const share = Math.min(1, count / Math.max(1, all));
    this.#bytes = Math.max(0, Math.round(this.#bytes * (1 - share)));
    this.#isExact = false;
    this.#estimates += 1;
  }

  /** Reads all nodes, in slices between other work; changes meanwhile are added on top. */
  async count(kv: Kv, schedule: Schedule): Promise<void> {
    const before = this.#bytes;
    const estimates = this.#estimates;
    const reader = new ByteReader();
    const iterator = kv.iterator(prefixRange(PREFIX.node));
    let counted = 0;
    try {
      for (;;) {
        const rows = iterator.nextMany(COUNT_ROWS);
        if (rows.length === 0) break;
        for (let i = 0; i < rows.length; i += 2) {
          const [key, value] = [rows[i], rows[i + 1]];
          if (key === undefined || value === undefined) continue;
          reader.reset(value);
          // A key has a byte more than its path.
          counted += key.length - 1 + readValueLength(reader) + RECORD_BYTES;
        }
        await yieldTurn(schedule);
      }
    } finally {
      iterator.close();
    }
    this.#bytes = Math.max(0, counted + this.#bytes - before);
    this.#isExact = estimates === this.#estimates;
  }
}
