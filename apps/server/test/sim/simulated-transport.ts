/**
 * The transport port over simulated links: greetings with the real verdicts, messages through the real
 * encoding, one link in each direction with its own fate. Links are cut, slow, lossy; what the gRPC
 * transport tells its owner of a link that breaks, this one tells too.
 */
import type {
  ClusterInfo,
  Life,
  Message,
  NodeId,
  Peer,
  Position,
  SnapshotMessage,
  SnapshotSink,
  Transport,
  TransportListener,
} from "@etcd2/raft";
import {
  decodeStreamFrame,
  encodeBatchFrame,
  encodeHelloFrame,
  refuseAnswer,
  refuseHello,
  removedRefusal,
} from "@etcd2/raft/testing";
import type { Hello, Refusal } from "@etcd2/raft/testing";
import type { TransportHost } from "../../src/consensus/consensus-options.ts";
import { world } from "./runtime.ts";
import type { Owner } from "./runtime.ts";

const VERSION = "2.3.8";
const MIN_VERSION = "2.3.0";
/** A link without an answer for so long is given up. */
const SILENT_MS = 4000;
const BACKOFF_MS = { first: 100, last: 1000 };
const SNAPSHOT_STALL_MS = 5000;
const UNREACHABLE_REPEAT_MS = 1000;

/** How links behave now; changed by the adversary. */
export class Network {
  /** "from>to" by names of machines. */
  readonly cut = new Set<string>();
  lossRate = 0;
  duplicateRate = 0;
  /** Latency in milliseconds. */
  delayMs = { min: 0.2, max: 1.5 };
  sent = 0;
  lost = 0;
  snapshots = 0;
  readonly #byUrl = new Map<string, SimulatedTransport>();

  register(transport: SimulatedTransport): void {
    for (const url of transport.urls) this.#byUrl.set(url, transport);
  }

  at(url: string): SimulatedTransport | undefined {
    const found = this.#byUrl.get(url);
    return found === undefined || found.owner.isDead || found.isClosed ? undefined : found;
  }

  connects(from: Owner, to: Owner): boolean {
    return !this.cut.has(`${from.name}>${to.name}`);
  }

  latency(): number {
    const { min, max } = this.delayMs;
    const { random } = world();
    return min + random() ** 3 * (max - min);
  }

  heal(): void {
    this.cut.clear();
    this.lossRate = 0;
    this.duplicateRate = 0;
    this.delayMs = { min: 0.2, max: 1.5 };
  }
}

interface Link {
  peer: Peer;
  state: "waiting" | "dialing" | "up";
  /** Grows with each attempt: what belongs to an earlier one is void. */
  generation: number;
  attempts: number;
  upSince: number;
  heardAt: number;
  unreachableAt: number;
  urlAt: number;
  remote: SimulatedTransport | undefined;
  /** The link keeps order as a connection does, unless told otherwise. */
  arrivesAt: number;
}

export interface SimulatedTransportOptions {
  readonly network: Network;
  readonly owner: Owner;
  readonly clusterId: string;
  readonly memberId: NodeId;
  readonly urls: readonly string[];
  readonly listener: TransportListener;
  readonly host: TransportHost;
}

export class SimulatedTransport implements Transport {
  readonly owner: Owner;
  readonly urls: readonly string[];
  isClosed = false;
  readonly #options: SimulatedTransportOptions;
  readonly #links = new Map<NodeId, Link>();
  /** Those who dialled this member and were let in, with the generation of their link. */
  readonly #inbound = new Map<NodeId, SimulatedTransport>();
  #told: Position = { term: 0, index: 0 };
  readonly #timers: NodeJS.Timeout[];
  #sending = new Set<NodeId>();
  #receiving: { term: number; stop: () => void } | undefined;

