/**
 * Owns the two reasons for which a member refuses client writes although it could agree on them:
 * too little free disk, and a store beyond its quota. Each begins and ends by itself. Knows
 * neither how space is measured nor who asks.
 */
import type { Logger } from "@etcd2/observability";
import type { LiveSize, WriteAction } from "@etcd2/store";
import { EtcdError, StoreError } from "@etcd2/store";
import { DiskWatch } from "../system/disk.ts";
import type { DiskSpace } from "../system/disk.ts";
import type { DiskFigures } from "../metrics/figures.ts";

/** How often the size of the store is looked at. */
const QUOTA_INTERVAL_MS = 250;

/** Counting takes at most this share of the time. */
const COUNTING_SHARE = 0.05;

/** From this share of the quota on an estimate is not good enough. */
const NEAR_QUOTA = 0.8;

/** Writes are taken again below this share of the quota. */
const RECOVERY = 0.95;

const mebibytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;

export interface AlarmsOptions {
  /** Directories on the file systems to watch. */
  readonly paths: readonly string[];
  /** 0 never is low. */
  readonly diskReserveBytes: number;
  /** 0 is no quota. */
  readonly quotaBytes: number;
  /** Bytes of the keys and values that exist, as the store keeps them. Cheap. */
  readonly liveSize: () => LiveSize;
  /** Makes the live size exact, by reading all of the store. */
  readonly countLiveSize: () => Promise<void>;
  readonly log: Logger;
  /** The store could not be counted: it cannot be relied on. */
  readonly onFatal: (error: unknown) => void;
  /** Replaced in tests. */
  readonly measure?: (path: string) => Promise<DiskSpace>;
}

export type AlarmName = "diskLow" | "quota";

export class Alarms {
  readonly #options: AlarmsOptions;
  readonly #disk: DiskWatch;
  #timer: NodeJS.Timeout | undefined;
  #isOverQuota = false;
  #isCounting = false;
  #countAgainAtMs = 0;

  constructor(options: AlarmsOptions) {
    this.#options = options;
    this.#disk = new DiskWatch({
      paths: options.paths,
      reserveBytes: options.diskReserveBytes,
      onChange: (state, message) => {
        if (state === "low") options.log.warning(message);
        else options.log.notice(message);
      },
      ...(options.measure !== undefined && { measure: options.measure }),
    });
  }

  /** Looks once, then goes on looking until closed. */
  async start(): Promise<void> {
    if (this.#options.quotaBytes > 0) {
      await this.count();
      this.lookAtQuota();
      this.#timer = setInterval(() => {
        this.lookAtQuota();
      }, QUOTA_INTERVAL_MS).unref();
    }
    await this.#disk.start();
  }

  /** Compares the store with the quota now; an estimate that matters is counted. */
  lookAtQuota(): void {
    const { bytes, isExact } = this.#options.liveSize();
    this.#decide(bytes);
    const isNear = this.#isOverQuota || bytes >= this.#options.quotaBytes * NEAR_QUOTA;
    if (!isExact && isNear) void this.count();
  }

  /** Counts what the store holds, unless that is known or was counted a short while ago. */
  async count(): Promise<void> {
    const { liveSize, countLiveSize } = this.#options;
    const startedAt = performance.now();
    if (this.#isCounting || startedAt < this.#countAgainAtMs || liveSize().isExact) return;
    this.#isCounting = true;
    try {
      await countLiveSize();
    } catch (error) {
      // The store was replaced or closed meanwhile; the next look counts again.
      if (!(error instanceof StoreError && error.code === "closed")) this.#options.onFatal(error);
    } finally {
      const endedAt = performance.now();
      this.#countAgainAtMs = endedAt + (endedAt - startedAt) / COUNTING_SHARE;
      this.#isCounting = false;
    }
  }

  #decide(size: number): void {
    const { quotaBytes, log } = this.#options;
    const isOver = size >= (this.#isOverQuota ? quotaBytes * RECOVERY : quotaBytes);
    if (isOver === this.#isOverQuota) return;
    this.#isOverQuota = isOver;
    const figures = `(${mebibytes(size)} of ${mebibytes(quotaBytes)})`;
    if (isOver) log.warning(`the store exceeds its quota, only deletes are accepted ${figures}`);
    else log.notice(`the store is below its quota again, writes are accepted ${figures}`);
  }

  /** Looks at the disk now. */
  lookAtDisk(): Promise<void> {
    return this.#disk.look();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#disk.close();
  }

  /** Why this write is refused; undefined when it is not. Cheap: asked for every write. */
  refusal(action: WriteAction): EtcdError | undefined {
    if (this.#disk.state === "low") return refused(this.#diskText());
    const isDelete = action === "delete" || action === "compareAndDelete";
    if (this.#isOverQuota && !isDelete) return refused(this.#quotaText());
    return undefined;
  }

  /** Alarms that are on, by the names the metrics have. */
  get names(): readonly AlarmName[] {
    const names: AlarmName[] = [];
    if (this.#disk.state === "low") names.push("diskLow");
    if (this.#isOverQuota) names.push("quota");
    return names;
  }

  /** The alarms in words; "" when there is none. */
  get reason(): string {
    const texts = [];
    if (this.#disk.state === "low") texts.push(this.#diskText());
    if (this.#isOverQuota) texts.push(this.#quotaText());
    return texts.join("; ");
  }

  get disk(): DiskFigures {
    const { freeBytes, reserveBytes, state } = this.#disk;
    return { freeBytes, reserveBytes, isLow: state === "low" };
  }

  #diskText(): string {
    const { freeBytes, reserveBytes } = this.#disk;
    return `disk space is low: ${mebibytes(freeBytes)} free, reserve ${mebibytes(reserveBytes)}`;
  }

  #quotaText(): string {
    const { quotaBytes } = this.#options;
    return `the store exceeds --quota-backend-bytes of ${mebibytes(quotaBytes)}, delete keys`;
  }
}

function refused(why: string): EtcdError {
  return new EtcdError(310, `etcdserver: database space exceeded: ${why}`, 0);
}
