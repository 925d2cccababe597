/**
 * Directories whose TTL is over: each bridge that notices removes the subtree in one guarded
 * transaction, of which the cluster carries out the first. Late at worst, never early: a directory's
 * lifetime is a key with a lease of its own, and only its absence counts.
 */
import type { ByteString } from "@etcd2/store";
import { decodeDirectoryRecord } from "../mapping/node-record.ts";
import type { KeySpace } from "../mapping/key-space.ts";
import * as ops from "../upstream/operations.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { announce, removeSubtree } from "./write-plan.ts";

export interface ExpiryOptions {
  readonly upstream: Upstream;
  readonly space: KeySpace;
  readonly id: string;
  log(message: string): void;
}

const PAGE_ROWS = 500;
const RETRY_MS = 1000;
const SPREAD_MS = 30;

export class Expiry {
  readonly #options: ExpiryOptions;
  readonly #timers = new Map<ByteString, NodeJS.Timeout>();
  #isClosed = false;

  constructor(options: ExpiryOptions) {
    this.#options = options;
  }

  /**
   * The time has come for a directory that this process wrote: it goes before its lease does, in one
   * revision. Should that fail, the end of the lease is noticed.
   */
  due(path: ByteString, lease: bigint): void {
    if (this.#isClosed) return;
    this.#remove(path, lease).catch((error: unknown) => {
      this.#options.log(`cannot remove the expired directory ${path} yet: ${textOf(error)}`);
    });
  }

  /** The lifetime of a directory has ended. */
  lapsed(path: ByteString, waitMs = Math.random() * SPREAD_MS): void {
    if (this.#isClosed || this.#timers.has(path)) return;
    const timer = setTimeout(() => {
      this.#timers.delete(path);
      this.#remove(path).catch((error: unknown) => {
        this.#options.log(
          `cannot remove the expired directory ${path}: ${textOf(error)}; trying again`,
        );
        this.lapsed(path, RETRY_MS);
      });
    }, waitMs);
    this.#timers.set(path, timer);
  }

  /**
   * Looks for directories whose lifetime ended while nobody was watching.
   * @throws V3Error
   */
  async scan(revision: number): Promise<void> {
    const { upstream, space } = this.#options;
    const range = space.below("directory", "");
    let from: Buffer = range.key;
    while (!this.#isClosed) {
      const { rows, more } = await upstream.page(from, range.rangeEnd, {
        revision,
        limit: PAGE_ROWS,
        credentials: undefined,
      });
      for (const row of rows) {
        const path = space.parse(row.key)?.path;
        const expires = decodeDirectoryRecord(row.value)?.expirationMs;
        if (path !== undefined && expires !== undefined) this.lapsed(path);
      }
      const last = rows.at(-1);
      if (!more || last === undefined) return;
      from = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** @param lease That of the lifetime, where it is this process' to end. */
  async #remove(path: ByteString, lease?: bigint): Promise<void> {
    const { upstream, space, id } = this.#options;
    const directory = space.key("directory", path);
    const lifetime = space.key("lifetime", path);
    const reads = [ops.readKey(directory), ops.readKey(lifetime)];
    const { responses } = await upstream.read(reads, {
      credentials: undefined,
      linearizable: true,
    });
    const record = ops.rowsOf(responses[0])[0];
    const life = ops.rowsOf(responses[1])[0];
    if (record === undefined || life?.lease !== lease || this.#isClosed) return;
    const expirationMs = decodeDirectoryRecord(record.value)?.expirationMs;
    // Too long a life for a lease.
    if (expirationMs === undefined || expirationMs > Date.now() + RETRY_MS) return;
    // Another bridge, or a client that gave it a new life, may be first: then there is nothing to do.
    await upstream.remove(
      [ops.unchanged(directory, record), ops.unchanged(lifetime, life)],
      [
        ...removeSubtree(space, path),
        announce(space, `/${id}`, { action: "expire", path, dir: true }),
      ],
      [],
      undefined,
    );
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
