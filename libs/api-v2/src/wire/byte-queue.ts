/**
 * Bytes that have come and are not used yet, in one piece. A packet that finds the queue empty is
 * kept as it is; others are copied behind, into room that doubles, so that a head that comes byte
 * by byte costs no more than its length.
 */

const EMPTY = Buffer.alloc(0);

/** Chunks in the order they came, taken from the front. */
export class ByteQueue {
  #bytes: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  /** Whether the room behind the bytes may be written to: it may not be a packet's. */
  #isOwn = false;

  get size(): number {
    return this.#end - this.#start;
  }

  /** All bytes; valid until the next append. */
  get bytes(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** @param isLent Whether the packet's bytes are gone after the call. */
  append(packet: Buffer, isLent: boolean): void {
    const { size } = this;
    if (size === 0 && !isLent) {
      this.#bytes = packet;
      this.#start = 0;
      this.#end = packet.length;
      this.#isOwn = false;
      return;
    }
    if (!this.#isOwn || this.#end + packet.length > this.#bytes.length) {
      const room = Buffer.allocUnsafe(Math.max(256, 2 * (size + packet.length)));
      this.#bytes.copy(room, 0, this.#start, this.#end);
      this.#bytes = room;
      this.#start = 0;
      this.#end = size;
      this.#isOwn = true;
    }
    packet.copy(this.#bytes, this.#end);
    this.#end += packet.length;
  }

  /** Forgets the first bytes. */
  drop(count: number): void {
    this.#start += count;
    if (this.#start >= this.#end) this.clear();
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#start = 0;
    this.#end = 0;
  }
}
