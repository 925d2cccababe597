/**
 * The nodes below a directory, as of one revision: values, their records and the records of directories
 * are read page by page and put together in the order of the v2 API. Without `recursive` the pages leap
 * over what lies deeper.
 */
import type { KeyValue } from "@etcd2/proto/v3/kv";
import { type ByteString, type ListingRow, nodeExtern, type TreeNode } from "@etcd2/store";
import type { Credentials } from "../client/v3-client.ts";
import type { KeyKind, KeySpace } from "../mapping/key-space.ts";
import {
  CLIENTS,
  directoryNode,
  fileNode,
  impliedDirectory,
  isCurrent,
} from "../mapping/tree-rows.ts";
import type { Upstream } from "../upstream/upstream.ts";

const PAGE_ROWS = 1000;

export interface Pages {
  readonly upstream: Upstream;
  readonly space: KeySpace;
  readonly revision: number;
  readonly credentials: Credentials | undefined;
}

/** One name below the directory. */
interface Branch {
  data?: KeyValue;
  file?: KeyValue;
  directory?: KeyValue;
  /** First row of a value deeper down. */
  below?: KeyValue;
  readonly children: Map<ByteString, Branch>;
}

type LeaseEnds = (leases: ReadonlySet<bigint>) => Promise<ReadonlyMap<bigint, number>>;

/** @throws V3Error outOfRange when the revision was compacted away meanwhile. */
export async function listDirectory(
  pages: Pages,
  directory: ByteString,
  recursive: boolean,
  leaseEnds: LeaseEnds,
): Promise<readonly ListingRow[]> {
  const root: Branch = { children: new Map() };
  const kinds = ["data", "file", "directory"] as const;
  await Promise.all(kinds.map((kind) => collect(pages, kind, directory, recursive, root)));
  const leases = new Set<bigint>();
  gatherLeases(root, leases);
  const ends = await leaseEnds(leases);
  const rows: ListingRow[] = [];
  show(root, CLIENTS + directory, 1, { recursive, ends, nowMs: Date.now() }, rows);
  return rows;
}

async function collect(
  { upstream, space, revision, credentials }: Pages,
  kind: "data" | "file" | "directory",
  directory: ByteString,
  recursive: boolean,
  root: Branch,
): Promise<void> {
  const { key, rangeEnd } = space.below(kind, directory);
  let from: Buffer = key;
  for (;;) {
    const { rows, more } = await upstream.page(from, rangeEnd, {
      revision,
      limit: PAGE_ROWS,
      credentials,
    });
    for (const row of rows) place(space, kind, directory, recursive, root, row);
    const last = rows.at(-1);
    if (!more || last === undefined) return;
    from = nextStart(space, kind, directory, recursive, last.key);
  }
}

/** Where the next page begins: behind the last key, or behind everything below its first name. */
function nextStart(
  space: KeySpace,
  kind: KeyKind,
  directory: ByteString,
  recursive: boolean,
  last: Uint8Array,
): Buffer {
  const path = space.parse(last)?.path;
  const deeper = path?.indexOf("/", directory.length + 1) ?? -1;
  if (recursive || path === undefined || deeper < 0) return Buffer.concat([last, Buffer.of(0)]);
  return space.below(kind, path.slice(0, deeper)).rangeEnd;
}

function place(
  space: KeySpace,
  kind: "data" | "file" | "directory",
  directory: ByteString,
  recursive: boolean,
  root: Branch,
  row: KeyValue,
): void {
  const path = space.parse(row.key)?.path;
  if (path === undefined) return;
  const names = path.slice(directory.length + 1).split("/");
  let branch = root;
  for (const [at, name] of names.entries()) {
    let child = branch.children.get(name);
    if (child === undefined) {
      child = { children: new Map() };
      branch.children.set(name, child);
    }
    branch = child;
    if (at === names.length - 1) branch[kind] = row;
    else {
      if (kind === "data" && isFirst(branch.below, row)) branch.below = row;
      if (!recursive) return;
    }
  }
}

function isFirst(before: KeyValue | undefined, row: KeyValue): boolean {
  return before === undefined || Buffer.compare(row.key, before.key) < 0;
}

function gatherLeases({ children }: Branch, leases: Set<bigint>): void {
  for (const child of children.values()) {
    const { data, file } = child;
    if (data !== undefined && data.lease !== 0n && !isCurrent(data, file)) leases.add(data.lease);
    gatherLeases(child, leases);
  }
}

interface ShowOptions {
  readonly recursive: boolean;
  readonly ends: ReadonlyMap<bigint, number>;
  readonly nowMs: number;
}

function nodeOf(branch: Branch, ends: ShowOptions["ends"]): TreeNode | undefined {
  const { data, file, directory, below } = branch;
  if (directory !== undefined) return directoryNode(directory);
  if (data !== undefined) return fileNode(data, file, ends.get(data.lease));
  return below && impliedDirectory(below);
}

function show(
  { children }: Branch,
  path: ByteString,
  depth: number,
  options: ShowOptions,
  rows: ListingRow[],
): void {
  for (const name of [...children.keys()].sort()) {
    const branch = children.get(name);
    if (branch === undefined || name.startsWith("_")) continue;
    const node = nodeOf(branch, options.ends);
    if (node === undefined) continue;
    const key = `${path}/${name}`;
    rows.push({ node: nodeExtern(key, node, options.nowMs), depth });
    if (node.dir && options.recursive) show(branch, key, depth + 1, options, rows);
  }
}
