/**
 * The v2 store over a v3 cluster: reads, writes and watches of one prefix, without a store of its own.
 * Any number of these may serve one prefix. Puts the parts together; each is in a file of its own.
 */
import { randomBytes } from "node:crypto";
import {
  type ByteString,
  EtcdError,
  emptyStats,
  type ReadResult,
  type RecordedEvent,
  type StoreStats,
  type WatcherHub,
  type WriteCommand,
} from "@etcd2/store";
import * as methods from "../client/methods.ts";
import type { Credentials, V3Client } from "../client/v3-client.ts";
import { V3Error } from "../client/v3-error.ts";
import { KeySpace } from "../mapping/key-space.ts";
import { CLIENTS, latin1 } from "../mapping/tree-rows.ts";
import { Expiry } from "../writes/expiry.ts";
import { Feed } from "../watches/feed.ts";
import { Horizon } from "../upstream/horizon.ts";
import { Leases } from "../upstream/leases.ts";
import * as ops from "../upstream/operations.ts";
import { type ReadOptions, Reads } from "../reads/reads.ts";
import { asEtcdError } from "../upstream/upstream-errors.ts";
import { Upstream, type UpstreamObserver } from "../upstream/upstream.ts";
import { Writes } from "../writes/writes.ts";

export interface BridgeOptions {
  readonly client: V3Client;
  /** "" or "/name". */
  readonly prefix: ByteString;
  readonly observer: UpstreamObserver;
  /** Time for one request with all its attempts. Default 7,000 ms. */
  readonly timeoutMs?: number;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/** Where a watch begins. */
export interface WatchStart {
  /** First index that it is told of. */
  readonly sinceIndex: number;
  /** Index of the store as the watch begins. */
  readonly etcdIndex: number;
}

/** What cannot be served: the cluster has other uses for these keys. */
export class ForeignPrefixError extends Error {
  override readonly name = "ForeignPrefixError";
}

/** Revisions before the start that are fetched for clients that come back after a restart. */
const HISTORY_REVISIONS = 1000;

/** Announcements of earlier processes that may lie about. */
const ANNOUNCEMENTS_MAX = 100;

/** Records looked at before the first request is taken. */
const RECORDS_CHECKED = 100;

export class Bridge {
  /** Hexadecimal without leading zeros. */
  readonly clusterId: string;
  readonly stats: StoreStats;
  readonly #upstream: Upstream;
  readonly #space: KeySpace;
  readonly #reads: Reads;
  readonly #writes: Writes;
  readonly #leases: Leases;
  readonly #expiry: Expiry;
  readonly #feed: Feed;

