/**
 * Expiry: the leader looks for nodes whose life is over by its own monotonic clock and proposes
 * their removal, so that every member expires the same nodes at the same index. A node is never
 * removed early: deadlines count from when this member learned of the node. Lateness is bounded by
 * the interval plus one commit, and after a change of leader by the time the new one lagged.
 */
import type { StateMachine } from "@etcd2/store";
import type { EtcdServer } from "./etcd-server.ts";

/** How often the leader looks; one peek at the next deadline. */
export const TTL_SYNC_INTERVAL_MS = 100;

/** Nodes expired by one log entry. */
const EXPIRE_BATCH_MAX = 1000;

export class TtlSync {
  readonly #server: EtcdServer;
  readonly #machine: StateMachine;
  readonly #steadyMs: () => number;
  readonly #timer: NodeJS.Timeout;
  #inFlight = false;

  constructor(server: EtcdServer, machine: StateMachine, steadyMs: () => number) {
    this.#server = server;
    this.#machine = machine;
    this.#steadyMs = steadyMs;
    this.#timer = setInterval(() => {
      this.check();
    }, TTL_SYNC_INTERVAL_MS);
  }

  /** Proposes what is due, unless a proposal is under way. */
  check(): void {
    if (this.#inFlight || !this.#server.node.isLeader) return;
    const now = this.#steadyMs();
    const next = this.#machine.nextDeadline();
    if (next === undefined || next > now) return;
    const expired = this.#machine.dueNodes(now, EXPIRE_BATCH_MAX);
    if (expired.length === 0) return;
    this.#inFlight = true;
    this.#server.proposeCommand({ action: "expire", expired }, () => {
      this.#inFlight = false;
      // More may be due than one entry holds.
      if (expired.length === EXPIRE_BATCH_MAX) this.check();
    });
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
