/**
 * Commands and their outcomes as bytes, for the way between the threads of a process: a command
 * without its request id, which the thread that proposes it puts before it, and what became of it.
 */
import { ByteReader, ByteWriter } from "../encoding/bytes.ts";
import { readEventRecord, writeEventRecord } from "../encoding/event-record.ts";
import { EtcdError, type ErrorCode } from "../model/errors.ts";
import type { StoreEvent } from "../model/event.ts";
import { NO_NAMES } from "../tree/recorded-event.ts";

/** A write that took effect, with the log entry it was. */
export interface CrossedEvent {
  readonly event: StoreEvent;
  readonly raftIndex: number;
  readonly raftTerm: number;
}

const EVENT = 1;
const ERROR = 2;

/** Gathers outcomes, each under the number of its request. */
export class OutcomeWriter {
  readonly #writer = new ByteWriter(8192);

  get isEmpty(): boolean {
    return this.#writer.length === 0;
  }

  add(request: number, outcome: CrossedEvent | EtcdError): void {
    const writer = this.#writer;
    writer.varint(request);
    if (outcome instanceof EtcdError) {
      writer.byte(ERROR);
      writer.varint(outcome.code);
      writer.varint(outcome.index);
      writer.sizedText(outcome.cause);
      return;
    }
    writer.byte(EVENT);
    writer.varint(outcome.raftIndex);
    writer.varint(outcome.raftTerm);
    writeEventRecord(writer, { ...outcome.event, removed: undefined });
  }

  /** What was gathered since the last call. */
  take(): Uint8Array {
    const bytes = this.#writer.copy();
    this.#writer.reset();
    return bytes;
  }
}

/** Reads what an OutcomeWriter gathered. */
export function readOutcomes(
  bytes: Uint8Array,
  settle: (request: number, outcome: CrossedEvent | EtcdError) => void,
): void {
  const reader = new ByteReader(bytes);
  while (!reader.ended) {
    const request = reader.varint();
    if (reader.byte() === ERROR) {
      const [code, index] = [reader.varint() as ErrorCode, reader.varint()];
      settle(request, new EtcdError(code, reader.sizedText(), index));
      continue;
    }
    const [raftIndex, raftTerm] = [reader.varint(), reader.varint()];
    settle(request, { event: readEventRecord(reader, () => NO_NAMES), raftIndex, raftTerm });
  }
}
