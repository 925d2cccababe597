/**
 * The rows that decide about one path, all of one revision: its own, those of the directories above,
 * and whether anything lies below. Says what to read, and what the v2 tree looks like there: a
 * directory record makes a directory, whatever else; a value without one makes a file, which hides
 * keys below it; keys below make a directory where there is neither.
 */
import type { KeyValue, ResponseOp } from "@etcd2/proto/v3/kv";
import { type ByteString, parentPath, type TreeNode } from "@etcd2/store";
import type { KeySpace } from "../mapping/key-space.ts";
import { directoryNode, fileNode, impliedDirectory } from "../mapping/tree-rows.ts";
import { type Operation, readKey, readRange, rowsOf } from "../upstream/operations.ts";

/** What is known of one path. */
export interface Level {
  readonly path: ByteString;
  readonly data: KeyValue | undefined;
  readonly file: KeyValue | undefined;
  readonly directory: KeyValue | undefined;
  /** The first value below. */
  readonly below: KeyValue | undefined;
}

/** Reads of one level. */
const LEVEL_READS = 4;

/** Paths from below the root down to `path`. */
export function levelsOf(path: ByteString): readonly ByteString[] {
  const levels: ByteString[] = [];
  for (let at = path; at !== ""; at = parentPath(at)) levels.push(at);
  return levels.reverse();
}

/** What to read of the given levels. */
export function levelReads(space: KeySpace, levels: readonly ByteString[]): readonly Operation[] {
  return levels.flatMap((path) => [
    readKey(space.key("data", path)),
    readKey(space.key("file", path)),
    readKey(space.key("directory", path)),
    readRange(space.below("data", path), { limit: 1, keysOnly: true }),
  ]);
}

/** What was read of the given levels, by the answers to levelReads(). */
export function takeLevels(
  levels: readonly ByteString[],
  responses: readonly ResponseOp[],
): readonly Level[] {
  return levels.map((path, at) => {
    const rows = (offset: number): KeyValue | undefined =>
      rowsOf(responses[at * LEVEL_READS + offset])[0];
    return { path, data: rows(0), file: rows(1), directory: rows(2), below: rows(3) };
  });
}

export class Snapshot {
  /** The revision at which all was read. */
  readonly revision: number;
  readonly levels: readonly Level[];
  readonly #nodes = new Map<ByteString, TreeNode>();

  /** @param leaseEnds Ends of leases of v3 programs, where they are known. */
  constructor(
    revision: number,
    levels: readonly Level[],
    leaseEnds: ReadonlyMap<bigint, number> = new Map(),
  ) {
    this.revision = revision;
    this.levels = levels;
    for (const { path, data, file, directory, below } of levels) {
      if (directory !== undefined) this.#nodes.set(path, directoryNode(directory));
      else if (data !== undefined) {
        this.#nodes.set(path, fileNode(data, file, leaseEnds.get(data.lease)));
        break;
      } else if (below !== undefined) this.#nodes.set(path, impliedDirectory(below));
      else break;
    }
  }

  /** The node at a path of these; undefined where there is none. */
  node(path: ByteString): TreeNode | undefined {
    return this.#nodes.get(path);
  }

  /** The first path without a node. */
  get firstMissing(): Level | undefined {
    return this.levels.find(({ path }) => !this.#nodes.has(path));
  }

  /** Directories without a record: they exist by what lies below them. */
  get implied(): readonly Level[] {
    return this.levels.filter(
      ({ path, directory }) => directory === undefined && this.#nodes.get(path)?.dir === true,
    );
  }
}
