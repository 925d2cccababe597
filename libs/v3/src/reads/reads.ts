/**
 * Reads of v2 on a v3 cluster: a file in one round trip shared with others, a directory with its
 * listing as of one revision, and the refusals of the v2 tree for what is not there.
 */
import {
  type ByteString,
  EtcdError,
  emptyStats,
  type ListingRow,
  nodeExtern,
  type ReadResult,
  type StoreStats,
  Tree,
  TreeNode,
} from "@etcd2/store";
import type { Credentials } from "../client/v3-client.ts";
import { V3Error } from "../client/v3-error.ts";
import type { KeySpace } from "../mapping/key-space.ts";
import { CLIENTS, directoryNode, fileNode, isCurrent } from "../mapping/tree-rows.ts";
import type { Leases } from "../upstream/leases.ts";
import { listDirectory } from "./listing.ts";
import * as ops from "../upstream/operations.ts";
import { RowSpace } from "../rows/row-space.ts";
import { levelReads, levelsOf, Snapshot, takeLevels } from "../rows/snapshot.ts";
import { asEtcdError } from "../upstream/upstream-errors.ts";
import type { Upstream } from "../upstream/upstream.ts";

export interface ReadOptions {
  readonly recursive: boolean;
  /** Whether the answer must be as new as the request. */
  readonly quorum: boolean;
}

export interface ReadsOptions {
  readonly upstream: Upstream;
  readonly space: KeySpace;
  readonly leases: Leases;
  readonly stats: StoreStats;
}

/** Listings that may begin anew because the cluster compacted what they were reading. */
const LISTING_ATTEMPTS = 3;

/** Leases of v3 programs that one listing asks for. */
const LEASES_MAX = 100;

const ROOT = new TreeNode(true, "", 0, 0, undefined, undefined);

/** What a read found, before it is shown. */
interface Found {
  readonly node: TreeNode;
  readonly revision: number;
}

export class Reads {
  readonly #options: ReadsOptions;

  constructor(options: ReadsOptions) {
    this.#options = options;
  }

  /**
   * @param storePath "/1/foo"
   * @throws EtcdError
   */
  async read(
    storePath: ByteString,
    options: ReadOptions,
    credentials: Credentials | undefined,
  ): Promise<ReadResult> {
    const { stats, upstream } = this.#options;
    try {
      const result = await this.#read(storePath, options, credentials);
      stats.getsSuccess += 1;
      return result;
    } catch (error) {
      stats.getsFail += 1;
      throw asEtcdError(error, upstream.horizon.revision);
    }
  }

  async #read(
    storePath: ByteString,
    options: ReadOptions,
    credentials: Credentials | undefined,
  ): Promise<ReadResult> {
    const path = storePath.slice(CLIENTS.length);
    for (let attempt = 1; ; attempt += 1) {
      const found = await this.#find(path, options.quorum, credentials);
      try {
        return await this.#show(storePath, found, options, credentials);
      } catch (error) {
        const isLate = error instanceof V3Error && error.isCompacted;
        if (!isLate || attempt >= LISTING_ATTEMPTS) throw error;
      }
    }
  }

  async #find(
    path: ByteString,
    linearizable: boolean,
    credentials: Credentials | undefined,
  ): Promise<Found> {
    const { space, upstream } = this.#options;
    const settings = { credentials, linearizable };
    if (path === "") {
      const { revision } = await upstream.read(
        [ops.readRange(space.below("data", ""), { limit: 1, keysOnly: true })],
        settings,
      );
      return { node: ROOT, revision };
    }
    const reads = [
      ops.readKey(space.key("data", path)),
      ops.readKey(space.key("file", path)),
      ops.readKey(space.key("directory", path)),
    ];
    const { revision, responses } = await upstream.read(reads, settings);
    const [data, file, directory] = responses.map((response) => ops.rowsOf(response)[0]);
    if (directory !== undefined) return { node: directoryNode(directory), revision };
    if (data !== undefined && isCurrent(data, file)) {
      return { node: fileNode(data, file), revision };
    }
    return this.#findFully(path, settings);
  }

  /** With everything above: for what v3 programs wrote, and for what is not there. */
  async #findFully(
    path: ByteString,
    settings: { readonly credentials: Credentials | undefined; readonly linearizable: boolean },
  ): Promise<Found> {
    const { space, upstream, leases } = this.#options;
    const levels = levelsOf(path);
    const all = levelReads(space, levels);
    const responses = [];
    let revision = 0;
    for (let at = 0; at < all.length; at += ops.OPERATIONS_MAX) {
      const part = await upstream.read(all.slice(at, at + ops.OPERATIONS_MAX), settings);
      responses.push(...part.responses);
      revision = part.revision;
    }
    const found = takeLevels(levels, responses);
    const data = found.at(-1)?.data;
    const lease = data?.lease ?? 0n;
    const ends =
      lease === 0n ? new Map<bigint, number>() : await leases.endsOf([lease], settings.credentials);
    const snapshot = new Snapshot(revision, found, ends);
    const source = { node: (at: ByteString) => snapshot.node(at), hasChildren: false };
    const node = new Tree(new RowSpace(source), revision, emptyStats()).read(CLIENTS + path);
    if (node instanceof EtcdError) throw node;
    return { node, revision };
  }

  async #show(
    storePath: ByteString,
    { node, revision }: Found,
    { recursive }: ReadOptions,
    credentials: Credentials | undefined,
  ): Promise<ReadResult> {
    const { space, upstream, leases } = this.#options;
    const path = storePath.slice(CLIENTS.length);
    let rows: readonly ListingRow[] | undefined;
    const nowMs = Date.now();
    if (node.dir) {
      const pages = { upstream, space, revision, credentials };
      rows = await listDirectory(pages, path, recursive, async (leasesFound) => {
        const asked = [...leasesFound].slice(0, LEASES_MAX);
        return asked.length === 0 ? new Map() : leases.endsOf(asked, credentials);
      });
    }
    return {
      etcdIndex: revision,
      raftIndex: revision,
      raftTerm: upstream.horizon.raftTerm,
      node: nodeExtern(storePath, node, nowMs),
      children: rows && new RowListing(rows),
    };
  }
}

/** Rows at hand, as a listing. */
class RowListing {
  #rows: readonly ListingRow[];
  #at = 0;

  constructor(rows: readonly ListingRow[]) {
    this.#rows = rows;
  }

  take(rowsMax: number): readonly ListingRow[] | undefined {
    const rows = this.next(rowsMax);
    return rows.length === 0 ? undefined : rows;
  }

  next(rowsMax: number): readonly ListingRow[] {
    const rows = this.#rows.slice(this.#at, this.#at + rowsMax);
    this.#at += rows.length;
    return rows;
  }

  close(): void {
    this.#rows = [];
  }
}