  constructor(options: SimulatedTransportOptions) {
    this.#options = options;
    this.owner = options.owner;
    this.urls = options.urls;
    options.network.register(this);
    this.#timers = [
      setInterval(() => {
        this.#ping();
      }, 1000),
      setInterval(() => {
        this.#tellPosition();
      }, 100),
    ];
  }

  get memberId(): NodeId {
    return this.#options.memberId;
  }

  clusterInfo(logIndex?: number): ClusterInfo {
    return this.#options.host.clusterInfo(logIndex);
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.type === "snapshot") this.#sendSnapshot(message);
      else this.#sendMessage(message);
    }
  }

  addPeer(peer: Peer): void {
    if (this.isClosed || peer.id === this.memberId) return;
    const known = this.#links.get(peer.id);
    if (known !== undefined) {
      known.peer = peer;
      return;
    }
    const link: Link = {
      ...{ peer, state: "waiting", generation: 0, attempts: 0, upSince: 0, heardAt: 0 },
      ...{ unreachableAt: -Infinity, urlAt: 0, remote: undefined, arrivesAt: 0 },
    };
    this.#links.set(peer.id, link);
    this.#dial(link);
  }

  removePeer(id: NodeId): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    link.generation += 1;
    this.#links.delete(id);
  }

  updatePeer(peer: Peer): void {
    this.addPeer(peer);
  }

  activeSince(id: NodeId): number {
    const link = this.#links.get(id);
    return link?.state === "up" ? link.upSince : 0;
  }

  close(): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    this.#tellPosition();
    this.isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#links.clear();
    this.reset();
    return Promise.resolve();
  }

  /** The process is gone, or going: whoever has a link to it sees it break, if the network lets it. */
  reset(): void {
    for (const caller of this.#inbound.values()) {
      this.#to(caller, () => {
        caller.#broken(this.memberId, true);
      });
    }
  }

  /** Runs at the other end, if the network lets it through. */
  #to(other: SimulatedTransport, run: () => void, isOrdered?: Link): void {
    const { network } = this.#options;
    if (!network.connects(this.owner, other.owner)) return;
    const at = world();
    let delay = network.latency();
    if (isOrdered !== undefined) {
      const arrival = Math.max(isOrdered.arrivesAt, at.now + delay);
      isOrdered.arrivesAt = arrival;
      delay = arrival - at.now;
    }
    at.after(delay, other.owner, () => {
      if (other.isClosed) return;
      if (network.connects(this.owner, other.owner)) run();
    });
  }

  #hello(to: NodeId): Hello {
    const { clusterId, memberId, host } = this.#options;
    const life: Life = host.lives.own;
    return {
      ...{ clusterId, from: memberId, to, life },
      ...{ serverVersion: VERSION, minClusterVersion: MIN_VERSION },
    };
  }

  #identity(): Parameters<typeof refuseHello>[1] {
    const { clusterId, memberId, host } = this.#options;
    const versions = { serverVersion: VERSION, minClusterVersion: MIN_VERSION };
    return { clusterId, memberId, ...versions, lives: host.lives };
  }

  #dial(link: Link): void {
    if (this.isClosed || this.#links.get(link.peer.id) !== link) return;
    link.state = "dialing";
    link.generation += 1;
    const { generation } = link;
    const url = link.peer.urls[link.urlAt % Math.max(1, link.peer.urls.length)] ?? "";
    const other = this.#options.network.at(url);
    setTimeout(() => {
      if (link.generation !== generation || link.state !== "dialing") return;
      link.urlAt += 1;
      this.#retry(link, backoff(link));
    }, 2000);
    if (other === undefined) {
      setTimeout(() => {
        if (link.generation !== generation) return;
        link.urlAt += 1;
        this.#retry(link, backoff(link));
      }, 1);
      return;
    }
    const bytes = encodeHelloFrame(this.#hello(link.peer.id));
    this.#to(other, () => {
      other.#onDialled(this, bytes, (answer, refusal) => {
        other.#to(this, () => {
          if (link.generation === generation) this.#onAnswer(link, other, answer, refusal);
        });
      });
    });
  }

  #onDialled(
    caller: SimulatedTransport,
    bytes: Buffer,
    answer: (hello: Buffer | undefined, refusal: Refusal | undefined, position?: Position) => void,
  ): void {
    const frame = decodeStreamFrame(bytes);
    if (frame?.kind !== "hello") throw new Error("a greeting is no greeting");
    const { host } = this.#options;
    const refusal = refuseHello(frame.hello, this.#identity(), (id) => host.cluster.isRemoved(id));
    if (refusal !== undefined) {
      world().note(`${this.owner.name} refuses ${caller.owner.name}: ${refusal.details}`);
      answer(undefined, refusal);
      return;
    }
    const { from } = frame.hello;
    this.#inbound.set(from, caller);
    answer(encodeHelloFrame(this.#hello(from)), undefined);
    this.#position(caller, host.lives.position());
    const back = this.#links.get(from);
    if (back?.state === "waiting") this.#dial(back);
  }

  #onAnswer(
    link: Link,
    other: SimulatedTransport,
    bytes: Buffer | undefined,
    refusal: Refusal | undefined,
  ): void {
    if (bytes === undefined) {
      this.#onRefused(link, refusal);
      return;
    }
    const frame = decodeStreamFrame(bytes);
    if (frame?.kind !== "hello") throw new Error("a greeting is no greeting");
    const own = refuseAnswer(frame.hello, this.#identity(), link.peer.id);
    if (own !== undefined) {
      this.#retry(link, BACKOFF_MS.last);
      if (own.reason === "removed") this.#options.listener.onRemoved(own.details);
      return;
    }
    link.state = "up";
    link.attempts = 0;
    link.remote = other;
    link.upSince = performance.now();
    link.heardAt = world().now;
    this.#options.host.lives.greeted(link.peer.id, frame.hello.life);
  }

  #onRefused(link: Link, refusal: Refusal | undefined): void {
    const { listener } = this.#options;
    this.#retry(link, BACKOFF_MS.last);
    if (refusal?.reason === "removed") listener.onRemoved(refusal.details);
    if (refusal?.reason === "disowned") listener.onDisowned(refusal.details);
  }

  #retry(link: Link, waitMs: number): void {
    link.state = "waiting";
    link.remote = undefined;
    link.generation += 1;
    const { generation } = link;
    setTimeout(() => {
      if (link.generation === generation && link.state === "waiting") this.#dial(link);
    }, waitMs);
  }

  /** A link to that member ended. */
  #broken(id: NodeId, isReset: boolean): void {
    const link = this.#links.get(id);
    if (link?.state !== "up") return;
    this.#retry(link, isReset ? 1 : BACKOFF_MS.first);
    if (isReset) this.#options.listener.onConnectionLost(id);
  }

  #ping(): void {
    for (const [id, link] of this.#links) {
      const { remote } = link;
      if (link.state !== "up" || remote === undefined) continue;
      if (world().now - link.heardAt > SILENT_MS) {
        this.#broken(id, false);
        continue;
      }
      this.#to(remote, () => {
        remote.#to(this, () => {
          link.heardAt = world().now;
        });
      });
    }
  }

  #tellPosition(): void {
    const position = this.#options.host.lives.position();
    if (position.term === this.#told.term && position.index === this.#told.index) return;
    this.#told = position;
    for (const caller of this.#inbound.values()) this.#position(caller, position);
  }

  #position(caller: SimulatedTransport, position: Position): void {
    const { memberId } = this;
    this.#to(caller, () => {
      if (caller.#links.get(memberId)?.state !== "up") return;
      caller.#options.host.lives.answersFor(memberId, position);
    });
  }

  #sendMessage(message: Message): void {
    const { network, listener } = this.#options;
    const link = this.#links.get(message.to);
    if (link === undefined) return;
    network.sent += 1;
    const { remote } = link;
    if (link.state !== "up" || remote === undefined) {
      network.lost += 1;
      if (world().now - link.unreachableAt < UNREACHABLE_REPEAT_MS) return;
      link.unreachableAt = world().now;
      setImmediate(() => {
        listener.onUnreachable(message.to);
      });
      return;
    }
    const { random } = world();
    if (random() < network.lossRate) {
      network.lost += 1;
      return;
    }
    const bytes = encodeBatchFrame([message]);
    const isChaotic = network.duplicateRate > 0;
    // A connection repeats nothing; raft itself repeats everything but proposals.
    const mayRepeat = message.type !== "propose";
    const copies = mayRepeat && random() < network.duplicateRate ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      this.#to(
        remote,
        () => {
          remote.#onBytes(this, bytes);
        },
        isChaotic ? undefined : link,
      );
    }
  }

  #onBytes(from: SimulatedTransport, bytes: Buffer): void {
    const { host, listener } = this.#options;
    if (host.cluster.isRemoved(from.memberId)) {
      const refusal = removedRefusal(from.memberId, this.#identity());
      this.#to(from, () => {
        from.#options.listener.onRemoved(refusal.details);
      });
      return;
    }
    const frame = decodeStreamFrame(bytes);
    if (frame?.kind === "batch") listener.onMessages(frame.messages);
  }

  #sendSnapshot(message: SnapshotMessage): void {
    const { listener } = this.#options;
    const remote = this.#links.get(message.to)?.remote;
    if (remote === undefined || this.#sending.has(message.to)) {
      setImmediate(() => {
        listener.onSnapshotSent(message.to, false);
      });
      return;
    }
    this.#sending.add(message.to);
    const source = listener.openSnapshotSource(message)[Symbol.asyncIterator]();
    void this.#stream(remote, source, message).then(async (isOk) => {
      await source.return?.();
      this.#sending.delete(message.to);
      if (!this.isClosed) listener.onSnapshotSent(message.to, isOk);
    });
  }

  async #stream(
    remote: SimulatedTransport,
    source: AsyncIterator<Uint8Array>,
    message: SnapshotMessage,
  ): Promise<boolean> {
    try {
      const bytes = encodeHelloFrame(this.#hello(message.to));
      const transfer = await this.#ask(remote, () => remote.#openTransfer(bytes, message));
      for (;;) {
        const next = await source.next();
        if (next.done === true) break;
        const chunk = Buffer.from(next.value);
        await this.#ask(remote, () => transfer.write(chunk));
      }
      await this.#ask(remote, () => transfer.commit());
      this.#options.network.snapshots += 1;
      return true;
    } catch {
      return false;
    }
  }

  /** One exchange with the other end; rejects when nothing comes back for long. */
  #ask<T>(remote: SimulatedTransport, run: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error("the transfer stalled"));
      }, SNAPSHOT_STALL_MS);
      const settle = (done: () => void): void => {
        remote.#to(this, () => {
          clearTimeout(timer);
          done();
        });
      };
      this.#to(remote, () => {
        run().then(
          (value) => {
            settle(() => {
              resolve(value);
            });
          },
          (error: unknown) => {
            settle(() => {
              reject(error instanceof Error ? error : new Error(String(error)));
            });
          },
        );
      });
    });
  }

  /** What takes a transfer at the receiving end. */
  // eslint-disable-next-line @typescript-eslint/require-await
  async #openTransfer(bytes: Buffer, message: SnapshotMessage): Promise<SnapshotSink> {
    const { host, listener } = this.#options;
    const frame = decodeStreamFrame(bytes);
    if (frame?.kind !== "hello") throw new Error("a greeting is no greeting");
    const refusal = refuseHello(frame.hello, this.#identity(), (id) => host.cluster.isRemoved(id));
    if (refusal !== undefined) throw new Error(refusal.details);
    if (this.#receiving !== undefined) {
      if (this.#receiving.term > message.term) throw new Error("a newer leader sends");
      this.#receiving.stop();
      throw new Error("another transfer is being given up");
    }
    const sink = listener.openSnapshotSink(message);
    let isOver = false;
    const finish = async (end: () => Promise<void>): Promise<void> => {
      if (isOver) throw new Error("the transfer is over");
      isOver = true;
      clearTimeout(stall);
      try {
        await end();
      } finally {
        this.#receiving = undefined;
      }
    };
    const stop = (): void => {
      if (!isOver) void finish(() => sink.abort(new Error("given up")));
    };
    const stall = setTimeout(stop, SNAPSHOT_STALL_MS);
    this.#receiving = { term: message.term, stop };
    return {
      write: async (chunk) => {
        if (isOver) throw new Error("the transfer is over");
        stall.refresh();
        await sink.write(chunk);
      },
      commit: () => finish(() => sink.commit()),
      abort: (reason) => finish(() => sink.abort(reason)),
    };
  }
}

function backoff(link: Link): number {
  link.attempts += 1;
  return Math.min(BACKOFF_MS.last, BACKOFF_MS.first * 2 ** link.attempts);
}
