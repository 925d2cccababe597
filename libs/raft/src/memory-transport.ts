/**
 * The transport port within one process, for tests of whole nodes: a network object that owns all
 * messages under way and decides when, whether and in which round each arrives. Messages pass
 * through the codec, so nobody shares records and what cannot be encoded fails here too. Faults
 * are set from outside; it owns no randomness and no clock.
 */
import type { Message, NodeId, SnapshotMessage } from "./core/types.ts";
import { decodeMessage, encodeMessage } from "./message-codec.ts";
import type { Peer, SnapshotSink, Transport, TransportListener } from "./transport.ts";

export interface MemoryNetworkOptions {
  /**
   * "manual": nothing moves but by deliver(). "automatic": a round follows every turn of the event
   * loop that sent something; by setImmediate, so that nodes in conversation starve no timer.
   */
  readonly delivery: "manual" | "automatic";
  /** What activeSince answers with; by default always 1. */
  readonly now?: () => number;
}

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly bytes: Uint8Array;
  /** Opened when the message was sent, for snapshots only. */
  readonly source: AsyncIterator<Uint8Array> | undefined;
  /** Rounds to let pass. */
  wait: number;
}

export class MemoryNetwork {
  /** Returns true for a message to lose silently. */
  loseIf: (message: Message) => boolean = () => false;
  /** Rounds a message is held back; unequal numbers reorder. */
  delayRounds: (message: Message) => number = () => 0;
  readonly #automatic: boolean;
  readonly #now: () => number;
  readonly #members = new Map<NodeId, MemoryTransport>();
  readonly #removed = new Set<NodeId>();
  /** Directed links that carry nothing: "from to". */
  readonly #cuts = new Set<string>();
  readonly #upSince = new Map<string, number>();
  readonly #transfers = new Set<Promise<void>>();
  #underWay: Envelope[] = [];
  #scheduled = false;

  constructor(options: MemoryNetworkOptions) {
    this.#automatic = options.delivery === "automatic";
    this.#now = options.now ?? (() => 1);
  }

  /** Connects a member; one that crashed or closed may come back under its id. */
  join(id: NodeId, listener: TransportListener): MemoryTransport {
    const transport = new MemoryTransport(this, id, listener);
    this.#members.set(id, transport);
    return transport;
  }

  /** Messages not delivered yet. */
  get pending(): number {
    return this.#underWay.length;
  }

