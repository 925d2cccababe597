/**
 * Owns what main and a started server, be it a member or a proxy, know of each other.
 */

/** What main stops in the end. */
export interface RunningServer {
  /** Stops in order. Idempotent. */
  close(): Promise<void>;
}

/** What may end the process from inside. */
export interface ServerEvents {
  readonly onFatal: (error: Error) => void;
  readonly onRemoved: (reason: string) => void;
}
