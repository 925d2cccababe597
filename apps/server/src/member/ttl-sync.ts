/**
 * Expiry: the leader looks for nodes whose life is over by its own monotonic clock and proposes
 * their removal, so that every member expires the same nodes at the same index. A node is never
 * removed early: deadlines count from when this member learned of the node. Lateness is bounded by
 * the interval plus one commit, and after a change of leader by the time the new one lagged.
 */
import type { EtcdServer } from "./etcd-server.ts";
import type { MemberStorage } from "../storage/member-storage.ts";

/** How often the leader looks; one peek at the next deadline. */
const TTL_SYNC_INTERVAL_MS = 100;

/** Nodes expired by one log entry. */
const EXPIRE_BATCH_MAX = 1000;

export class TtlSync {
  readonly #server: EtcdServer;
  readonly #storage: MemberStorage;
  readonly #timer: NodeJS.Timeout;
  #inFlight = false;

  constructor(server: EtcdServer, storage: MemberStorage) {
    this.#server = server;
    this.#storage = storage;
    this.#timer = setInterval(() => {
      this.check();
    }, TTL_SYNC_INTERVAL_MS);
  }

  /** Proposes what is due, unless a proposal is under way. */
  check(): void {
    if (this.#inFlight || !this.#server.node.isLeader) return;
    const { machine } = this.#storage;
    const now = machine.clock.steadyMs();
    const next = machine.nextDeadline();
    if (next === undefined || next > now) return;
    // Nodes of one expiration go in the order they were written.
    const expired = machine
      .dueNodes(now, EXPIRE_BATCH_MAX)
      .toSorted((a, b) => a.expirationMs - b.expirationMs || a.modifiedIndex - b.modifiedIndex);
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
