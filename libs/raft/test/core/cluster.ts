/**
 * A few hosts and a network between them that delivers, in order, what is not cut. Tests decide
 * when; nothing happens by itself.
 */
import type { Message, NodeId } from "../../src/core/model/types.ts";
import { confState, Host, type HostOptions } from "./host.ts";

export class Cluster {
  readonly hosts = new Map<NodeId, Host>();
  /** Messages on their way, oldest first. */
  inFlight: Message[] = [];
  readonly #cut = new Set<string>();

  constructor(hosts: readonly Host[] = []) {
    for (const host of hosts) this.hosts.set(host.id, host);
  }

  /** Members "1" to "n", all voters, with equal options. */
  static of(count: number, options: Omit<HostOptions, "id"> = {}): Cluster {
    const ids = Array.from({ length: count }, (_, i) => String(i + 1));
    return new Cluster(ids.map((id) => new Host({ conf: confState(ids), ...options, id })));
  }

  /** Members "1" to "n" with member 1 leading and everything told to everyone. */
  static ledByFirst(count: number, options: Omit<HostOptions, "id"> = {}): Cluster {
    const cluster = Cluster.of(count, options);
    cluster.elect("1");
    return cluster;
  }

  host(id: NodeId): Host {
    const host = this.hosts.get(id);
    if (host === undefined) throw new Error(`no member ${id}`);
    return host;
  }

  elect(id: NodeId): void {
    this.host(id).raw.campaign();
    this.stabilize();
    if (this.host(id).raw.role !== "leader") throw new Error(`${id} was not elected`);
  }

  /** Loses everything between `a` and the others, both ways. */
  isolate(a: NodeId): void {
    for (const b of this.hosts.keys()) if (a !== b) this.cut(a, b);
  }

  cut(a: NodeId, b: NodeId): void {
    this.cutOneWay(a, b);
    this.cutOneWay(b, a);
  }

  cutOneWay(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  /** Puts messages on their way, or loses them. */
  post(messages: readonly Message[]): void {
    for (const message of messages) {
      if (!this.#cut.has(`${message.from}>${message.to}`)) this.inFlight.push(message);
    }
  }

  /** Takes the messages out that match. */
  take(matches: (message: Message) => boolean): Message[] {
    const taken = this.inFlight.filter(matches);
    this.inFlight = this.inFlight.filter((message) => !matches(message));
    return taken;
  }

  /** Works and delivers until nothing moves any more. */
  stabilize(): void {
    for (;;) {
      for (const host of this.hosts.values()) this.post(host.work().messages);
      const messages = this.take(() => true);
      if (messages.length === 0) return;
      for (const message of messages) this.hosts.get(message.to)?.step(message);
    }
  }

  /** Time passes for everyone, a tick at a time, and messages travel faster than that. */
  tick(count = 1): void {
    for (let i = 0; i < count; i += 1) {
      for (const host of this.hosts.values()) host.tick();
      this.stabilize();
    }
  }

  leaders(): readonly NodeId[] {
    return [...this.hosts.values()]
      .filter((host) => host.raw.role === "leader")
      .map((host) => host.id);
  }
}
