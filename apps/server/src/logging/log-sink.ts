/**
 * Owns the writing of log lines to a file descriptor such that the event loop never waits and
 * nothing ever throws. A reader that stops reading costs lines, counted, never time; a reader
 * that went away costs nothing. It knows nothing of what it writes.
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";

/** Bytes held back for a reader that is behind; more is dropped and counted. */
const pendingBytesMax = 1024 * 1024;
const retryMs = 50;

export interface LogSink {
  /** Takes whole lines. */
  write(text: string): void;
  /** Writes what can be written without waiting. Safe at any moment, also while crashing. */
  flush(): void;
  /** Flushes and lets the descriptor go; idempotent. */
  close(): void;
}

/** Writes `data` once; bytes taken, 0 when the reader is behind, -1 when it is gone. */
type WriteOnce = (data: Uint8Array) => number;

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function writeOnceTo(fd: number): WriteOnce {
  return (data) => {
    try {
      return writeSync(fd, data);
    } catch (error) {
      const code = codeOf(error);
      return code === "EAGAIN" || code === "EINTR" ? 0 : -1;
    }
  };
}

/** A sink over a descriptor whose writes return at once, with a bounded queue behind it. */
class DescriptorSink implements LogSink {
  readonly #writeOnce: WriteOnce;
  readonly #release: () => void;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #linesDropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #isGone = false;

  constructor(writeOnce: WriteOnce, release: () => void) {
    this.#writeOnce = writeOnce;
    this.#release = release;
  }

  write(text: string): void {
    if (this.#isGone) return;
    if (this.#pendingBytes + text.length > pendingBytesMax) {
      this.#linesDropped++;
      return;
    }
    this.#push(Buffer.from(text));
    if (this.#timer === undefined) this.flush();
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#drain();
    if (this.#pending.length === 0 && this.#linesDropped > 0 && !this.#isGone) {
      const lines = this.#linesDropped.toFixed(0);
      this.#linesDropped = 0;
      this.#push(Buffer.from(`[${lines} log lines were dropped: the reader was too slow]\n`));
      this.#drain();
    }
    if (this.#pending.length === 0) return;
    this.#timer = setTimeout(() => {
      this.flush();
    }, retryMs);
    this.#timer.unref();
  }

  close(): void {
    this.flush();
    clearTimeout(this.#timer);
    if (!this.#isGone) this.#release();
    this.#isGone = true;
  }

  #push(data: Uint8Array): void {
    this.#pending.push(data);
    this.#pendingBytes += data.length;
  }

  #drain(): void {
    let first = this.#pending[0];
    while (first !== undefined) {
      const taken = this.#writeOnce(first);
      if (taken < 0) {
        this.#isGone = true;
        this.#pending = [];
        this.#pendingBytes = 0;
        return;
      }
      this.#pendingBytes -= taken;
      if (taken < first.length) {
        this.#pending[0] = first.subarray(taken);
        if (taken === 0) return;
      } else this.#pending.shift();
      first = this.#pending[0];
    }
  }
}

/**
 * A sink over a socket: the system log's stdout, or a parent process. The stream writes at once
 * while the reader keeps up and queues without waiting when it does not.
 */
class SocketSink implements LogSink {
  readonly #socket: Socket;
  #linesDropped = 0;
  #isGone = false;

  constructor(fd: number) {
    this.#socket = new Socket({ fd, readable: false, writable: true });
    this.#socket.on("error", () => {
      this.#isGone = true;
    });
    this.#socket.unref();
  }

  write(text: string): void {
    if (this.#isGone) return;
    if (this.#socket.writableLength > pendingBytesMax) {
      this.#linesDropped++;
      return;
    }
    if (this.#linesDropped > 0) {
      const lines = this.#linesDropped.toFixed(0);
      this.#linesDropped = 0;
      this.#socket.write(`[${lines} log lines were dropped: the reader was too slow]\n`);
    }
    this.#socket.write(text);
  }

  flush(): void {
    // The stream has already handed over all that the reader takes.
  }

  close(): void {
    this.#isGone = true;
  }
}

/**
 * The sink for an inherited descriptor, usually 2. Pipes and terminals are opened anew without
 * blocking, which leaves the flags of the shared original alone; files never block.
 */
export function openLogSink(fd: number): LogSink {
  const direct = (): LogSink => new DescriptorSink(writeOnceTo(fd), () => undefined);
  try {
    const stat = fstatSync(fd);
    if (stat.isSocket()) return new SocketSink(fd);
    if (!stat.isFIFO() && !stat.isCharacterDevice()) return direct();
    const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    const own = openSync(`/proc/self/fd/${fd.toFixed(0)}`, flags);
    return new DescriptorSink(writeOnceTo(own), () => {
      closeSync(own);
    });
  } catch {
    return direct();
  }
}
