/**
 * The simulated network: every message is a delivery at some later time, or at several, or never.
 * It knows who cannot reach whom and nothing of what is said.
 */
import type { Message, NodeId, Random } from "../../src/core/model/types.ts";
import type { MachineState } from "./machine.ts";

/** Something on its way: a message, with the state a snapshot is made of, or a sender's report. */
export interface Delivery {
  readonly to: NodeId;
  readonly message: Message | undefined;
  readonly data: MachineState | undefined;
  /** In place of a message: the snapshot sent to `about` arrived, or did not. */
  readonly report: { readonly about: NodeId; readonly isOk: boolean } | undefined;
}

export class Network {
  lossRate = 0;
  duplicateRate = 0;
  delayMax = 1;
  /** Directed links that are cut, as "from>to". */
  readonly cut = new Set<string>();
  sent = 0;
  lost = 0;
  readonly #random: Random;
  readonly #due = new Map<number, Delivery[]>();

  constructor(random: Random) {
    this.#random = random;
  }

  send(now: number, message: Message, data: MachineState | undefined): void {
    this.sent += 1;
    const { from, to } = message;
    const isLost = this.cut.has(`${from}>${to}`) || this.#random() < this.lossRate;
    if (isLost) this.lost += 1;
    else {
      this.put(now + this.#delay(), { to, message, data, report: undefined });
      // Proposals carry no place in a log to know them by: the transport sends each at most once.
      if (message.type !== "propose" && this.#random() < this.duplicateRate) {
        this.put(now + this.#delay(), { to, message, data, report: undefined });
      }
    }
    if (message.type === "snapshot") {
      // The sender always hears something; that it arrived may turn out to be wrong.
      const report = { about: to, isOk: !isLost };
      const later = now + 2 * this.delayMax + 1;
      this.put(later, { to: from, message: undefined, data: undefined, report });
    }
  }

  put(at: number, delivery: Delivery): void {
    const due = this.#due.get(at);
    if (due === undefined) this.#due.set(at, [delivery]);
    else due.push(delivery);
  }

  /** What arrives at `now`, in any order. A link that was cut meanwhile loses what it carries. */
  take(now: number): readonly Delivery[] {
    const all = this.#due.get(now);
    if (all === undefined) return [];
    this.#due.delete(now);
    const due = all.filter(
      ({ message: one }) => one === undefined || !this.cut.has(`${one.from}>${one.to}`),
    );
    this.lost += all.length - due.length;
    for (let at = due.length - 1; at > 0; at -= 1) {
      const other = Math.floor(this.#random() * (at + 1));
      const [a, b] = [due[at], due[other]];
      if (a !== undefined && b !== undefined) [due[at], due[other]] = [b, a];
    }
    return due;
  }

  heal(): void {
    this.cut.clear();
    this.lossRate = 0;
    this.duplicateRate = 0;
    this.delayMax = 1;
  }

  #delay(): number {
    return 1 + Math.floor(this.#random() * this.delayMax);
  }
}
