/**
 * Owns where access log lines go: a file that may be rotated under it, or stdout. Lines are
 * gathered and written together, never on the caller's time; when the sink cannot keep up, lines
 * are dropped and counted.
 */
import { closeSync, openSync, write, writeSync } from "node:fs";
import { stat } from "node:fs/promises";

import { openLogSink } from "./log-sink.ts";

export interface AccessSink {
  /** Takes one line with its end. */
  write(line: string): void;
  /** Writes what was gathered and lets the sink go. Idempotent. */
  close(): void;
}

export interface AccessSinkOptions {
  /** A file to append to, or "-" for stdout. */
  readonly target: string;
  readonly onDropped: (lines: number) => void;
  /** A write failed; told once until writes succeed again. */
  readonly onError: (error: Error) => void;
}

const gatherMs = 50;
const gatheredBytesMax = 4 * 1024 * 1024;
const rotationCheckMs = 2000;
const stdout = 1;

class StdoutSink implements AccessSink {
  readonly #sink = openLogSink(stdout);
  #lines: string[] = [];
  #timer: NodeJS.Timeout | undefined;

  write(line: string): void {
    this.#lines.push(line);
    this.#timer ??= setTimeout(() => {
      this.#flush();
    }, gatherMs).unref();
  }

  close(): void {
    this.#flush();
    this.#sink.close();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#lines.length > 0) this.#sink.write(this.#lines.join(""));
    this.#lines = [];
  }
}

class FileSink implements AccessSink {
  readonly #options: AccessSinkOptions;
  #fd: number;
  #lines: string[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #isWriting = false;
  #isClosed = false;
  #hasFailed = false;
  #checkedAtMs = 0;

  constructor(options: AccessSinkOptions) {
    this.#options = options;
    this.#fd = openSync(options.target, "a", 0o600);
  }

  write(line: string): void {
    if (this.#isClosed || this.#bytes + line.length > gatheredBytesMax) {
      this.#options.onDropped(1);
      return;
    }
    this.#lines.push(line);
    this.#bytes += line.length;
    if (!this.#isWriting) this.#schedule();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    try {
      if (this.#lines.length > 0) writeSync(this.#fd, this.#lines.join(""));
    } catch {
      this.#options.onDropped(this.#lines.length);
    }
    // A write under way still needs the descriptor; it is let go when that write ends.
    if (!this.#isWriting) closeSync(this.#fd);
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#flush();
    }, gatherMs).unref();
  }

  async #flush(): Promise<void> {
    if (this.#isWriting || this.#isClosed) return;
    this.#isWriting = true;
    await this.#reopenIfRotated();
    const lines = this.#lines;
    this.#lines = [];
    this.#bytes = 0;
    if (lines.length > 0) await this.#writeAll(lines);
    this.#flushed();
  }

  #flushed(): void {
    this.#isWriting = false;
    if (this.#isClosed) closeSync(this.#fd);
    else if (this.#lines.length > 0) this.#schedule();
  }

  #writeAll(lines: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      write(this.#fd, lines.join(""), (error) => {
        if (error !== null) {
          this.#options.onDropped(lines.length);
          if (!this.#hasFailed) this.#options.onError(error);
        }
        this.#hasFailed = error !== null;
        resolve();
      });
    });
  }

  /** Follows a file that was renamed or removed, as log rotation does. */
  async #reopenIfRotated(): Promise<void> {
    const now = performance.now();
    if (now - this.#checkedAtMs < rotationCheckMs) return;
    this.#checkedAtMs = now;
    const { target } = this.#options;
    const inode = async (path: string) => (await stat(path).catch(() => undefined))?.ino;
    const [named, open] = await Promise.all([
      inode(target),
      inode(`/proc/self/fd/${this.#fd.toFixed(0)}`),
    ]);
    if (named === open) return;
    try {
      const fd = openSync(target, "a", 0o600);
      closeSync(this.#fd);
      this.#fd = fd;
    } catch (error) {
      if (error instanceof Error && !this.#hasFailed) this.#options.onError(error);
    }
  }
}

/**
 * Opens the sink of --access-log.
 * @throws Error when the file cannot be opened
 */
export function openAccessSink(options: AccessSinkOptions): AccessSink {
  return options.target === "-" ? new StdoutSink() : new FileSink(options);
}
