/**
 * Owns the number of bytes that the nodes of the store take, kept while nodes come and go: keys,
 * values and a little for each record. History, what is deleted but not reclaimed yet, and what
 * the engine adds are not in it. Every node is counted when it comes and when it goes, so the number
 * stays exact; one that an earlier version estimated is an estimate until all rows have been counted.
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
  /** Below zero only where it began as an estimate. */
  #bytes: number;
  #isExact: boolean;

  /** @param kept What was written with the store. */
  constructor(kept: LiveSize) {
    this.#bytes = kept.bytes;
    this.#isExact = kept.isExact;
  }

  /** As it is to be written with the store. */
  get size(): LiveSize {
    return { bytes: Math.max(0, this.#bytes), isExact: this.#isExact };
  }

  added(path: ByteString, valueLength: number): void {
    this.#bytes += bytesOfNode(path, valueLength);
  }

  removed(path: ByteString, valueLength: number): void {
    this.#bytes -= bytesOfNode(path, valueLength);
  }

  /** Reads all nodes, in slices between other work; changes meanwhile are added on top. */
  async count(kv: Kv, schedule: Schedule): Promise<void> {
    const before = this.#bytes;
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
    this.#bytes = counted + this.#bytes - before;
    this.#isExact = true;
  }
}
