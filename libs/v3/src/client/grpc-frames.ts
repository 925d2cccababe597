/**
 * Message framing of gRPC over HTTP/2: one byte for compression, four bytes of length, then the
 * message. Source: the gRPC specification, PROTOCOL-HTTP2.md, "Length-Prefixed-Message".
 */
import { V3Error } from "./v3-error.ts";

const PREFIX_BYTES = 5;

/** A message with its prefix, uncompressed. */
export function encodeFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/** Collects bytes as they arrive and gives back whole messages. */
export class FrameDecoder {
  readonly #messageBytesMax: number;
  #chunks: Buffer[] = [];
  #size = 0;

  /** @param messageBytesMax Longest message that is accepted. */
  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** Bytes of a message that has not arrived whole. */
  get pendingBytes(): number {
    return this.#size;
  }

  /**
   * @returns The messages that are complete now, in order.
   * @throws V3Error internal for a compressed message or one that is too long.
   */
  push(chunk: Buffer): readonly Buffer[] {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    const messages: Buffer[] = [];
    for (;;) {
      const length = this.#nextLength();
      if (length === undefined || this.#size < PREFIX_BYTES + length) return messages;
      const bytes = this.#joined();
      messages.push(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + length));
      const rest = bytes.subarray(PREFIX_BYTES + length);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#size = rest.length;
    }
  }

  #nextLength(): number | undefined {
    if (this.#size < PREFIX_BYTES) return undefined;
    const [first] = this.#chunks;
    const head = first !== undefined && first.length >= PREFIX_BYTES ? first : this.#joined();
    if (head[0] !== 0) throw new V3Error("internal", "the server sent a compressed message");
    const length = head.readUInt32BE(1);
    if (length > this.#messageBytesMax) {
      throw new V3Error("internal", `the server sent a message of ${length} bytes`);
    }
    return length;
  }

  #joined(): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && this.#chunks.length === 1) return first;
    const joined = Buffer.concat(this.#chunks, this.#size);
    this.#chunks = [joined];
    return joined;
  }
}
