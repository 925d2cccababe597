/**
 * The v3 keys that stand for v2 nodes: values under their names, and, where markers are asked for, the
 * records of directories that a v2 gateway on the v3 cluster reads. Pure.
 */
import type { KeySpace } from "@etcd2/v3";
import { records } from "@etcd2/v3";
import type { PathMap } from "./path-map.ts";

export type DirectoryMode = "none" | "marker";

/** A node of the source. */
export interface SourceNode {
  /** Byte string, "/foo/bar". */
  readonly path: string;
  readonly dir: boolean;
  /** Byte string; "" of a directory. */
  readonly value: string;
  /** Unix milliseconds; undefined for a permanent one. */
  readonly expirationMs: number | undefined;
}

/** What a v3 key shall hold. */
export interface WantedRow {
  /** Byte string. */
  readonly key: string;
  /** Byte string. */
  readonly value: string;
  /** End of the key's lease in Unix milliseconds; undefined for none. */
  readonly expirationMs: number | undefined;
}

export interface RowOptions {
  readonly space: KeySpace;
  readonly paths: PathMap;
  readonly directories: DirectoryMode;
}

/** An open directory on the way to the present node. */
interface Ancestor {
  readonly path: string;
  readonly expirationMs: number | undefined;
}

/** Names of in-order keys since 2.2. */
const IN_ORDER = /^\d{20}$/;

/** Turns nodes in depth-first order into rows: lives of directories reach what is in them. */
export class RowMaker {
  readonly #options: RowOptions;
  #ancestors: Ancestor[] = [];
  /** Greatest in-order name below each directory, by the key that keeps it. */
  readonly #names = new Map<string, string>();

  constructor(options: RowOptions) {
    this.#options = options;
  }

  /** End of the life of a node as far as it and the directories around it have one. */
  lifeOf(node: SourceNode): number | undefined {
    let life = node.expirationMs;
    for (const { expirationMs } of this.#ancestors) life = earlier(life, expirationMs);
    return life;
  }

  /** The rows of the next node; none for one without a name in v3. */
  rows(node: SourceNode): readonly WantedRow[] {
    this.#ancestors = this.#ancestors.filter(({ path }) => node.path.startsWith(`${path}/`));
    const { paths, directories } = this.#options;
    const target = paths.target(node.path);
    if (node.dir) {
      const rows = directories === "none" ? [] : this.#directory(target, node.expirationMs);
      this.#ancestors.push({ path: node.path, expirationMs: node.expirationMs });
      return rows;
    }
    if (target === "") return [];
    // With markers the gateway removes what is in a directory whose life is over.
    const life = directories === "none" ? this.lifeOf(node) : node.expirationMs;
    if (directories === "marker") this.#noteName(target);
    return [{ key: this.#key("data", target), value: node.value, expirationMs: life }];
  }

  /** What keeps a gateway's in-order names behind those of the nodes so far. */
  sequences(): readonly WantedRow[] {
    return [...this.#names].map(([key, value]) => ({ key, value, expirationMs: undefined }));
  }

  #noteName(target: string): void {
    const cut = target.lastIndexOf("/");
    const name = target.slice(cut + 1);
    if (!IN_ORDER.test(name)) return;
    const key = this.#key("sequence", target.slice(0, cut));
    if (name > (this.#names.get(key) ?? "")) this.#names.set(key, name);
  }

  #directory(target: string, expirationMs: number | undefined): readonly WantedRow[] {
    if (target === "") return [];
    const record = records.encodeDirectoryRecord({
      action: "set",
      createdIndex: 0,
      modifiedIndex: 0,
      expirationMs,
      refresh: false,
      isImplicit: false,
    });
    const key = this.#key("directory", target);
    const marker = { key, value: record.toString("latin1"), expirationMs: undefined };
    if (expirationMs === undefined) return [marker];
    return [marker, { key: this.#key("lifetime", target), value: "", expirationMs }];
  }

  #key(kind: "data" | "directory" | "lifetime" | "sequence", path: string): string {
    return this.#options.space.key(kind, path).toString("latin1");
  }
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
