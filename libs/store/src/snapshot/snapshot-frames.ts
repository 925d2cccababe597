/**
 * The framing of a snapshot stream: magic and version, then frames of a type and a payload, each
 * with a checksum that runs on from frame to frame, so that none can be lost, doubled or swapped.
 * It knows no payloads.
 */
import { crc32 } from "node:zlib";
import { asBuffer } from "../encoding/bytes.ts";
import { StoreError } from "../model/errors.ts";

const MAGIC = Buffer.from("etcd2snp", "latin1");

/** Version of the whole stream; another one is refused. */
const SNAPSHOT_VERSION = 1;

/** The types of frames, part of the format. */
export const FRAME = { header: 1, nodes: 2, history: 3, removed: 4, host: 5, trailer: 6 } as const;
/** The number of a type of frame. */
export type FrameType = (typeof FRAME)[keyof typeof FRAME];

/** Type, payload length, checksum. */
const FRAME_HEAD_BYTES = 9;

/** No honest frame is larger: it holds one row, or rows of less than a small bound. */
const PAYLOAD_BYTES_MAX = 256 << 20;

/** One frame of a snapshot, checked. */
export interface Frame {
  readonly type: number;
  /** Valid until the next frame is asked for. */
  readonly payload: Buffer;
}

function frameChecksum(type: number, payload: Uint8Array, before: number): number {
  return crc32(payload, crc32(Buffer.of(type), before));
}

/** Makes the chunks of a stream, one per frame. */
export class FrameWriter {
  #checksum = 0;

  /** What a stream begins with. */
  preamble(): Uint8Array {
    return Buffer.concat([MAGIC, Buffer.of(SNAPSHOT_VERSION)]);
  }

  frame(type: FrameType, payload: Uint8Array): Uint8Array {
    const bytes = Buffer.allocUnsafe(FRAME_HEAD_BYTES + payload.length);
    this.#checksum = frameChecksum(type, payload, this.#checksum);
    bytes[0] = type;
    bytes.writeUInt32BE(payload.length, 1);
    bytes.writeUInt32BE(this.#checksum, 5);
    bytes.set(payload, FRAME_HEAD_BYTES);
    return bytes;
  }
}

function damaged(what: string): StoreError {
  return new StoreError("corrupt", `the snapshot is damaged: ${what}`);
}

/** Whether a file or stream that begins with these bytes, at least eight, means to be a snapshot. */
export function isSnapshotStart(bytes: Uint8Array): boolean {
  return asBuffer(bytes).subarray(0, MAGIC.length).equals(MAGIC);
}

/** Takes chunks cut anywhere and yields checked frames. */
export class FrameReader {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #started = false;
  #checksum = 0;

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#pending.push(asBuffer(chunk));
    this.#pendingBytes += chunk.length;
  }

  /** The next whole frame; undefined when more bytes are needed. @throws StoreError */
  next(): Frame | undefined {
    if (!this.#started && !this.#readPreamble()) return undefined;
    const head = this.#peek(FRAME_HEAD_BYTES);
    if (head === undefined) return undefined;
    const length = head.readUInt32BE(1);
    if (length > PAYLOAD_BYTES_MAX) throw damaged("a frame has an impossible length");
    const bytes = this.#peek(FRAME_HEAD_BYTES + length);
    if (bytes === undefined) return undefined;
    const type = head[0] ?? 0;
    const checksum = head.readUInt32BE(5);
    const payload = bytes.subarray(FRAME_HEAD_BYTES);
    this.#checksum = frameChecksum(type, payload, this.#checksum);
    if (this.#checksum !== checksum) throw damaged("a checksum does not match");
    this.#consume(FRAME_HEAD_BYTES + length);
    return { type, payload };
  }

  /** Whether bytes are left that make no frame. */
  get hasRest(): boolean {
    return this.#pendingBytes > 0 || !this.#started;
  }

  #readPreamble(): boolean {
    const bytes = this.#peek(MAGIC.length + 1);
    if (bytes === undefined) return false;
    if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged("it is not a snapshot");
    const version = bytes[MAGIC.length] ?? 0;
    if (version !== SNAPSHOT_VERSION) {
      const known = `this program knows only format ${SNAPSHOT_VERSION}`;
      throw new StoreError("version", `the snapshot has format ${version}, ${known}`);
    }
    this.#started = true;
    this.#consume(MAGIC.length + 1);
    return true;
  }

  /** The first `count` pending bytes in one piece. */
  #peek(count: number): Buffer | undefined {
    if (this.#pendingBytes < count) return undefined;
    const first = this.#pending[0];
    if (first !== undefined && first.length >= count) return first.subarray(0, count);
    const joined = Buffer.concat(this.#pending);
    this.#pending = [joined];
    return joined.subarray(0, count);
  }

  #consume(count: number): void {
    const first = this.#pending[0];
    if (first === undefined) return;
    if (first.length === count) this.#pending.shift();
    else this.#pending[0] = first.subarray(count);
    this.#pendingBytes -= count;
  }
}
