/**
 * Members that forget: one of a run is wiped, or put back to an earlier image of its disk. Plays the
 * part of the greetings between members (src/lives/peer-lives.ts) and of the host's rule for members in
 * doubt: who dials learns whom it reached, each side refuses whom it disowns, and a member that is
 * disowned stays down. Unguarded, the forgetful member is taken as it comes.
 */
import { isUpToDate } from "../../src/core/log/raft-log.ts";
import type { LogEnd } from "../../src/core/log/raft-log.ts";
import type { Message, NodeId, Random, Term } from "../../src/core/model/types.ts";
import { PeerLives } from "../../src/lives/peer-lives.ts";
import type { Life, Position } from "../../src/lives/peer-lives.ts";
import type { DiskImage, SimNode } from "./sim-node.ts";

export type AmnesiaKind = "guarded" | "unguarded";

/** What a member has besides its log. */
interface Memory {
  peers: PeerLives;
  life: Life;
  /** The others that must let it in before it votes; 0 when there is no doubt. */
  othersNeeded: number;
  readonly met: Set<NodeId>;
  /** What votes must reach as long as the own log does not. */
  furthest: LogEnd;
  /** Terms up to this one are known to have begun: the own vote there may be gone already. */
  begunTerm: Term;
  answered: Position;
}

export interface AmnesiaOptions {
  readonly kind: AmnesiaKind;
  readonly random: Random;
  readonly nodes: ReadonlyMap<NodeId, SimNode>;
  readonly note: (line: string) => void;
}

/** The image that comes back is a recent one: others do not know yet what was said since. */
const RENEWAL_RATE = 0.1;

export class Amnesia {
  /** Members that were refused for good. */
  readonly retired = new Set<NodeId>();
  readonly #options: AmnesiaOptions;
  readonly #memories = new Map<NodeId, Memory>();
  /** The process that sent a message. */
  readonly #senders = new WeakMap<Message, Life>();
  #ids = 0;
  #image: { readonly id: NodeId; readonly disk: DiskImage; readonly life: Life } | undefined;
  #hasStruck = false;
  #hasJustVoted = false;

  constructor(options: AmnesiaOptions) {
    this.#options = options;
  }

