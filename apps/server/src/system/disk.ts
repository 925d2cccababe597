/**
 * Owns the watch over free disk space: below a reserve the state is "low", and it is "ok" again
 * only when clearly more is free. It refuses nothing itself; the member asks for the state.
 */
import { statfs } from "node:fs/promises";

export type DiskState = "ok" | "low";

/** Sizes of one file system. */
export interface DiskSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface DiskWatchOptions {
  /** Directories on the file systems to watch: data, and the log when it lives elsewhere. */
  readonly paths: readonly string[];
  /** 0 watches the figures and is never low. At most a tenth of the file system counts. */
  readonly reserveBytes: number;
  readonly onChange: (state: DiskState, message: string) => void;
  /** Replaced in tests. */
  readonly measure?: (path: string) => Promise<DiskSpace>;
}

/** Above this headroom space cannot run out between two looks. */
const ampleBytes = 4 * 1024 ** 3;
const calmIntervalMs = 5000;
const tenseIntervalMs = 250;
/** Free space must grow to so much of the reserve before writes are taken again. */
const recovery = 1.25;

async function measureWithStatfs(path: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2).toFixed(0)} MiB`;

/** Watches the file systems of a member. */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  readonly #measure: (path: string) => Promise<DiskSpace>;
  #state: DiskState = "ok";
  #freeBytes = Number.POSITIVE_INFINITY;
  #reserveBytes: number;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
    this.#measure = options.measure ?? measureWithStatfs;
    this.#reserveBytes = options.reserveBytes;
  }

  get state(): DiskState {
    return this.#state;
  }

  /** Free bytes where it is scarcest, as of the last look; infinite before the first. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** The reserve that holds there. */
  get reserveBytes(): number {
    return this.#reserveBytes;
  }

  /** Looks once, then again and again: often when there is little, seldom when there is plenty. */
  async start(): Promise<void> {
    await this.look();
    if (this.#isClosed) return;
    const headroom = this.#freeBytes - this.#reserveBytes;
    this.#timer = setTimeout(
      () => {
        void this.start();
      },
      headroom > ampleBytes ? calmIntervalMs : tenseIntervalMs,
    );
    this.#timer.unref();
  }

  /** Looks now. A file system that cannot be asked keeps the state as it was. */
  async look(): Promise<void> {
    const spaces = await Promise.allSettled(this.#options.paths.map((path) => this.#measure(path)));
    let worst: { freeBytes: number; reserveBytes: number } | undefined;
    for (const space of spaces) {
      if (space.status === "rejected") continue;
      const { freeBytes, totalBytes } = space.value;
      const reserveBytes = Math.min(this.#options.reserveBytes, Math.floor(totalBytes / 10));
      const isWorse =
        worst === undefined || freeBytes - reserveBytes < worst.freeBytes - worst.reserveBytes;
      if (isWorse) worst = { freeBytes, reserveBytes };
    }
    if (worst === undefined) return;
    this.#freeBytes = worst.freeBytes;
    this.#reserveBytes = worst.reserveBytes;
    this.#decide();
  }

  /** Stops looking. Idempotent. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #decide(): void {
    const free = this.#freeBytes;
    const reserve = this.#reserveBytes;
    const isLow = this.#state === "low" ? free < reserve * recovery : free < reserve;
    const state = isLow ? "low" : "ok";
    if (state === this.#state) return;
    this.#state = state;
    const figures = `${mebibytes(free)} free, reserve ${mebibytes(reserve)}`;
    const message =
      state === "low"
        ? `disk space is low, writes are refused until there is more (${figures})`
        : `disk space is sufficient again, writes are accepted (${figures})`;
    this.#options.onChange(state, message);
  }
}