  /** One round: every message sent before it, and not held back, arrives. Returns how many did. */
  deliver(): number {
    const due: Envelope[] = [];
    const later: Envelope[] = [];
    for (const envelope of this.#underWay) {
      if (envelope.wait > 0) {
        envelope.wait--;
        later.push(envelope);
      } else due.push(envelope);
    }
    this.#underWay = later;
    let arrived = 0;
    for (const envelope of due) if (this.#arrive(envelope)) arrived++;
    if (later.length > 0) this.#schedule();
    return arrived;
  }

  /** Resolves when no snapshot is under way. */
  async settled(): Promise<void> {
    while (this.#transfers.size > 0) await Promise.all(this.#transfers);
  }

  /** Cuts one direction. */
  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from} ${to}`);
    this.#upSince.delete(`${from} ${to}`);
  }

  /** Cuts every link between members of different groups, in both directions. */
  partition(...groups: readonly (readonly NodeId[])[]): void {
    for (const group of groups) {
      for (const other of groups) {
        if (group === other) continue;
        for (const from of group) for (const to of other) this.cut(from, to);
      }
    }
  }

  /** Mends all links. */
  heal(): void {
    this.#cuts.clear();
  }

  /** The process of this member dies: what it sent and was sent is lost, its peers see the reset. */
  crash(id: NodeId): void {
    this.#members.get(id)?.detach();
    this.#members.delete(id);
    this.#underWay = this.#underWay.filter(({ from, to }) => from !== id && to !== id);
    for (const member of [...this.#members.values()]) {
      if (member.knows(id)) member.listener.onConnectionLost(id);
    }
  }

  /** From now on the others tell this member that it was removed. */
  remove(id: NodeId): void {
    this.#removed.add(id);
  }

  /** For MemoryTransport: takes one message; never calls a listener but to open a snapshot. */
  post(sender: MemoryTransport, message: Message): void {
    const source =
      message.type === "snapshot"
        ? sender.listener.openSnapshotSource(message)[Symbol.asyncIterator]()
        : undefined;
    const bytes = encodeMessage(message);
    const wait = this.delayRounds(message);
    this.#underWay.push({ from: sender.id, to: message.to, bytes, source, wait });
    this.#schedule();
  }

  /** For MemoryTransport. */
  activeSince(from: NodeId, to: NodeId): number {
    if (this.#isCut(from, to) || !this.#members.has(to)) return 0;
    const key = `${from} ${to}`;
    const since = this.#upSince.get(key) ?? this.#now();
    this.#upSince.set(key, since);
    return since;
  }

  /** For MemoryTransport. */
  leave(transport: MemoryTransport): void {
    if (this.#members.get(transport.id) === transport) this.#members.delete(transport.id);
  }

  #schedule(): void {
    if (!this.#automatic || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.deliver();
    });
  }

  #isCut(from: NodeId, to: NodeId): boolean {
    return this.#cuts.has(`${from} ${to}`);
  }

  #arrive(envelope: Envelope): boolean {
    const { from, to, bytes, source } = envelope;
    const sender = this.#members.get(from);
    const message = decodeMessage(bytes);
    const lost = this.loseIf(message);
    const receiver = this.#isCut(from, to) ? undefined : this.#members.get(to);
    if (lost || receiver === undefined || this.#removed.has(from)) {
      if (!lost && receiver === undefined) sender?.listener.onUnreachable(to);
      else if (!lost) sender?.listener.onRemoved(`member ${from} has been removed (says ${to})`);
      if (source !== undefined) this.#track(this.#giveUp(from, to, source));
      return false;
    }
    if (message.type === "snapshot" && source !== undefined) {
      this.#track(this.#transfer(message, source, receiver));
    } else receiver.listener.onMessages([message]);
    return true;
  }

  #track(transfer: Promise<void>): void {
    const tracked = transfer.finally(() => {
      this.#transfers.delete(tracked);
    });
    this.#transfers.add(tracked);
  }

  async #giveUp(from: NodeId, to: NodeId, source: AsyncIterator<Uint8Array>): Promise<void> {
    await source.return?.();
    this.#members.get(from)?.listener.onSnapshotSent(to, false);
  }

  async #transfer(
    message: SnapshotMessage,
    source: AsyncIterator<Uint8Array>,
    receiver: MemoryTransport,
  ): Promise<void> {
    const { from, to } = message;
    let ok = false;
    const sink = receiver.listener.openSnapshotSink(message);
    try {
      await this.#fill(sink, message, source, receiver);
      ok = true;
    } catch (error) {
      await sink.abort(error instanceof Error ? error : new Error(String(error)));
    }
    if (ok) await sink.commit();
    await source.return?.();
    this.#members.get(from)?.listener.onSnapshotSent(to, ok);
  }

  async #fill(
    sink: SnapshotSink,
    { from, to }: SnapshotMessage,
    source: AsyncIterator<Uint8Array>,
    receiver: MemoryTransport,
  ): Promise<void> {
    for (let next = await source.next(); next.done !== true; next = await source.next()) {
      const gone = this.#members.get(to) !== receiver || !this.#members.has(from);
      if (gone || this.#isCut(from, to)) throw new Error("the connection was lost");
      await sink.write(new Uint8Array(next.value));
    }
  }
}

/** One member's end of the network; made by MemoryNetwork.join. */
export class MemoryTransport implements Transport {
  readonly id: NodeId;
  readonly listener: TransportListener;
  readonly #network: MemoryNetwork;
  readonly #peers = new Set<NodeId>();
  #closed = false;

  constructor(network: MemoryNetwork, id: NodeId, listener: TransportListener) {
    this.#network = network;
    this.id = id;
    this.listener = listener;
  }

  send(messages: readonly Message[]): void {
    if (this.#closed) return;
    for (const message of messages) {
      if (this.#peers.has(message.to)) this.#network.post(this, message);
    }
  }

  addPeer(peer: Peer): void {
    this.#peers.add(peer.id);
  }

  removePeer(id: NodeId): void {
    this.#peers.delete(id);
  }

  updatePeer(peer: Peer): void {
    this.#peers.add(peer.id);
  }

  activeSince(id: NodeId): number {
    return this.#peers.has(id) ? this.#network.activeSince(this.id, id) : 0;
  }

  knows(id: NodeId): boolean {
    return this.#peers.has(id);
  }

  /** Says nothing more: the process is gone. */
  detach(): void {
    this.#closed = true;
  }

  close(): Promise<void> {
    this.detach();
    this.#network.leave(this);
    return Promise.resolve();
  }
}