  private constructor(
    options: BridgeOptions,
    upstream: Upstream,
    clusterId: bigint,
    watchFrom: number,
  ) {
    const { client, log } = options;
    const space = new KeySpace(options.prefix);
    const id = randomBytes(8).toString("hex");
    this.clusterId = clusterId.toString(16);
    this.stats = emptyStats();
    this.#upstream = upstream;
    this.#space = space;
    this.#leases = new Leases(upstream);
    const parts = { upstream, space, leases: this.#leases, stats: this.stats };
    this.#reads = new Reads(parts);
    this.#writes = new Writes({
      ...parts,
      id,
      onDirectoryDue: (path, lease) => {
        this.#expiry.due(path, lease);
      },
    });
    this.#expiry = new Expiry({
      upstream,
      space,
      id,
      log: (message) => {
        log("warn", message);
      },
    });
    const { horizon } = upstream;
    this.#feed = new Feed({
      client,
      space,
      horizon,
      from: watchFrom,
      log,
      onLapsed: (path) => {
        this.#expiry.lapsed(path);
      },
      onReplacedLease: (lease) => {
        this.#leases.release(lease);
      },
      onGap: () => {
        this.#scan(log);
      },
    });
    this.#scan(log);
  }

  /**
   * Asks the cluster for its revision, and looks whether the records under the prefix are ours.
   * @throws V3Error, ForeignPrefixError
   */
  static async open(options: BridgeOptions): Promise<Bridge> {
    const { client, observer, timeoutMs } = options;
    const horizon = new Horizon();
    const upstream = new Upstream({
      client,
      horizon,
      observer,
      ...(timeoutMs !== undefined && { timeoutMs }),
    });
    const space = new KeySpace(options.prefix);
    const { kvs, header } = await upstream.persist("read", (attemptMs) =>
      client.call(
        methods.range,
        { ...space.records, limit: BigInt(RECORDS_CHECKED), keysOnly: true },
        { timeoutMs: attemptMs },
      ),
    );
    const foreign = kvs.find(
      ({ key }) => space.parse(key) === undefined && !isRootRecord(space, key),
    );
    if (foreign !== undefined) {
      throw new ForeignPrefixError(
        `${JSON.stringify(latin1(foreign.key))} is no record of this program: ` +
          `the prefix ${JSON.stringify(options.prefix)} is used by something else; choose another with --v3-prefix`,
      );
    }
    horizon.raise(Number(header?.revision ?? 0n), Number(header?.raftTerm ?? 0n));
    await forgetAnnouncements(upstream, space).catch((error: unknown) => {
      options.log("warn", `cannot remove old announcements: ${String(error)}`);
    });
    const watchFrom = await recentRevision(upstream, space);
    return new Bridge(options, upstream, header?.clusterId ?? 0n, watchFrom);
  }

  get hub(): WatcherHub {
    return this.#feed.hub;
  }

  /** Highest revision that is known here. */
  get etcdIndex(): number {
    return this.#upstream.horizon.revision;
  }

  get raftTerm(): number {
    return this.#upstream.horizon.raftTerm;
  }

  /** Revisions that are known to exist but have not come through the watch. */
  get watchLag(): number {
    return Math.max(0, this.etcdIndex - this.#feed.revision);
  }

  /** Oldest and newest revision that watches get without asking upstream. */
  get history(): { readonly historyFirstIndex: number; readonly historyLastIndex: number } {
    const historyFirstIndex = this.#feed.hub.coveredFrom;
    return { historyFirstIndex, historyLastIndex: this.#feed.revision };
  }

  /** Whether the upstream watch stands. */
  get isWatching(): boolean {
    return this.#feed.isConnected;
  }

  /**
   * One linearizable read, with the bridge's own credentials.
   * @throws V3Error
   */
  async confirm(): Promise<void> {
    const reads = [ops.readKey(this.#space.key("sequence", ""))];
    await this.#upstream.read(reads, { credentials: undefined, linearizable: true });
  }

  /** @throws EtcdError */
  read(
    path: ByteString,
    options: ReadOptions,
    credentials: Credentials | undefined,
  ): Promise<ReadResult> {
    return this.#reads.read(path, options, credentials);
  }

  /** @throws EtcdError */
  write(command: WriteCommand, credentials: Credentials | undefined): Promise<RecordedEvent> {
    return this.#writes.write(command, credentials);
  }

  /**
   * Where a watch begins, and whether the caller may watch: who may read the key may.
   * @throws EtcdError 401 when the cluster has compacted that away, 110, 300.
   */
  async startWatch(
    storePath: ByteString,
    { recursive, sinceIndex }: { readonly recursive: boolean; readonly sinceIndex: number },
    credentials: Credentials | undefined,
  ): Promise<WatchStart> {
    const path = storePath.slice(CLIENTS.length);
    const space = this.#space;
    try {
      const one = { limit: 1, keysOnly: true };
      const reads = [
        path === ""
          ? ops.readRange(space.below("data", ""), one)
          : ops.readKey(space.key("data", path)),
        ...(recursive && path !== "" ? [ops.readRange(space.below("data", path), one)] : []),
      ];
      const settings = { credentials, linearizable: false };
      const { revision } = await this.#upstream.read(reads, settings);
      if (sinceIndex === 0) return { sinceIndex: revision + 1, etcdIndex: revision };
      if (sinceIndex < this.#feed.hub.coveredFrom) await this.#checkHistory(sinceIndex);
      return { sinceIndex, etcdIndex: revision };
    } catch (error) {
      throw asEtcdError(error, this.etcdIndex);
    }
  }

  /** Asks for any key as of a revision, which the cluster refuses exactly when a watch would be. */
  async #checkHistory(sinceIndex: number): Promise<void> {
    const { key } = this.#space.everything;
    const options = { revision: sinceIndex, limit: 1, credentials: undefined, keysOnly: true };
    try {
      await this.#upstream.page(key, Buffer.concat([key, Buffer.of(0)]), options);
    } catch (error) {
      if (!(error instanceof V3Error) || !error.isCompacted) throw error;
      const first = this.#feed.hub.coveredFrom;
      const cause = `the requested history has been cleared [${first}/${sinceIndex}]`;
      throw new EtcdError(401, cause, this.etcdIndex);
    }
  }

  /** Ends all watches, and what goes on by itself. The client stays open. */
  close(): void {
    this.#feed.close();
    this.#expiry.close();
    this.#leases.close();
  }

  #scan(log: BridgeOptions["log"]): void {
    this.#expiry.scan(this.etcdIndex).catch((error: unknown) => {
      const text = error instanceof Error ? error.message : String(error);
      log("warn", `cannot look for directories that expired: ${text}`);
    });
  }
}

/** A revision a little back that the cluster still has; else the next one. */
async function recentRevision(upstream: Upstream, space: KeySpace): Promise<number> {
  const next = upstream.horizon.revision + 1;
  const revision = Math.max(1, next - HISTORY_REVISIONS);
  const { key, rangeEnd } = space.records;
  const options = { revision, limit: 1, credentials: undefined, keysOnly: true };
  try {
    await upstream.page(key, rangeEnd, options);
    return revision;
  } catch (error) {
    if (error instanceof V3Error && error.isCompacted) return next;
    throw error;
  }
}

/**
 * Each process leaves one announcement behind. They matter to nobody but watchers of their revision:
 * once there are many, they go.
 */
async function forgetAnnouncements(upstream: Upstream, space: KeySpace): Promise<void> {
  const range = space.below("announcement", "");
  const settings = { credentials: undefined, linearizable: false };
  const reads = [ops.readRange(range, { limit: ANNOUNCEMENTS_MAX, keysOnly: true })];
  const { responses } = await upstream.read(reads, settings);
  if (ops.rowsOf(responses[0]).length < ANNOUNCEMENTS_MAX) return;
  await upstream.write([], [ops.removeRange(range)], [], undefined);
}

/** The last name in order below the root has no path. */
function isRootRecord(space: KeySpace, key: Uint8Array): boolean {
  return Buffer.compare(key, space.key("sequence", "")) === 0;
}
