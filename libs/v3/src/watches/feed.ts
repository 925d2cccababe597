/**
 * The one upstream watch of a bridge: turns revisions into v2 events and adds them to the ring, sees
 * directories expire, and begins anew where the cluster has compacted what it needed.
 */
import type { ByteString } from "@etcd2/store";
import type { V3Client } from "../client/v3-client.ts";
import type { V3Error } from "../client/v3-error.ts";
import { RangeWatch, type RevisionChanges } from "../client/watch.ts";
import type { KeySpace } from "../mapping/key-space.ts";
import { translate } from "../mapping/translate.ts";
import { latin1 } from "../mapping/tree-rows.ts";
import { BridgeHub } from "./bridge-hub.ts";
import { EventRing } from "./event-ring.ts";
import type { Horizon } from "../upstream/horizon.ts";

export interface FeedOptions {
  readonly client: V3Client;
  readonly space: KeySpace;
  readonly horizon: Horizon;
  /** First revision to fetch, which the cluster has not compacted away. */
  readonly from: number;
  readonly onLapsed: (path: ByteString) => void;
  /** Deletions and expiries may have gone unseen. */
  readonly onGap: () => void;
  /** Leases that values lost. */
  readonly onReplacedLease: (lease: bigint) => void;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/** Pause before a watch that was refused is tried again. */
const REFUSED_MS = 5000;

/** Keys that v2 cannot name, each told once, at most so many. */
const UNNAMEABLE_MAX = 100;

export class Feed {
  readonly hub: BridgeHub;
  readonly #options: FeedOptions;
  #ring: EventRing;
  #watch: RangeWatch | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isConnected = false;
  #isClosed = false;
  readonly #told = new Set<string>();

  constructor(options: FeedOptions) {
    this.#options = options;
    const { client, space, horizon, from } = options;
    this.#ring = new EventRing(from);
    this.hub = new BridgeHub({ client, space, horizon, ring: this.#ring });
    this.#begin(from);
  }

  /** Whether the watch stands. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Everything up to here has been seen. */
  get revision(): number {
    return this.#ring.revision;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#watch?.close();
    this.hub.close();
  }

  #begin(from: number): void {
    const { client, space, log } = this.#options;
    const { key, rangeEnd } = space.everything;
    this.#watch = new RangeWatch({
      client,
      key,
      rangeEnd,
      fromRevision: from,
      onChanges: (changes) => {
        this.#changed(changes);
      },
      onProgress: (revision) => {
        this.hub.reached(revision);
        this.#ring.add(revision, []);
      },
      onEstablished: () => {
        if (!this.#isConnected)
          log("info", `watching ${space.prefix || "/"} at ${client.endpoint}`);
        this.#isConnected = true;
      },
      onInterrupted: (error) => {
        if (this.#isConnected)
          log("warn", `the watch was interrupted: ${error?.message ?? "ended"}`);
        this.#isConnected = false;
      },
      onEnd: (error, compactRevision) => {
        this.#isConnected = false;
        this.#ended(error, compactRevision);
      },
    });
  }

  #changed(changes: RevisionChanges): void {
    const { space, horizon, onLapsed, onReplacedLease } = this.#options;
    const { events, lapsed, unnameable } = translate(changes, space, Date.now());
    for (const { prevKv } of changes.events) {
      if (prevKv !== undefined && prevKv.lease !== 0n) onReplacedLease(prevKv.lease);
    }
    horizon.raise(changes.revision);
    this.hub.reached(changes.revision);
    this.#ring.add(changes.revision, events);
    for (const path of lapsed) onLapsed(path);
    for (const key of unnameable) this.#tellOnce(latin1(key));
  }

  #tellOnce(key: string): void {
    if (this.#told.has(key) || this.#told.size >= UNNAMEABLE_MAX) return;
    this.#told.add(key);
    this.#options.log("warn", `${JSON.stringify(key)} is no key that v2 can name: it is not shown`);
  }

  #ended(error: V3Error, compactRevision: number): void {
    if (this.#isClosed) return;
    const { log, onGap } = this.#options;
    if (compactRevision > 0) {
      const isAtStart = this.#ring.revision < this.#ring.coveredFrom;
      if (!isAtStart)
        log("warn", `revisions before ${compactRevision} were compacted before they were seen`);
      this.#ring = new EventRing(compactRevision);
      this.hub.restart(this.#ring);
      if (!isAtStart) onGap();
      this.#begin(compactRevision);
      return;
    }
    log("error", `the watch was refused: ${error.message}`);
    this.#timer = setTimeout(() => {
      this.#begin(this.#ring.revision + 1);
    }, REFUSED_MS);
  }
}
