/**
 * Leases behind TTLs: one for each write, so that each expiry is a revision of its own. Whoever granted
 * a lease also ends it when its time has come, to the second; when that process is gone, the cluster
 * ends it a little later. Never early: a lease is granted for at least the life that was asked for.
 */
import * as methods from "../client/methods.ts";
import type { Credentials } from "../client/v3-client.ts";
import type { Upstream } from "./upstream.ts";

/** What a server grants at most; longer lives are as good as unlimited and get no lease. */
const TTL_MAX_SECONDS = 9_000_000_000;

/** Longest time a timer of the runtime can wait. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Leases that this process ends itself; the cluster sees to the others. */
const TIMERS_MAX = 100_000;

/** How long the end of a lease of others is believed: they may extend it. */
const FOREIGN_MS = 1000;

interface Held {
  readonly timer: NodeJS.Timeout;
  readonly credentials: Credentials | undefined;
}

export class Leases {
  readonly #upstream: Upstream;
  readonly #held = new Map<bigint, Held>();
  readonly #foreign = new Map<bigint, { readonly endMs: number; readonly untilMs: number }>();

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  /**
   * A lease for a life that ends at `expirationMs`, Unix milliseconds.
   * @returns 0 for a life too long for one.
   * @throws V3Error
   */
  async grant(expirationMs: number, credentials: Credentials | undefined): Promise<bigint> {
    const seconds = Math.max(1, Math.ceil((expirationMs - Date.now()) / 1000));
    if (seconds > TTL_MAX_SECONDS) return 0n;
    const { id } = await this.#upstream.persist("lease", (timeoutMs) =>
      this.#upstream.client.call(
        methods.leaseGrant,
        { ttl: BigInt(seconds) },
        { credentials, timeoutMs },
      ),
    );
    return id;
  }

  /**
   * Ends the lease at its time; to be called once what it is for has been written.
   * @param end Called in place of revoking the lease.
   */
  endAt(
    lease: bigint,
    expirationMs: number,
    credentials: Credentials | undefined,
    end?: () => void,
  ): void {
    const waitMs = Math.max(0, expirationMs - Date.now());
    if (lease === 0n || waitMs > TIMER_MAX_MS || this.#held.size >= TIMERS_MAX) return;
    const timer = setTimeout(() => {
      if (end === undefined) {
        this.release(lease);
        return;
      }
      this.#held.delete(lease);
      end();
    }, waitMs);
    timer.unref();
    this.#held.set(lease, { timer, credentials });
  }

  /** Gives up a lease of this process: its keys go, should it still have any. */
  release(lease: bigint): void {
    const held = this.#held.get(lease);
    if (held === undefined) return;
    clearTimeout(held.timer);
    this.#held.delete(lease);
    this.abandon(lease, held.credentials);
  }

  /** Revokes a lease; should that fail, the cluster ends it later. */
  abandon(lease: bigint, credentials: Credentials | undefined): void {
    if (lease === 0n) return;
    this.#upstream.client
      .call(
        methods.leaseRevoke,
        { id: lease },
        { credentials, timeoutMs: this.#upstream.timeoutMs },
      )
      .catch(() => undefined);
  }

  /** When leases of v3 programs end, Unix milliseconds; those that are gone are left out. */
  async endsOf(
    leases: Iterable<bigint>,
    credentials: Credentials | undefined,
  ): Promise<ReadonlyMap<bigint, number>> {
    const ends = new Map<bigint, number>();
    const ask = async (lease: bigint): Promise<void> => {
      const known = this.#foreign.get(lease);
      if (known !== undefined && known.untilMs > Date.now()) {
        ends.set(lease, known.endMs);
        return;
      }
      const { ttl } = await this.#upstream.persist("lease", (timeoutMs) =>
        this.#upstream.client.call(
          methods.leaseTimeToLive,
          { id: lease },
          { credentials, timeoutMs },
        ),
      );
      if (ttl <= 0n) return;
      const endMs = Date.now() + Number(ttl) * 1000;
      if (this.#foreign.size > 10_000) this.#foreign.clear();
      this.#foreign.set(lease, { endMs, untilMs: Date.now() + FOREIGN_MS });
      ends.set(lease, endMs);
    };
    await Promise.all([...leases].map(ask));
    return ends;
  }

  /** Leaves what is running to the cluster. */
  close(): void {
    for (const { timer } of this.#held.values()) clearTimeout(timer);
    this.#held.clear();
  }
}
