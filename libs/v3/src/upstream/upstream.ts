/**
 * Transactions of the bridge: who asks, until when, what is tried again and what is counted. Reads that
 * wait together go out as one transaction of ranges; what certainly had no effect is tried again until
 * its time is up.
 */
import type { KeyValue, ResponseOp, TxnResponse } from "@etcd2/proto/v3/kv";
import * as methods from "../client/methods.ts";
import type { Credentials, V3Client } from "../client/v3-client.ts";
import { V3Error } from "../client/v3-error.ts";
import type { Horizon } from "./horizon.ts";
import { type Guard, isPut, type Operation, OPERATIONS_MAX } from "./operations.ts";

/** Figures of the way to the v3 cluster. */
export interface UpstreamObserver {
  /** A call has been answered, or has failed, after so many seconds. */
  called(kind: "read" | "write" | "lease", seconds: number, ok: boolean): void;
  /** A call had no effect and is made again. */
  retried(): void;
  /** The guards of a write did not hold: somebody else was there first. */
  conflicted(): void;
}

export interface UpstreamOptions {
  readonly client: V3Client;
  readonly horizon: Horizon;
  readonly observer: UpstreamObserver;
  /** Time for one request with all its attempts. Default 7,000 ms, that of 2.3.8. */
  readonly timeoutMs?: number;
}

export interface ReadSettings {
  readonly credentials: Credentials | undefined;
  /** False accepts what the server at hand has, unless that is older than what was told before. */
  readonly linearizable: boolean;
}

export interface ReadAnswer {
  readonly revision: number;
  readonly responses: readonly ResponseOp[];
}

