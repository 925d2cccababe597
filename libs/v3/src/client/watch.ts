/**
 * A watch of a range of keys that goes on over lost connections and restarts of the servers: every
 * revision once, whole and in order, from a revision on. It ends by itself only when the server has
 * compacted away what it needs, or refuses the watch for good.
 */
import type { WatchResponse, Event } from "@etcd2/proto/v3/watch";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { WatchRequestSchema } from "@etcd2/proto/v3/watch";
import * as methods from "./methods.ts";
import { V3Error } from "./v3-error.ts";
import type { Credentials, TypedStream, V3Client } from "./v3-client.ts";

/** All changes of one revision in the watched range, in the order of their keys. */
export interface RevisionChanges {
  readonly revision: number;
  readonly events: readonly Event[];
}

export interface WatchRangeOptions {
  readonly client: V3Client;
  readonly key: Uint8Array;
  /** Absent for one key. */
  readonly rangeEnd?: Uint8Array;
  /** First revision of interest, at least 1. */
  readonly fromRevision: number;
  readonly credentials?: Credentials | undefined;
  onChanges(changes: RevisionChanges): void;
  /** Everything up to and including this revision has been seen. */
  onProgress?(revision: number): void;
  /** The stream was lost and is sought again; called once for each loss. */
  onInterrupted?(error: V3Error | undefined): void;
  /** The server has accepted the watch, at first and after each interruption. */
  onEstablished?(): void;
  /**
   * The end: outOfRange when the revisions that are needed were compacted away
   * (`compactRevision` then), or the server's refusal. Not called after close().
   */
  onEnd(error: V3Error, compactRevision: number): void;
  /** A number from 0 up to 1, for the spread of retries. Default Math.random. */
  readonly random?: () => number;
}

type WatchStream = TypedStream<MessageInitShape<typeof WatchRequestSchema>>;

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2000;

/** Time for the server to accept a watch before another endpoint is tried. */
const CREATE_TIMEOUT_MS = 5000;

/** Refusals that no other attempt would change. */
const FINAL: ReadonlySet<string> = new Set([
  "permissionDenied",
  "invalidArgument",
  "unimplemented",
  "unauthenticated",
]);

export class RangeWatch {
  readonly #options: WatchRangeOptions;
  #stream: WatchStream | undefined;
  /** Counts attempts: what an earlier stream says late is not heard. */
  #attempt = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #next: number;
  /** Events of a response that comes in fragments. */
  #fragments: Event[] = [];

  /** Begins to watch. */
  constructor(options: WatchRangeOptions) {
    this.#options = options;
    this.#next = Math.max(1, options.fromRevision);
    this.#open();
  }

  /** First revision that has not been seen. */
  get nextRevision(): number {
    return this.#next;
  }

  /** Idempotent; nothing is called afterwards. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#stream?.cancel();
    this.#stream = undefined;
  }

  #open(): void {
    const attempt = ++this.#attempt;
    this.#fragments = [];
    const { client, credentials } = this.#options;
    this.#timer = setTimeout(() => {
      const text = `${client.endpoint} did not accept a watch within ${CREATE_TIMEOUT_MS} ms`;
      client.switchEndpoint();
      this.#interrupted(attempt, new V3Error("deadlineExceeded", text));
    }, CREATE_TIMEOUT_MS);
    const handler = {
      onMessage: (response: WatchResponse): void => {
        if (attempt === this.#attempt && !this.#isClosed) this.#received(attempt, response);
      },
      onEnd: (error: V3Error | undefined): void => {
        this.#interrupted(attempt, error);
      },
    };
    client.stream(methods.watchStream, handler, { credentials }).then(
      (stream) => {
        if (attempt !== this.#attempt || this.#isClosed) stream.cancel();
        else this.#create(stream);
      },
      (error: unknown) => {
        const reason = error instanceof V3Error ? error : new V3Error("internal", String(error));
        this.#interrupted(attempt, reason);
      },
    );
  }

  #create(stream: WatchStream): void {
    this.#stream = stream;
    const { key, rangeEnd } = this.#options;
    stream.send({
      requestUnion: {
        case: "createRequest",
        value: {
          key,
          rangeEnd: rangeEnd ?? new Uint8Array(),
          startRevision: BigInt(this.#next),
          prevKv: true,
          progressNotify: true,
          fragment: true,
        },
      },
    });
  }

  #received(attempt: number, response: WatchResponse): void {
    if (response.canceled) {
      this.#cancelled(attempt, response);
      return;
    }
    if (response.created) {
      clearTimeout(this.#timer);
      this.#failures = 0;
      this.#options.onEstablished?.();
      return;
    }
    this.#fragments.push(...response.events);
    if (response.fragment) return;
    const events = this.#fragments;
    this.#fragments = [];
    if (events.length > 0) this.#deliver(events);
    else if (response.header !== undefined) this.#progressed(Number(response.header.revision));
  }

  #progressed(revision: number): void {
    if (revision < this.#next) return;
    this.#next = revision + 1;
    this.#options.onProgress?.(revision);
  }

  #deliver(events: readonly Event[]): void {
    let from = 0;
    while (from < events.length && !this.#isClosed) {
      const revision = revisionOf(events[from]);
      let to = from + 1;
      while (to < events.length && revisionOf(events[to]) === revision) to += 1;
      // After a resumption nothing is told twice, whatever the server repeats.
      if (revision >= this.#next) {
        this.#next = revision + 1;
        this.#options.onChanges({ revision, events: events.slice(from, to) });
      }
      from = to;
    }
  }

  #cancelled(attempt: number, response: WatchResponse): void {
    const { compactRevision, cancelReason } = response;
    if (compactRevision > 0n) {
      const text = "etcdserver: mvcc: required revision has been compacted";
      this.#end(new V3Error("outOfRange", text), Number(compactRevision));
      return;
    }
    const isRefused = cancelReason.includes("permission denied");
    const error = new V3Error(isRefused ? "permissionDenied" : "unavailable", cancelReason);
    if (isRefused) this.#end(error, 0);
    else this.#interrupted(attempt, error);
  }

  #end(error: V3Error, compactRevision: number): void {
    this.close();
    this.#options.onEnd(error, compactRevision);
  }

  #interrupted(attempt: number, error: V3Error | undefined): void {
    if (attempt !== this.#attempt || this.#isClosed) return;
    // From here on nothing of this attempt is heard.
    this.#attempt += 1;
    clearTimeout(this.#timer);
    this.#stream?.cancel();
    this.#stream = undefined;
    // A token may just have run out: the next attempt asks for a new one.
    const isFinal = error !== undefined && FINAL.has(error.code) && !error.isInvalidToken;
    if (isFinal) {
      this.#end(error, 0);
      return;
    }
    this.#options.onInterrupted?.(error);
    const longest = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failures);
    const random = this.#options.random ?? Math.random;
    this.#failures += 1;
    this.#timer = setTimeout(
      () => {
        this.#open();
      },
      longest * (0.5 + random() / 2),
    );
  }
}

function revisionOf(event: Event | undefined): number {
  return Number(event?.kv?.modRevision ?? 0n);
}
