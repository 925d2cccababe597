/**
 * Leases for keys that expire: one for each second in which keys expire, made when the first of them is
 * written. Beyond a number of leases the seconds are rounded up to minutes. Never ends a key early.
 */
import { methods, V3Error } from "@etcd2/v3";
import type { V3Client } from "@etcd2/v3";

/** Leases with a second of their own; the server keeps every lease in memory. */
const EXACT_MAX = 20_000;
const COARSE_SECONDS = 60;

/** What a server keeps of a lease at least; shorter ones are made longer by it. */
const TTL_MIN_SECONDS = 1;

interface Lease {
  readonly id: Promise<bigint>;
  /** Unix seconds by this machine's clock. */
  readonly ends: number;
}

export class LeaseTable {
  readonly #client: V3Client;
  readonly #signal: AbortSignal;
  readonly #leases = new Map<number, Lease>();
  granted = 0;

  constructor(client: V3Client, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
  }

  /** The lease of keys that expire then, in Unix milliseconds. @throws V3Error */
  leaseFor(expirationMs: number): Promise<bigint> {
    let second = Math.ceil(expirationMs / 1000);
    const known = this.#leases.get(second);
    if (known !== undefined) return known.id;
    if (this.#leases.size >= EXACT_MAX) {
      second = Math.ceil(second / COARSE_SECONDS) * COARSE_SECONDS;
      const coarse = this.#leases.get(second);
      if (coarse !== undefined) return coarse.id;
    }
    const id = this.#grant(second);
    this.#leases.set(second, { id, ends: second });
    id.catch(() => {
      this.#leases.delete(second);
    });
    return id;
  }

  /** Forgets all leases, because the server did not know one of them. */
  forget(): void {
    this.#leases.clear();
  }

  async #grant(second: number): Promise<bigint> {
    const left = Math.ceil((second * 1000 - Date.now()) / 1000);
    const answer = await this.#client.call(
      methods.leaseGrant,
      { ttl: BigInt(Math.max(TTL_MIN_SECONDS, left)) },
      { signal: this.#signal },
    );
    if (answer.error !== "") throw new V3Error("unknown", answer.error);
    this.granted++;
    return answer.id;
  }
}

/** The error of a transaction that names a lease which is over. */
export function isLeaseGone(error: V3Error): boolean {
  return error.code === "notFound" && error.message.includes("lease not found");
}

/** When the leases end, in Unix milliseconds; those that are over are left out. */
export async function leaseEnds(
  client: V3Client,
  ids: Iterable<bigint>,
  signal: AbortSignal,
): Promise<ReadonlyMap<bigint, number>> {
  const ends = new Map<bigint, number>();
  for (const id of ids) {
    const answer = await client.call(methods.leaseTimeToLive, { id }, { signal });
    if (answer.ttl >= 0n) ends.set(id, Date.now() + Number(answer.ttl) * 1000);
  }
  return ends;
}
