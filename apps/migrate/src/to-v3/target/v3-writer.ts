/**
 * Writing rows to a v3 cluster: transactions within the limits of the other side, each guarded by what its
 * keys were when they were looked at, repeated until their outcome is known. Says which keys somebody else
 * has written meanwhile; decides nothing about them.
 */
import { fromByteString } from "@etcd2/store";
import { setTimeout as sleep } from "node:timers/promises";
import { Compare_CompareResult, Compare_CompareTarget } from "@etcd2/proto/v3/kv";
import { methods, V3Error } from "@etcd2/v3";
import type { V3Client } from "@etcd2/v3";
import { MigrateError } from "../../errors.ts";
import { isLeaseGone } from "./lease-table.ts";
import type { LeaseTable } from "./lease-table.ts";
import type { WantedRow } from "../mapping/rows.ts";
import { digestOf } from "./target-keys.ts";

/** Changes of one transaction; 128 operations are allowed, one of them says whose it is. */
export const CHANGES_MAX = 127;

/** Keys and values of one transaction; 1.5 MiB are allowed, each key is sent twice. */
export const BYTES_MAX = 1024 * 1024;

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2000;
const TIMEOUT_MS = 15_000;

/** What the key's last change may be: exactly this revision (0 is no key), or any up to this one. */
export type Guard = { readonly exactly: number } | { readonly atMost: number };

export interface Change {
  /** Byte string. */
  readonly key: string;
  /** Undefined deletes the key. */
  readonly row: WantedRow | undefined;
  readonly guard: Guard;
}

export interface Committed {
  /** Revision of the last transaction; 0 when nothing had to be written. */
  readonly revision: number;
  /** Keys that were changed by others since they were looked at. */
  readonly refused: readonly Change[];
}

export interface V3WriterOptions {
  readonly client: V3Client;
  readonly leases: LeaseTable;
  readonly signal: AbortSignal;
  /** Key and value that mark a transaction as one of this migration. */
  readonly mark: () => { readonly key: Buffer; readonly value: Buffer };
  /** How long the cluster may be away; undefined is for ever. */
  readonly patienceMs: number | undefined;
  /** Told once when the cluster cannot be reached, and once when it can again. */
  readonly onReachable: (reachable: boolean, reason: string) => void;
  /** Told of rows that are larger than the cluster takes. */
  readonly onTooLarge: (row: WantedRow) => void;
}

export class V3Writer {
  readonly #options: V3WriterOptions;
  #isReachable = true;
  /** Keys put and deleted. */
  writes = 0;
  /** Transactions whose guard did not hold. */
  conflicts = 0;

  constructor(options: V3WriterOptions) {
    this.#options = options;
  }

  /** Writes up to CHANGES_MAX changes of distinct keys. @throws MigrateError when it is refused for good. */
  async commit(changes: readonly Change[]): Promise<Committed> {
    let pending = changes;
    let revision = 0;
    const refused: Change[] = [];
    while (pending.length > 0) {
      const outcome = await this.#attempt(pending);
      if (outcome === "tooLarge") {
        if (pending.length === 1) {
          const row = pending[0]?.row;
          if (row !== undefined) this.#options.onTooLarge(row);
          break;
        }
        const half = Math.ceil(pending.length / 2);
        const left = await this.commit(pending.slice(0, half));
        const right = await this.commit(pending.slice(half));
        refused.push(...left.refused, ...right.refused);
        return { revision: Math.max(left.revision, right.revision), refused };
      }
      if (outcome.succeeded) {
        this.writes += pending.length;
        revision = outcome.revision;
        break;
      }
      this.conflicts++;
      const found = await this.#judge(pending);
      refused.push(...found.refused);
      pending = found.again;
    }
    return { revision, refused };
  }

  /** One call, repeated while the cluster is away. @throws MigrateError */
  async call<T>(make: () => Promise<T>): Promise<T> {
    const { signal, patienceMs } = this.#options;
    const started = performance.now();
    for (let wait = RETRY_MIN_MS; ; wait = Math.min(wait * 2, RETRY_MAX_MS)) {
      try {
        const answer = await make();
        this.#reached(true, "");
        return answer;
      } catch (error) {
        if (signal.aborted) throw new MigrateError("interrupted", "interrupted");
        if (!(error instanceof V3Error)) throw error;
        if (!isPassing(error)) throw refusal(error);
        if (patienceMs !== undefined && performance.now() - started > patienceMs) {
          throw refusal(error);
        }
        this.#reached(false, error.message);
      }
      await sleep(wait, undefined, { signal }).catch(() => {
        throw new MigrateError("interrupted", "interrupted");
      });
    }
  }

