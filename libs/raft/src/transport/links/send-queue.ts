/**
 * Messages waiting for one stream to a peer, bounded by count and bytes. Never blocks: what does
 * not fit is refused or displaces the oldest, by the owner's choice. Knows no streams.
 */
import type { Message } from "../../core/model/types.ts";
import { messageSizeEstimate } from "../../codec/messages.ts";

/** Bounds of one queue; what goes beyond them is dropped. */
export interface QueueLimits {
  readonly countMax: number;
  readonly bytesMax: number;
}

/** Messages that wait for one stream, bounded in number and bytes. */
export class SendQueue {
  readonly #limits: QueueLimits;
  /**
   * "refuseNew" keeps appends gapless: after a loss every later one is useless anyway.
   * "dropOldest" suits heartbeats and votes, of which only the newest counts.
   */
  readonly #overflow: "refuseNew" | "dropOldest";
  #messages: Message[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;

  constructor(limits: QueueLimits, overflow: "refuseNew" | "dropOldest") {
    this.#limits = limits;
    this.#overflow = overflow;
  }

  get length(): number {
    return this.#messages.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Returns how many messages were lost: 0, or as a rule 1. */
  push(message: Message): number {
    const size = messageSizeEstimate(message);
    let lost = 0;
    while (
      this.length > 0 &&
      (this.length >= this.#limits.countMax || this.#bytes + size > this.#limits.bytesMax)
    ) {
      if (this.#overflow === "refuseNew") return 1;
      this.#shift();
      lost++;
    }
    this.#messages.push(message);
    this.#sizes.push(size);
    this.#bytes += size;
    return lost;
  }

  /** Removes the oldest messages, at least one, then as many as fit in `bytesMax`. */
  take(bytesMax: number): Message[] {
    const taken: Message[] = [];
    let bytes = 0;
    while (this.length > 0) {
      bytes += this.#sizes[this.#head] ?? 0;
      if (taken.length > 0 && bytes > bytesMax) break;
      const message = this.#shift();
      if (message !== undefined) taken.push(message);
    }
    return taken;
  }

  clear(): void {
    this.#messages = [];
    this.#sizes = [];
    this.#head = 0;
    this.#bytes = 0;
  }

  #shift(): Message | undefined {
    const message = this.#messages[this.#head];
    this.#bytes -= this.#sizes[this.#head] ?? 0;
    this.#head++;
    if (this.#head === this.#messages.length) this.clear();
    else if (this.#head >= 1024) {
      this.#messages = this.#messages.slice(this.#head);
      this.#sizes = this.#sizes.slice(this.#head);
      this.#head = 0;
    }
    return message;
  }
}