  /** A process has started on what its disk holds. */
  started(node: SimNode): void {
    const { raw } = node;
    if (raw === undefined) return;
    const memory = this.#memoryOf(node.id);
    const { term, lastIndex } = raw;
    const starts = memory.life.starts + 1;
    memory.life = { ...memory.life, starts, session: this.#draw(), term, lastIndex };
    memory.met.clear();
    memory.furthest = { term: 0, index: 0 };
    memory.begunTerm = term;
    memory.answered = { term, index: 0 };
  }

  /** A message leaves; false when a member in doubt must not say that. */
  mayLeave(message: Message): boolean {
    const memory = this.#memoryOf(message.from);
    if (!this.#permits(message.from, message)) return false;
    this.#senders.set(message, memory.life);
    const { from, term } = message;
    switch (message.type) {
      // What these say is durable.
      case "vote":
      case "voteResponse":
        this.#answer(from, { term, index: 0 });
        if (message.type === "voteResponse" && !message.reject) this.#afterVote(from);
        break;
      case "appendResponse":
        this.#answer(from, { term, index: message.reject ? 0 : message.index });
        break;
      case "append":
      case "heartbeat":
      case "heartbeatResponse":
      case "preVote":
      case "preVoteResponse":
      case "snapshot":
      case "readIndex":
      case "readIndexResponse":
      case "propose":
      case "transferLeader":
      case "timeoutNow":
    }
    return true;
  }

  /** A message arrives; false when the greeting before it, or the receiver's doubt, forbids it. */
  mayArrive(node: SimNode, message: Message): boolean {
    if (this.#options.kind === "unguarded") return true;
    const life = this.#senders.get(message);
    const receiver = this.#memoryOf(node.id);
    const sender = this.#memoryOf(message.from);
    if (life === undefined || life.session !== sender.life.session) return false;
    if (this.#refuses(receiver, message.from) || this.#refuses(sender, node.id)) return false;
    sender.peers.remember(node.id, receiver.life);
    if (this.#options.random() < 0.3) this.#tell(node, sender, receiver);
    sender.met.add(node.id);
    sender.begunTerm = Math.max(sender.begunTerm, node.raw?.term ?? 0);
    const end = node.raw?.stableEnd;
    if (end !== undefined && isUpToDate(end, sender.furthest)) sender.furthest = end;
    return this.#permits(node.id, message);
  }

  /** A vote is on its way: where forgetting it hurts most, as long as the election goes on. */
  #afterVote(id: NodeId): void {
    if (this.#image?.id === id && this.#options.random() < 0.5) this.#hasJustVoted = true;
  }

  /**
   * Once a run each: keeps an image of a member, and makes one forget.
   * @returns the member that is to be back at once, if any.
   */
  strike(now: number): SimNode | undefined {
    const { nodes, random } = this.#options;
    const ids = [...nodes.keys()];
    const id = this.#image?.id ?? ids[Math.floor(random() * ids.length)] ?? "";
    const node = nodes.get(id);
    if (node === undefined || this.#hasStruck) return undefined;
    const isFound = this.#image !== undefined;
    if (!this.#hasJustVoted && now > 30 && random() < (isFound ? RENEWAL_RATE : 0.05)) {
      const disk = node.image();
      if (disk !== undefined) this.#image = { id, disk, life: this.#memoryOf(id).life };
    }
    if (this.#image === undefined || !isFound) return undefined;
    if (this.#hasJustVoted || random() < 0.02) {
      this.#hasStruck = true;
      this.#forget(node, this.#image);
      return this.#hasJustVoted ? node : undefined;
    }
    return undefined;
  }

  #forget(node: SimNode, { disk, life }: { disk: DiskImage; life: Life }): void {
    const isWiped = !this.#hasJustVoted && this.#options.random() < 0.5;
    this.#options.note(`${isWiped ? "wipe" : "put back"} ${node.id}`);
    node.crash();
    const { size } = this.#options.nodes;
    const majority = Math.floor(size / 2) + 1;
    const memory = this.#memoryOf(node.id);
    memory.peers = this.#noPeers(node.id);
    if (isWiped) {
      node.wipe();
      memory.life = { ...memory.life, incarnation: this.#draw(), starts: 0 };
      memory.othersNeeded = majority - 1;
    } else {
      node.putBack(disk);
      memory.life = life;
      memory.othersNeeded = size - majority + 1;
    }
    if (this.#options.kind === "unguarded") memory.othersNeeded = 0;
  }

  #refuses(memory: Memory, id: NodeId): boolean {
    const reason = memory.peers.validateLife(id, this.#memoryOf(id).life);
    if (reason === undefined) return false;
    if (!this.retired.has(id)) this.#options.note(reason);
    this.retired.add(id);
    this.#options.nodes.get(id)?.crash();
    return true;
  }

  #tell(node: SimNode, asker: Memory, { answered }: Memory): void {
    const { raw } = node;
    if (raw?.role === "leader") this.#answer(node.id, { term: raw.term, index: raw.stableIndex });
    asker.peers.answersFor(node.id, answered);
  }

  #answer(id: NodeId, { term, index }: Position): void {
    const memory = this.#memoryOf(id);
    const { answered } = memory;
    const isNews = term > answered.term || (term === answered.term && index > answered.index);
    if (isNews) memory.answered = { term, index };
  }

  #permits(id: NodeId, message: Message): boolean {
    const memory = this.#memoryOf(id);
    if (memory.othersNeeded === 0 || !isAboutVotes(message)) return true;
    if (memory.met.size < memory.othersNeeded) return false;
    const raw = this.#options.nodes.get(id)?.raw;
    if (raw?.hasRenouncedVotes(memory.begunTerm) !== true) {
      raw?.renounceVotes(memory.begunTerm);
      return false;
    }
    if (isUpToDate(raw.stableEnd, memory.furthest)) memory.othersNeeded = 0;
    if (message.type !== "vote" && message.type !== "preVote") return true;
    return isUpToDate({ term: message.lastTerm, index: message.lastIndex }, memory.furthest);
  }

  #memoryOf(id: NodeId): Memory {
    const known = this.#memories.get(id);
    if (known !== undefined) return known;
    const numbers = { starts: 0, term: 0, lastIndex: 0 };
    const end = { term: 0, index: 0 };
    const life = {
      incarnation: this.#draw(),
      session: "",
      ...numbers,
      isFounding: false,
      end,
      currentTerm: 0,
    };
    const answered = { term: 0, index: 0 };
    const peers = this.#noPeers(id);
    const furthest = { term: 0, index: 0 };
    const memory = {
      ...{ peers, life, othersNeeded: 0, met: new Set<NodeId>(), answered, furthest },
      begunTerm: 0,
    };
    this.#memories.set(id, memory);
    return memory;
  }

  #noPeers(self: NodeId): PeerLives {
    return new PeerLives({
      remembered: [],
      hasRun: () => false,
      acknowledgedBy: (id) => {
        const raw = this.#options.nodes.get(self)?.raw;
        if (raw?.role !== "leader") return undefined;
        const index = raw.status().progress.get(id)?.match ?? 0;
        return index === 0 ? undefined : { term: raw.term, index };
      },
      onStart: () => undefined,
    });
  }

  #draw(): string {
    this.#ids += 1;
    return this.#ids.toString(16).padStart(16, "0");
  }
}

function isAboutVotes({ type }: Message): boolean {
  return /vote|timeoutNow/i.test(type);
}
