/**
 * Sequential reading of one file through a window of bounded size. Opens read-only and never
 * writes. Knows no format: it hands out bytes and says where they came from.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const WINDOW_BYTES = 1024 * 1024;

export class FileCursor {
  readonly path: string;
  /** Size when opened; what is written later is not seen. */
  readonly size: number;
  readonly #fd: number;
  #window: Buffer;
  /** File offset of the window's first byte. */
  #windowStart = 0;
  #windowLength = 0;
  #position = 0;
  #closed = false;

  constructor(path: string, windowBytes: number = WINDOW_BYTES) {
    this.path = path;
    this.#fd = openSync(path, "r");
    this.size = fstatSync(this.#fd).size;
    this.#window = Buffer.allocUnsafe(Math.max(64, windowBytes));
  }

  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.size - this.#position;
  }

  seek(position: number): void {
    this.#position = position;
  }

  /**
   * The next bytes without moving on: `count`, or fewer at the end of the file. The result is
   * valid until the next call.
   */
  peek(count: number): Buffer {
    const length = Math.max(0, Math.min(count, this.size - this.#position));
    if (length > this.#window.length) return this.#readApart(length);
    const end = this.#windowStart + this.#windowLength;
    if (this.#position < this.#windowStart || this.#position + length > end) this.#fill();
    const from = this.#position - this.#windowStart;
    return this.#window.subarray(from, Math.min(from + length, this.#windowLength));
  }

  /** As peek, and moves past what it returns. */
  take(count: number): Buffer {
    const bytes = this.peek(count);
    this.#position += bytes.length;
    return bytes;
  }

  /** True when every byte from `position` to the end of the file is zero; does not move. */
  isZeroFrom(position: number): boolean {
    const here = this.#position;
    this.#position = position;
    try {
      while (this.remaining > 0) {
        const bytes = this.take(this.#window.length);
        if (bytes.length === 0) break;
        if (!isZero(bytes)) return false;
      }
      return true;
    } finally {
      this.#position = here;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }

  #fill(): void {
    this.#windowStart = this.#position;
    this.#windowLength = this.#readInto(this.#window, this.#position);
  }

  #readApart(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    return bytes.subarray(0, this.#readInto(bytes, this.#position));
  }

  #readInto(target: Buffer, position: number): number {
    let done = 0;
    while (done < target.length) {
      const count = readSync(this.#fd, target, done, target.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return Math.min(done, Math.max(0, this.size - position));
  }
}

/** True when all bytes are zero. */
export function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
}