interface WaitingRead {
  readonly operations: readonly Operation[];
  readonly resolve: (answer: ReadAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** Reads that may share a transaction. */
interface Batch {
  readonly settings: ReadSettings;
  reads: WaitingRead[];
  size: number;
}

const TIMEOUT_MS = 7000;
const RETRY_MIN_MS = 20;
const RETRY_MAX_MS = 500;

/** Whether another attempt may go better. */
function isPassing(error: V3Error): boolean {
  if (error.code === "unavailable" || error.code === "deadlineExceeded") return true;
  return error.code === "resourceExhausted" && error.message.includes("too many requests");
}

export class Upstream {
  readonly horizon: Horizon;
  readonly observer: UpstreamObserver;
  readonly timeoutMs: number;
  readonly client: V3Client;
  readonly #open = new Map<string, Batch>();
  #isFlushDue = false;

  constructor({ client, horizon, observer, timeoutMs = TIMEOUT_MS }: UpstreamOptions) {
    this.client = client;
    this.horizon = horizon;
    this.observer = observer;
    this.timeoutMs = timeoutMs;
  }

  /**
   * Reads ranges of one revision, together with others who ask in the same turn.
   * @throws V3Error
   */
  read(operations: readonly Operation[], settings: ReadSettings): Promise<ReadAnswer> {
    const { credentials, linearizable } = settings;
    const key = `${linearizable ? "l" : "s"}${credentials?.user ?? ""}\n${credentials?.password ?? ""}`;
    return new Promise((resolve, reject) => {
      let batch = this.#open.get(key);
      if (batch !== undefined && batch.size + operations.length > OPERATIONS_MAX) {
        this.#open.delete(key);
        this.#send(batch);
        batch = undefined;
      }
      if (batch === undefined) {
        batch = { settings, reads: [], size: 0 };
        this.#open.set(key, batch);
      }
      batch.reads.push({ operations, resolve, reject });
      batch.size += operations.length;
      if (this.#isFlushDue) return;
      this.#isFlushDue = true;
      setImmediate(() => {
        this.#isFlushDue = false;
        const batches = [...this.#open.values()];
        this.#open.clear();
        for (const ready of batches) this.#send(ready);
      });
    });
  }

  /**
   * One guarded transaction. It is tried again only when it certainly had no effect.
   * @throws V3Error
   */
  async write(
    guards: readonly Guard[],
    success: readonly Operation[],
    failure: readonly Operation[],
    credentials: Credentials | undefined,
  ): Promise<TxnResponse> {
    const request = { compare: [...guards], success: [...success], failure: [...failure] };
    const answer = await this.#persist("write", (timeoutMs) =>
      this.client.call(methods.txn, request, { credentials, timeoutMs }),
    );
    this.#noticed(answer);
    if (!answer.succeeded) this.observer.conflicted();
    return answer;
  }

  /**
   * A write that removes and announces it. A cluster without space takes no announcement: then the
   * removal goes without, so that space can be made; watchers are told of it as of one by a v3 program.
   * @throws V3Error
   */
  async remove(
    guards: readonly Guard[],
    operations: readonly Operation[],
    failure: readonly Operation[],
    credentials: Credentials | undefined,
  ): Promise<TxnResponse> {
    try {
      return await this.write(guards, operations, failure, credentials);
    } catch (error) {
      if (!(error instanceof V3Error) || !error.isNoSpace) throw error;
      const removals = operations.filter((operation) => !isPut(operation));
      const answer = await this.write(guards, removals, [], credentials);
      // Overtaken, by the first attempt or by others: nobody knows which.
      if (!answer.succeeded) throw error;
      return answer;
    }
  }

  /**
   * Makes calls until one succeeds, fails for good or may have had an effect, or the time is up.
   * @throws V3Error
   */
  persist<T>(kind: "read" | "lease", call: (timeoutMs: number) => Promise<T>): Promise<T> {
    return this.#persist(kind, call);
  }

  async #persist<T>(
    kind: "read" | "write" | "lease",
    call: (timeoutMs: number) => Promise<T>,
  ): Promise<T> {
    const deadline = performance.now() + this.timeoutMs;
    for (let attempt = 0; ; attempt += 1) {
      const startMs = performance.now();
      try {
        const answer = await call(Math.max(1, Math.ceil(deadline - startMs)));
        this.observer.called(kind, (performance.now() - startMs) / 1000, true);
        return answer;
      } catch (error) {
        this.observer.called(kind, (performance.now() - startMs) / 1000, false);
        if (!(error instanceof V3Error) || !isPassing(error)) throw error;
        if (kind === "write" && error.mayHaveHappened) throw error;
        const waitMs =
          Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** attempt) * (0.5 + Math.random() / 2);
        if (performance.now() + waitMs >= deadline) throw error;
        this.observer.retried();
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  }

  #send(batch: Batch): void {
    const { reads, settings } = batch;
    this.#run(
      reads.flatMap(({ operations }) => operations),
      settings,
    ).then(
      ({ revision, responses }) => {
        let at = 0;
        for (const { operations, resolve } of reads) {
          resolve({ revision, responses: responses.slice(at, at + operations.length) });
          at += operations.length;
        }
      },
      (error: unknown) => {
        const [first] = reads;
        const isOne = reads.length === 1;
        // What one of them may not read is no reason to refuse the others.
        if (isOne || !(error instanceof V3Error) || error.code !== "permissionDenied") {
          for (const { reject } of reads) reject(error);
        } else if (first !== undefined) {
          for (const read of reads) this.#send({ settings, reads: [read], size: 0 });
        }
      },
    );
  }

  async #run(operations: readonly Operation[], settings: ReadSettings): Promise<ReadAnswer> {
    const { credentials, linearizable } = settings;
    const success = linearizable ? [...operations] : operations.map(serializable);
    const answer = await this.#persist("read", (timeoutMs) =>
      this.client.call(methods.readTxn, { success }, { credentials, timeoutMs }),
    );
    const revision = Number(answer.header?.revision ?? 0n);
    if (!linearizable && revision < this.horizon.revision) {
      return this.#run(operations, { credentials, linearizable: true });
    }
    this.#noticed(answer);
    return { revision, responses: answer.responses };
  }

  #noticed({ header }: TxnResponse): void {
    this.horizon.raise(Number(header?.revision ?? 0n), Number(header?.raftTerm ?? 0n));
  }

  /**
   * One page of a range as of a revision.
   * @throws V3Error outOfRange when the revision was compacted away.
   */
  async page(
    key: Uint8Array,
    rangeEnd: Uint8Array,
    options: {
      readonly revision: number;
      readonly limit: number;
      readonly credentials: Credentials | undefined;
      readonly keysOnly?: boolean;
    },
  ): Promise<{ readonly rows: readonly KeyValue[]; readonly more: boolean }> {
    const { revision, limit, credentials, keysOnly = false } = options;
    const request = {
      key,
      rangeEnd,
      limit: BigInt(limit),
      revision: BigInt(revision),
      keysOnly,
    };
    const { kvs, more } = await this.#persist("read", (timeoutMs) =>
      this.client.call(methods.range, request, { credentials, timeoutMs }),
    );
    return { rows: kvs, more };
  }
}

function serializable(operation: Operation): Operation {
  const { request } = operation;
  if (request?.case !== "requestRange") return operation;
  return { request: { case: "requestRange", value: { ...request.value, serializable: true } } };
}