  async #attempt(
    changes: readonly Change[],
  ): Promise<"tooLarge" | { readonly succeeded: boolean; readonly revision: number }> {
    const { client, signal, mark } = this.#options;
    return this.call(async () => {
      try {
        const ops = await this.#operations(changes);
        const { key, value } = mark();
        const answer = await client.call(
          methods.txn,
          {
            compare: changes.map(compareOf),
            success: [...ops, { request: { case: "requestPut", value: { key, value } } }],
          },
          { signal, timeoutMs: TIMEOUT_MS },
        );
        return {
          succeeded: answer.succeeded,
          revision: Number(answer.header?.revision ?? 0n),
        };
      } catch (error) {
        if (error instanceof V3Error && isTooLarge(error)) return "tooLarge";
        if (error instanceof V3Error && isLeaseGone(error)) {
          this.#options.leases.forget();
          throw new V3Error("unavailable", error.message, { mayHaveHappened: false });
        }
        throw error;
      }
    });
  }

  async #operations(changes: readonly Change[]): Promise<Operation[]> {
    const { leases } = this.#options;
    const ops: Operation[] = [];
    for (const { key, row } of changes) {
      const bytes = Buffer.from(key, "latin1");
      if (row === undefined) {
        ops.push({ request: { case: "requestDeleteRange", value: { key: bytes } } });
        continue;
      }
      const value = Buffer.from(row.value, "latin1");
      const put =
        row.expirationMs === undefined
          ? { key: bytes, value }
          : { key: bytes, value, lease: await leases.leaseFor(row.expirationMs) };
      ops.push({ request: { case: "requestPut", value: put } });
    }
    return ops;
  }

  /** Looks at the keys of a transaction whose guard did not hold. */
  async #judge(
    changes: readonly Change[],
  ): Promise<{ readonly again: readonly Change[]; readonly refused: readonly Change[] }> {
    const { client, signal } = this.#options;
    const answer = await this.call(() =>
      client.call(
        methods.txn,
        {
          success: changes.map(({ key }) => ({
            request: { case: "requestRange" as const, value: { key: Buffer.from(key, "latin1") } },
          })),
        },
        { signal, timeoutMs: TIMEOUT_MS },
      ),
    );
    const again: Change[] = [];
    const refused: Change[] = [];
    changes.forEach((change, i) => {
      const response = answer.responses[i]?.response;
      const present = response?.case === "responseRange" ? response.value.kvs[0] : undefined;
      const modRevision = Number(present?.modRevision ?? 0n);
      const isHeld =
        "exactly" in change.guard
          ? modRevision === change.guard.exactly
          : modRevision <= change.guard.atMost;
      if (isHeld) again.push(change);
      // An attempt whose answer was lost may have written it.
      else if (!isDone(change, present)) refused.push(change);
    });
    return { again, refused };
  }

  #reached(reachable: boolean, reason: string): void {
    if (reachable === this.#isReachable) return;
    this.#isReachable = reachable;
    this.#options.onReachable(reachable, reason);
  }
}

type Operation =
  | {
      request: {
        case: "requestPut";
        value: { key: Buffer; value: Buffer; lease?: bigint };
      };
    }
  | { request: { case: "requestDeleteRange"; value: { key: Buffer } } };

function compareOf({ key, guard }: Change) {
  const isExact = "exactly" in guard;
  const revision = isExact ? guard.exactly : guard.atMost + 1;
  return {
    key: Buffer.from(key, "latin1"),
    result: isExact ? Compare_CompareResult.EQUAL_UNSPECIFIED : Compare_CompareResult.LESS,
    target: Compare_CompareTarget.MOD,
    targetUnion: { case: "modRevision" as const, value: BigInt(revision) },
  };
}

function isDone(
  { row }: Change,
  present: { readonly value: Uint8Array; readonly lease: bigint } | undefined,
): boolean {
  if (row === undefined || present === undefined) return row === present;
  const value = Buffer.from(present.value).toString("latin1");
  const isLeased = present.lease !== 0n;
  return digestOf(value) === digestOf(row.value) && isLeased === (row.expirationMs !== undefined);
}

/** Errors that time may heal. */
function isPassing(error: V3Error): boolean {
  if (error.code === "resourceExhausted") return error.message.includes("too many requests");
  return (
    error.code === "unavailable" ||
    error.code === "deadlineExceeded" ||
    error.code === "aborted" ||
    error.isInvalidToken
  );
}

function isTooLarge(error: V3Error): boolean {
  return (
    error.message.includes("request is too large") || error.message.includes("larger than max")
  );
}

/** A refusal of the v3 cluster as a line for the operator. */
export function refusal(error: V3Error): MigrateError {
  const { code, message } = error;
  return new MigrateError("remote", `the v3 cluster refuses: ${fromByteString(message)}`, {
    ...remedyOf(code, message),
    cause: error,
  });
}

function remedyOf(code: V3Error["code"], message: string): { readonly remedy?: string } {
  if (message.includes("space exceeded")) {
    return { remedy: "compact and defragment it, then etcdctl alarm disarm; go on with --resume" };
  }
  if (code === "permissionDenied") {
    return { remedy: "the user needs to read and write the prefix and PREFIX.etcd2*" };
  }
  if (code === "unauthenticated" || message.includes("user name is empty")) {
    return { remedy: "name a user with --user" };
  }
  if (code === "unavailable") return { remedy: "check --endpoints, --cacert and the cluster" };
  return {};
}
