/**
 * Turns the resets of several streams to and from one peer into one report per loss. A process that
 * dies resets all of them within milliseconds; streams established before the report belong to the
 * loss already reported. Knows no sockets: callers decide what counts as a reset.
 */
import type { NodeId } from "../core/model/types.ts";

/** One report for each loss of a peer, however many streams it had. */
export class LinkLosses {
  readonly #report: (id: NodeId) => void;
  readonly #generations = new Map<NodeId, number>();

  constructor(report: (id: NodeId) => void) {
    this.#report = report;
  }

  /** To be kept by a stream when it is established. */
  generation(id: NodeId): number {
    return this.#generations.get(id) ?? 0;
  }

  /** A stream established in `generation` was reset by the other side. */
  lost(id: NodeId, generation: number): void {
    if (generation !== this.generation(id)) return;
    this.#generations.set(id, generation + 1);
    this.#report(id);
  }
}
