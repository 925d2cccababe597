/**
 * Just enough of the bbolt file format to walk one top-level bucket of a v3 store, read-only. Every
 * page number and length is checked, so that a damaged file ends in an error, never in a loop.
 */
import { FileCursor } from "../io/file-cursor.ts";
import { FormatError } from "../io/format-error.ts";

const MAGIC = 0xed0c_daed;
const VERSION = 2;
const PAGE_HEADER_BYTES = 16;
const ELEMENT_BYTES = 16;
const BUCKET_HEADER_BYTES = 16;
const PAGE_SIZE_MAX = 64 * 1024;
const BRANCH = 0x01;
const LEAF = 0x02;
const ELEMENT_IS_BUCKET = 0x01;
/** A tree deeper than this has a cycle. */
const DEPTH_MAX = 64;
/** Largest page with its overflow pages. */
const SPAN_BYTES_MAX = 512 * 1024 * 1024;

interface Meta {
  readonly pageSize: number;
  readonly root: number;
  readonly transaction: number;
}

export class BoltFile {
  readonly #cursor: FileCursor;
  readonly #meta: Meta;

  /** @throws FormatError when neither of its two headers is valid. */
  constructor(path: string) {
    this.#cursor = new FileCursor(path, 64 * 1024);
    try {
      this.#meta = this.#readMeta();
    } catch (error) {
      this.#cursor.close();
      throw error;
    }
  }

  close(): void {
    this.#cursor.close();
  }

  /** Calls `visit` for each pair of a top-level bucket in key order; false when there is none. */
  walk(bucket: string, visit: (key: Buffer, value: Buffer) => void): boolean {
    let found: Buffer | undefined;
    this.#walkPage(this.#meta.root, 0, (key, value, isBucket) => {
      if (isBucket && key.toString("latin1") === bucket) found = Buffer.from(value);
    });
    if (found === undefined) return false;
    if (found.length < BUCKET_HEADER_BYTES) throw new FormatError("unreadable bucket");
    const root = safeNumber(found, 0);
    if (root === 0) this.#walkElements(found.subarray(BUCKET_HEADER_BYTES), 0, visit);
    else this.#walkPage(root, 0, visit);
    return true;
  }

  #walkPage(
    page: number,
    depth: number,
    visit: (key: Buffer, value: Buffer, isBucket: boolean) => void,
  ): void {
    if (depth > DEPTH_MAX) throw new FormatError("unreadable v3 store: pages form a loop");
    this.#walkElements(this.#readPage(page), depth, visit);
  }

  #walkElements(
    page: Buffer,
    depth: number,
    visit: (key: Buffer, value: Buffer, isBucket: boolean) => void,
  ): void {
    if (page.length < PAGE_HEADER_BYTES) throw new FormatError("unreadable v3 store: short page");
    const flags = page.readUInt16LE(8);
    const count = page.readUInt16LE(10);
    if (flags !== BRANCH && flags !== LEAF) {
      throw new FormatError(`unreadable v3 store: page of kind ${flags}`);
    }
    for (let i = 0; i < count; i++) {
      const at = PAGE_HEADER_BYTES + i * ELEMENT_BYTES;
      if (at + ELEMENT_BYTES > page.length)
        throw new FormatError("unreadable v3 store: short page");
      if (flags === BRANCH) {
        this.#walkPage(safeNumber(page, at + 8), depth + 1, visit);
        continue;
      }
      const start = at + page.readUInt32LE(at + 4);
      const keyEnd = start + page.readUInt32LE(at + 8);
      const valueEnd = keyEnd + page.readUInt32LE(at + 12);
      if (valueEnd > page.length) throw new FormatError("unreadable v3 store: element too long");
      const isBucket = (page.readUInt32LE(at) & ELEMENT_IS_BUCKET) !== 0;
      visit(page.subarray(start, keyEnd), page.subarray(keyEnd, valueEnd), isBucket);
    }
  }

  /** A page of its own memory, with its overflow pages. */
  #readPage(page: number): Buffer {
    const { pageSize } = this.#meta;
    const start = page * pageSize;
    if (page < 2 || start + pageSize > this.#cursor.size) {
      throw new FormatError(`unreadable v3 store: page ${page} does not exist`);
    }
    this.#cursor.seek(start);
    const header = this.#cursor.peek(PAGE_HEADER_BYTES);
    if (safeNumber(header, 0) !== page) {
      throw new FormatError(`unreadable v3 store: page ${page} is not where it should be`);
    }
    const bytes = (header.readUInt32LE(12) + 1) * pageSize;
    if (bytes > SPAN_BYTES_MAX || start + bytes > this.#cursor.size) {
      throw new FormatError(`unreadable v3 store: page ${page} is too long`);
    }
    return Buffer.from(this.#cursor.peek(bytes));
  }

  #readMeta(): Meta {
    let best: Meta | undefined;
    // The second header's place depends on the page size, which only a header tells.
    for (let offset = 0; offset <= PAGE_SIZE_MAX; offset = offset === 0 ? 1024 : offset * 2) {
      this.#cursor.seek(offset);
      const meta = decodeMeta(this.#cursor.peek(PAGE_HEADER_BYTES + 64));
      if (meta === undefined || (offset !== 0 && meta.pageSize !== offset)) continue;
      if (best === undefined || meta.transaction > best.transaction) best = meta;
    }
    if (best === undefined) throw new FormatError("the file is no v3 store");
    return best;
  }
}

function decodeMeta(page: Buffer): Meta | undefined {
  if (page.length < PAGE_HEADER_BYTES + 64) return undefined;
  const body = page.subarray(PAGE_HEADER_BYTES);
  if (body.readUInt32LE(0) !== MAGIC || body.readUInt32LE(4) !== VERSION) return undefined;
  if (fnv64a(body.subarray(0, 56)) !== body.readBigUInt64LE(56)) return undefined;
  const pageSize = body.readUInt32LE(8);
  if (pageSize < 512 || pageSize > PAGE_SIZE_MAX) return undefined;
  return { pageSize, root: safeNumber(body, 16), transaction: safeNumber(body, 48) };
}

function fnv64a(bytes: Buffer): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) {
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffff_ffff_ffff_ffffn;
  }
  return hash;
}

function safeNumber(bytes: Buffer, offset: number): number {
  const value = bytes.readBigUInt64LE(offset);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FormatError("unreadable v3 store");
  return Number(value);
}
