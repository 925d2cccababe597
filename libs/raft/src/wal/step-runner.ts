/**
 * Runs the log's work, one piece after the other, and decides at each slow operation whether it is
 * performed on this thread or on the pool. Measures syncs. Turns the first failure into the final
 * one: nothing is retried, and nothing runs after it, because after a failed sync nobody knows what
 * the disk holds (the kernel may have dropped the pages and report success the next time).
 */
import { InvariantError } from "../core/model/invariant.ts";
import { FatalError } from "../core/model/errors.ts";
import { errorCode } from "./files/file-system.ts";
import type { FileSystem, SlowOperation, StepResult, Steps } from "./files/file-system.ts";
import { SyncPolicy } from "./sync-policy.ts";
import type { SyncMode } from "./sync-policy.ts";

/** What a runner is given. */
export interface StepRunnerOptions {
  readonly fileSystem: FileSystem;
  /** For messages. */
  readonly directory: string;
  readonly syncMode: SyncMode;
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
  readonly slowSyncMs: number;
  readonly onSync: ((seconds: number) => void) | undefined;
  readonly onSlowSync: ((seconds: number) => void) | undefined;
}

/** Does the work of a log one piece at a time, and nothing more after a failure. */
export class StepRunner {
  readonly #options: StepRunnerOptions;
  readonly #policy: SyncPolicy;
  #failure: FatalError | undefined;
  /** Resolves when all work begun so far has ended; undefined when none is under way. */
  #pending: Promise<unknown> | undefined;
  #waiting = 0;

  constructor(options: StepRunnerOptions) {
    this.#options = options;
    this.#policy = new SyncPolicy(options.syncMode);
  }

  /** What a sync is expected to take, in seconds; 0 before the first. */
  get syncEstimateSeconds(): number {
    return this.#policy.estimateSeconds;
  }

  get failure(): FatalError | undefined {
    return this.#failure;
  }

  /**
   * Does the work after all work begun before.
   * @returns a promise only when something had to be waited for.
   * @throws FatalError, or rejects with it, when this or earlier work failed.
   */
  run(steps: Steps<void>): void | Promise<void> {
    if (this.#pending !== undefined) {
      return this.#enqueue(
        this.#pending.then(() => {
          this.#mustWork();
          return this.#runOnPool(steps, steps.next());
        }),
      );
    }
    try {
      this.#mustWork();
      let step = steps.next();
      while (step.done !== true) {
        if (!this.#isInline(step.value)) return this.#enqueue(this.#runOnPool(steps, step));
        step = this.#perform(steps, step.value);
      }
    } catch (error) {
      throw this.fail(error);
    }
    return undefined;
  }

  /** As run(), for callers that cannot wait. Work must not be under way. */
  runInline(steps: Steps<void>): void {
    try {
      this.#mustWork();
      if (this.#pending !== undefined) throw new FatalError("the wal is busy on the thread pool");
      let step = steps.next();
      while (step.done !== true) step = this.#perform(steps, step.value);
    } catch (error) {
      throw this.fail(error);
    }
  }

  /** Resolves when no work is under way. */
  async idle(): Promise<void> {
    while (this.#pending !== undefined) await this.#pending;
  }

  #enqueue(work: Promise<void>): Promise<void> {
    this.#waiting += 1;
    const done = work.then(
      () => {
        this.#oneDone();
      },
      (error: unknown) => {
        this.#oneDone();
        throw this.fail(error);
      },
    );
    this.#pending = done.catch(() => undefined);
    return done;
  }

  #oneDone(): void {
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#pending = undefined;
  }

  async #runOnPool(steps: Steps<void>, first: StepResult<void>): Promise<void> {
    let step = first;
    while (step.done !== true) {
      step = this.#isInline(step.value)
        ? this.#perform(steps, step.value)
        : await this.#performOnPool(steps, step.value);
    }
  }

  #isInline(operation: SlowOperation): boolean {
    if (this.#options.syncMode === "inline") return true;
    // Creating, renaming and removing files commits to the file system's journal, which takes
    // several times as long as a sync of data, even on a fast disk. It is also rare.
    return operation.kind === "syncData" && this.#policy.isInline;
  }

  /** Performs the operation and goes on to the next. */
  #perform(steps: Steps<void>, operation: SlowOperation): StepResult<void> {
    const started = this.#options.now();
    try {
      this.#options.fileSystem.perform(operation);
    } catch (error) {
      return steps.throw(error);
    }
    if (operation.kind === "syncData") this.#policy.ranInline(this.#report(started));
    return steps.next();
  }

  async #performOnPool(steps: Steps<void>, operation: SlowOperation): Promise<StepResult<void>> {
    const started = this.#options.now();
    try {
      await this.#options.fileSystem.performOnPool(operation);
    } catch (error) {
      return steps.throw(error);
    }
    if (operation.kind === "syncData") this.#policy.ranOnPool(this.#report(started));
    return steps.next();
  }

  #report(started: number): number {
    const milliseconds = this.#options.now() - started;
    const seconds = milliseconds / 1000;
    this.#options.onSync?.(seconds);
    if (milliseconds >= this.#options.slowSyncMs) this.#options.onSlowSync?.(seconds);
    return seconds;
  }

  #mustWork(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Notes a failure outside run(); what is tried from here on fails with it. */
  fail(error: unknown): FatalError {
    this.#failure ??= writeError(this.#options.directory, error);
    return this.#failure;
  }
}

function writeError(directory: string, error: unknown): FatalError {
  if (error instanceof FatalError) return error;
  if (errorCode(error) === "ENOSPC" || errorCode(error) === "EDQUOT") {
    return new FatalError(
      `wal error: no space left for ${directory}: free some and start this member again; ` +
        "what was acknowledged is safe",
      { cause: error },
    );
  }
  if (error instanceof InvariantError) {
    return new FatalError(`wal error: ${error.message}`, { cause: error });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new FatalError(
    `wal error: writing to ${directory} failed: ${reason}; this member stops, because nobody ` +
      "knows what the disk holds after a failed write",
    { cause: error },
  );
}
