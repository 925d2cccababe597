/**
 * Where v2 nodes lie among v3 keys. A file's value is the v3 key `PREFIX/foo/bar`, raw, so that v3
 * programs read and write it without knowing v2. What v2 needs besides stands beside it, below
 * `PREFIX.etcd2/`: both are one range of keys, which one watch covers. Paths here are those of
 * clients, "/foo/bar", and "" for the root.
 */
import type { ByteString } from "@etcd2/store";

/**
 * data: the value of a file. file: its record. directory: the record of a directory, which has no
 * value. lifetime: present while a directory with a TTL lives. sequence: the last in-order name below
 * a directory. announcement: what a deletion was, one key for each bridge.
 */
export type KeyKind = "data" | "file" | "directory" | "lifetime" | "sequence" | "announcement";

export interface ParsedKey {
  readonly kind: KeyKind;
  /** "/foo/bar"; of an announcement, "/" and the bridge's id. */
  readonly path: ByteString;
}

/** All keys from `key` up to, not including, `rangeEnd`. */
export interface KeyRange {
  readonly key: Buffer;
  readonly rangeEnd: Buffer;
}

/** Follows the prefix; "." comes right before "/" in byte order. */
const RECORDS = ".etcd2/";

const LETTERS: Readonly<Record<Exclude<KeyKind, "data">, string>> = {
  file: "f",
  directory: "d",
  lifetime: "t",
  sequence: "s",
  announcement: "e",
};

const KINDS = new Map(
  Object.entries(LETTERS).map(([kind, letter]) => [letter, kind as Exclude<KeyKind, "data">]),
);

const SLASH = "/";
const AFTER_SLASH = "0";

/**
 * Whether the v2 API can name a path: it begins with a slash, no element is empty, "." or "..", and it
 * does not end in a slash.
 */
export function isNameable(path: ByteString): boolean {
  if (!path.startsWith(SLASH)) return false;
  return path
    .slice(1)
    .split(SLASH)
    .every((name) => name !== "" && name !== "." && name !== "..");
}

export class KeySpace {
  /** "" or "/name", without a slash at the end. */
  readonly prefix: ByteString;

  /** @param prefix A slash at its end does not count. */
  constructor(prefix: ByteString) {
    this.prefix = prefix.replace(/\/+$/, "");
  }

  /** The key of one node. */
  key(kind: KeyKind, path: ByteString): Buffer {
    return Buffer.from(this.#start(kind) + path, "latin1");
  }

  /** The keys of one kind below a directory, at any depth. */
  below(kind: KeyKind, path: ByteString): KeyRange {
    const start = this.#start(kind) + path;
    return {
      key: Buffer.from(start + SLASH, "latin1"),
      rangeEnd: Buffer.from(start + AFTER_SLASH, "latin1"),
    };
  }

  /** Data and records of the whole tree, and the few keys of others between them. */
  get everything(): KeyRange {
    return {
      key: Buffer.from(this.prefix + RECORDS, "latin1"),
      rangeEnd: Buffer.from(this.prefix + AFTER_SLASH, "latin1"),
    };
  }

  /** All records. */
  get records(): KeyRange {
    const start = this.prefix + RECORDS.slice(0, -1);
    return {
      key: Buffer.from(start + SLASH, "latin1"),
      rangeEnd: Buffer.from(start + AFTER_SLASH, "latin1"),
    };
  }

  /** What a key stands for; undefined for one that is none of ours or that v2 cannot name. */
  parse(key: Uint8Array): ParsedKey | undefined {
    const text = Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
    if (!text.startsWith(this.prefix)) return undefined;
    const rest = text.slice(this.prefix.length);
    if (rest.startsWith(RECORDS)) {
      const kind = KINDS.get(rest.charAt(RECORDS.length));
      const path = rest.slice(RECORDS.length + 1);
      return kind !== undefined && isNameable(path) ? { kind, path } : undefined;
    }
    return isNameable(rest) ? { kind: "data", path: rest } : undefined;
  }

  #start(kind: KeyKind): string {
    return kind === "data" ? this.prefix : `${this.prefix}${RECORDS}${LETTERS[kind]}`;
  }
}
