/**
 * The whole cluster as one member sees it: the configuration, the progress of every member, the
 * votes of the running election. Owns the lookup from ids to progress and feeds quorum.ts;
 * refuses to know messages and roles.
 */
import { isVoter } from "./confchange.ts";
import type { InflightsLimits } from "./inflights.ts";
import { Progress } from "./progress.ts";
import { jointIndex, jointVote, type VoteResult } from "./quorum.ts";
import type { ConfState, Index, NodeId } from "../model/types.ts";

/** The configuration in force, with the progress and the votes of its members. */
export class Tracker {
  readonly #self: NodeId;
  readonly #limits: InflightsLimits;
  readonly #progress = new Map<NodeId, Progress>();
  readonly #votes = new Map<NodeId, boolean>();
  #conf: ConfState;
  #peers: readonly Progress[] = [];
  #incoming: readonly Progress[] = [];
  #outgoing: readonly Progress[] = [];
  /** Scratch space for the arguments of quorum arithmetic, one slot per voter. */
  readonly #incomingIndexes: Index[] = [];
  readonly #outgoingIndexes: Index[] = [];

  constructor(self: NodeId, conf: ConfState, next: Index, limits: InflightsLimits) {
    this.#self = self;
    this.#limits = limits;
    this.#conf = conf;
    this.setConf(conf, next);
  }

  get conf(): ConfState {
    return this.#conf;
  }

  /** Everyone but this member. */
  get peers(): readonly Progress[] {
    return this.#peers;
  }

  /** This member's own progress; undefined when it is not part of the configuration. */
  get self(): Progress | undefined {
    return this.#progress.get(this.#self);
  }

  /** True when this member's vote alone decides. */
  get isSingleton(): boolean {
    return (
      this.#incoming.length === 1 &&
      this.#incoming[0]?.id === this.#self &&
      this.#outgoing.length === 0
    );
  }

  isVoter(id: NodeId): boolean {
    return isVoter(this.#conf, id);
  }

  get(id: NodeId): Progress | undefined {
    return this.#progress.get(id);
  }

  all(): Iterable<Progress> {
    return this.#progress.values();
  }

  /** Takes over a configuration; members that stay keep their progress, new ones get `next`. */
  setConf(conf: ConfState, next: Index): void {
    this.#conf = conf;
    const ids = new Set([
      ...conf.voters,
      ...conf.votersOutgoing,
      ...conf.learners,
      ...conf.learnersNext,
    ]);
    for (const id of this.#progress.keys()) if (!ids.has(id)) this.#progress.delete(id);
    for (const id of ids) {
      if (this.#progress.has(id)) continue;
      const progress = new Progress(id, next, this.#limits);
      // A member that has just been added must not make the leader believe its quorum silent.
      progress.recentActive = true;
      this.#progress.set(id, progress);
    }
    this.#relink();
  }

  /** Forgets all progress, as a new leader must: everyone is probed from `next`. */
  restart(next: Index): void {
    for (const id of this.#progress.keys()) {
      this.#progress.set(id, new Progress(id, next, this.#limits));
    }
    this.#relink();
  }

  /** Highest index that is durable on a quorum. */
  committedIndex(): Index {
    collectMatches(this.#incoming, this.#incomingIndexes);
    collectMatches(this.#outgoing, this.#outgoingIndexes);
    return jointIndex(this.#incomingIndexes, this.#outgoingIndexes);
  }

  /** Newest read-index round that a quorum has confirmed. */
  confirmedReadRound(): number {
    collectReadRounds(this.#incoming, this.#incomingIndexes);
    collectReadRounds(this.#outgoing, this.#outgoingIndexes);
    return jointIndex(this.#incomingIndexes, this.#outgoingIndexes);
  }

  /** True when a quorum was heard from since the last call; starts the next period. */
  checkQuorumActive(): boolean {
    const isActive = (progress: Progress): boolean =>
      progress.recentActive || progress.id === this.#self;
    const result = jointVote(this.#incoming.map(isActive), this.#outgoing.map(isActive));
    for (const progress of this.#peers) progress.recentActive = false;
    return result === "won";
  }

  resetVotes(): void {
    this.#votes.clear();
  }

  /** Counts a vote; only the first of each voter. */
  recordVote(id: NodeId, isGranted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, isGranted);
  }

  voteResult(): VoteResult {
    const voteOf = (progress: Progress): boolean | undefined => this.#votes.get(progress.id);
    return jointVote(this.#incoming.map(voteOf), this.#outgoing.map(voteOf));
  }

  #relink(): void {
    this.#peers = [...this.#progress.values()].filter((progress) => progress.id !== this.#self);
    this.#incoming = this.#pick(this.#conf.voters);
    this.#outgoing = this.#pick(this.#conf.votersOutgoing);
    this.#incomingIndexes.length = this.#incoming.length;
    this.#outgoingIndexes.length = this.#outgoing.length;
    for (const progress of this.#progress.values()) {
      progress.isLearner = this.#conf.learners.includes(progress.id);
    }
  }

  #pick(ids: readonly NodeId[]): readonly Progress[] {
    const picked = [];
    for (const id of ids) {
      const progress = this.#progress.get(id);
      if (progress !== undefined) picked.push(progress);
    }
    return picked;
  }
}

function collectMatches(from: readonly Progress[], into: Index[]): void {
  let slot = 0;
  for (const progress of from) into[slot++] = progress.match;
}

function collectReadRounds(from: readonly Progress[], into: number[]): void {
  let slot = 0;
  for (const progress of from) into[slot++] = progress.readRound;
}
