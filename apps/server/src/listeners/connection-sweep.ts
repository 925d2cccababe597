/**
 * Finds connections nobody needs: idle between requests for long, or stuck in the middle of an
 * answer that the client does not take. It looks at all connections every few seconds and keeps
 * two numbers of each, so requests pay nothing. A client that waits for an answer, such as a long
 * poll, is neither. Owns no sockets.
 */
import type { Socket } from "node:net";

/** How often connections are looked at. */
export const SWEEP_INTERVAL_MS = 5000;

/** What counts as long; shorter while connections are scarce. */
export interface SweepLimits {
  /** Between two requests. */
  readonly idleMs: number;
  /** Between two requests, while more than three quarters of the connections are in use. */
  readonly scarceIdleMs: number;
  /** Without taking anything of an answer. */
  readonly stuckMs: number;
}

const SWEEP_LIMITS: SweepLimits = {
  idleMs: 30 * 60_000,
  scarceIdleMs: 15_000,
  stuckMs: 5 * 60_000,
};

/** What is read of a connection; sockets of HTTP servers have it all. */
export type SweptSocket = Pick<Socket, "bytesRead" | "bytesWritten" | "writableLength">;

interface Seen {
  progress: number;
  sinceMs: number;
}

/** The answer under way on a connection, where there is one. */
function isAnswering(socket: SweptSocket): boolean {
  return Boolean((socket as { _httpMessage?: unknown })._httpMessage);
}

export class ConnectionSweep<S extends SweptSocket> {
  readonly #limits: SweepLimits;
  readonly #seen = new Map<S, Seen>();

  constructor(limits: SweepLimits = SWEEP_LIMITS) {
    this.#limits = limits;
  }

  add(socket: S, nowMs: number): void {
    this.#seen.set(socket, { progress: 0, sinceMs: nowMs });
  }

  delete(socket: S): void {
    this.#seen.delete(socket);
  }

  /** Connections to close now. */
  due(nowMs: number, isScarce: boolean): S[] {
    const { idleMs, scarceIdleMs, stuckMs } = this.#limits;
    const idleMax = isScarce ? Math.min(scarceIdleMs, idleMs) : idleMs;
    const due: S[] = [];
    for (const [socket, seen] of this.#seen) {
      // What was received, and what the client's side has taken.
      const progress = socket.bytesRead + socket.bytesWritten - socket.writableLength;
      if (progress !== seen.progress) {
        seen.progress = progress;
        seen.sinceMs = nowMs;
        continue;
      }
      const quietMs = nowMs - seen.sinceMs;
      // A connection that has not sent a request has a time limit of its own.
      const isIdle = socket.bytesRead > 0 && !isAnswering(socket) && quietMs >= idleMax;
      if (isIdle || (socket.writableLength > 0 && quietMs >= stuckMs)) due.push(socket);
    }
    return due;
  }
}
