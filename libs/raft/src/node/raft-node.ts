/**
 * The loop that owns one raft node: proposals, messages and ticks in; log writes, messages and
 * applied entries out, in the order ready.ts demands. Everything else posts to it.
 *
 * Work that arrives in one turn of the event loop is handled as one batch: one append, one sync,
 * one message per follower, one state machine batch. It knows neither what entries mean nor how
 * messages travel, and it owns no timer but the ticker.
 */
import type { LogEnd } from "../core/log/raft-log.ts";
import { RawNode } from "../core/raw-node.ts";
import type { Ready } from "../core/ready.ts";
import type { Status } from "../core/status.ts";
import type {
  HardState,
  Index,
  Message,
  NodeId,
  ReadState,
  SnapshotMessage,
  SnapshotMetadata,
  Term,
} from "../core/model/types.ts";
import { FatalError, RaftError } from "../core/model/errors.ts";
import type { Position } from "../lives/peer-lives.ts";
import type {
  DurableLog,
  RaftNodeListener,
  RaftNodeOptions,
  ReadCallback,
  StateMachinePort,
} from "./ports.ts";
import { ReadRounds } from "./read-rounds.ts";
import type { Transport } from "../transport/transport.ts";

/** Heartbeats that are so many intervals apart are late. */
const LATE_HEARTBEAT_TICKS = 2;

/**
 * One raft member with its disk, its peers and its state machine. Runs from construction to
 * close().
 */
export class RaftNode {
  readonly #raw: RawNode;
  readonly #log: DurableLog;
  readonly #transport: Transport;
  readonly #stateMachine: StateMachinePort;
  readonly #listener: RaftNodeListener;
  readonly #ticker: NodeJS.Timeout | undefined;
  #proposals: Uint8Array[] = [];
  #confChanges: Uint8Array[] = [];
  readonly #reads: ReadRounds;
  #ticks = 0;
  /** Term of the leader that proposals are handed to. */
  #proposalTerm: Term = 0;
  #appliedIndex: Index;
  /** A change of commit alone is written with the next entries, or at the next tick. */
  #unsavedHardState: HardState | undefined;
  #acknowledged: Position;
  #holdsReads = false;
  /** When heartbeats were last handed to the transport; undefined while this is no leader. */
  #heartbeatAt: number | undefined;
  #ticked = false;
  readonly #tickMs: number;
  readonly #mayVote: (message: Message) => boolean;
  #scheduled = false;
  #busy = false;
  /** Messages that arrived while exclusively() kept the core as it is. */
  #held: Message[] | undefined;
  #closed = false;
  #failed = false;
  #idle: (() => void)[] = [];

  constructor(options: RaftNodeOptions) {
    this.#raw = new RawNode(options.raft);
    this.#log = options.log;
    this.#transport = options.transport;
    this.#stateMachine = options.stateMachine;
    this.#listener = options.listener;
    this.#appliedIndex = options.raft.applied ?? 0;
    const { term } = options.raft.storage.initialState().hardState;
    this.#acknowledged = { term, index: 0 };
    const session = Math.floor(options.raft.random() * 2 ** 48).toString(36);
    this.#reads = new ReadRounds(
      `${options.raft.id}-${session}-`,
      () => performance.now(),
      (seconds, isConfirmed) => this.#listener.onReadRound?.(seconds, isConfirmed),
    );
    this.#tickMs = options.tickMs;
    this.#mayVote = options.mayVote ?? (() => true);
    if (options.tickMs > 0) {
      this.#ticker = setInterval(() => {
        this.tick();
      }, options.tickMs);
    }
  }

  get leader(): NodeId {
    return this.#raw.leader;
  }

  get term(): Term {
    return this.#raw.term;
  }

  get isLeader(): boolean {
    return this.#raw.role === "leader";
  }

  get committed(): Index {
    return this.#raw.committed;
  }

  get applied(): Index {
    return this.#appliedIndex;
  }

  /** Term of a committed entry; 0 when it is not committed, or compacted. */
  committedTerm(index: Index): Term {
    return this.#raw.committedTerm(index);
  }

  /** What this member answers for: see peer-lives.ts. */
  get position(): Position {
    const { term, index } = this.#acknowledged;
    if (!this.isLeader || this.#raw.term !== term) return this.#acknowledged;
    return { term, index: Math.max(index, this.#raw.stableIndex) };
  }

  /** The last entry that is durable here. */
  get stableEnd(): LogEnd {
    return this.#raw.stableEnd;
  }

  /** As leader: what that member has acknowledged in this term, if anything. */
  acknowledgedBy(id: NodeId): Position | undefined {
    if (!this.isLeader) return undefined;
    const { term, progress } = this.#raw.status();
    const index = progress.get(id)?.match ?? 0;
    return index === 0 ? undefined : { term, index };
  }

  /** Confirmed reads wait as long as this holds: something may be wrong with the local state. */
  holdReads(isHeld: boolean): void {
    this.#holdsReads = isHeld;
    if (!this.#closed) this.#confirmReads([]);
  }

  status(): Status {
    return this.#raw.status();
  }

  /** Queues one proposal for this turn's batch; waits here while there is no leader. */
  propose(data: Uint8Array): void {
    this.#proposals.push(data);
    this.#schedule();
  }

  /** Queues proposals that were lost with an earlier leader, except those that wait here still. */
  proposeAgain(lost: readonly Uint8Array[]): void {
    const queued = new Set(this.#proposals);
    for (const data of lost) if (!queued.has(data)) this.#proposals.push(data);
    this.#schedule();
  }

  /** The term whose leader proposals are handed to; 0 before the first leader is known. */
  get proposalTerm(): Term {
    return this.#proposalTerm;
  }

  /** Takes back a proposal that waits for a leader; false when raft has it already. */
  withdraw(data: Uint8Array): boolean {
    const at = this.#proposals.indexOf(data);
    if (at >= 0) this.#proposals.splice(at, 1);
    return at >= 0;
  }

  proposeConfChange(data: Uint8Array): void {
    this.#confChanges.push(data);
    this.#schedule();
  }

  /** Calls back once a local read is linearizable. Reads share rounds; see read-rounds.ts. */
  readIndex(callback: ReadCallback): void {
    this.#reads.add(callback);
    this.#schedule();
  }

  /** Nobody waits for this read any more: it will not be called back. */
  abandonRead(callback: ReadCallback): void {
    this.#reads.abandon(callback);
  }

  /** Uses up the votes of `term` and of those before it: see RawNode. */
  renounceVotes(term: Term): void {
    this.#raw.renounceVotes(term);
    this.#schedule();
  }

  /** True when it is durable that this member gives no vote in `term` any more, nor before it. */
  hasRenouncedVotes(term: Term): boolean {
    return this.#raw.hasRenouncedVotes(term);
  }

  transferLeader(to: NodeId): void {
    this.#guard(() => {
      this.#raw.transferLeader(to);
    });
  }

  campaign(): void {
    this.#guard(() => {
      this.#raw.campaign();
    });
  }

  /** Stands within a few ticks, unless a leader is heard before: see RaftState. */
  campaignSoon(): void {
    this.#raw.campaignSoon();
  }

  step(messages: readonly Message[]): void {
    if (this.#closed) return;
    if (this.#held !== undefined) {
      this.#held.push(...messages);
      return;
    }
    this.#guard(() => {
      for (const message of messages) this.#stepForeign(message);
    });
  }

  /**
   * Gives the core something to do. A broken invariant ends the member, whoever called: a caller, such
   * as a transfer that reports its end, may take an error for one of its own.
   */
  #guard(work: () => void): void {
    if (this.#failed) return;
    try {
      work();
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#schedule();
  }

  /** A snapshot comes with its data, through snapshotInstalled(), or not at all. */
  #stepForeign(message: Message): void {
    if (isAboutVotes(message) && !this.#mayVote(message)) return;
    if (message.type === "snapshot") {
      this.#listener.onRefused?.(message, "a snapshot without data");
    } else if (!this.#refuses(message)) this.#raw.step(message);
  }

  #refuses(message: Message): boolean {
    const reason = this.#raw.validateMessage(message);
    if (reason === undefined) return false;
    this.#listener.onRefused?.(message, reason, this.#raw.contradictedBy(message));
    return true;
  }

  connectionLost(id: NodeId): void {
    if (this.#closed) return;
    this.#guard(() => {
      this.#raw.connectionLost(id);
    });
  }

  reportUnreachable(id: NodeId): void {
    if (this.#closed) return;
    this.#guard(() => {
      this.#raw.reportUnreachable(id);
    });
  }

  reportSnapshot(id: NodeId, ok: boolean): void {
    if (this.#closed) return;
    this.#guard(() => {
      this.#raw.reportSnapshot(id, ok);
    });
  }

  /** One unit of logical time. */
  tick(): void {
    if (this.#closed || this.#held !== undefined) return;
    this.#ticks += 1;
    this.#ticked = true;
    this.#guard(() => {
      this.#raw.tick();
      this.#reads.retry(this.#ticks);
      this.#saveCommit();
    });
  }

  /**
   * Runs `work` while the loop stands still: no append, apply, message or tick in between. For work
   * that replaces the state machine under the loop (snapshot install, compaction).
   */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    while (this.#busy) await new Promise<void>((resolve) => this.#idle.push(resolve));
    if (this.#closed) throw new RaftError("stopped", "the raft node is closed");
    this.#busy = true;
    this.#held = [];
    try {
      return await work();
    } finally {
      const held = this.#held;
      this.#held = undefined;
      this.step(held);
      this.#release();
    }
  }

  /** Asked within exclusively(), before the state machine is replaced: would it help? */
  wantsSnapshot(message: SnapshotMessage): boolean {
    return !this.#refuses(message) && this.#raw.wantsSnapshot(message);
  }

  /** Installs a snapshot whose data the state machine holds already, within exclusively(). */
  snapshotInstalled(message: SnapshotMessage): void {
    this.#appliedIndex = Math.max(this.#appliedIndex, message.snapshot.index);
    this.#raw.step(message);
  }

  /** Stops ticking and taking work; waits for a write in flight. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#ticker);
    while (this.#busy && !this.#failed) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    if (this.#unsavedHardState !== undefined && !this.#failed) {
      await this.#log.save([], this.#unsavedHardState, false);
      this.#unsavedHardState = undefined;
    }
    const stopped = new RaftError("stopped", "the raft node is closed");
    this.#reads.end(stopped);
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#run();
    });
  }

  #release(): void {
    this.#busy = false;
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
    // A waiter may take the loop in a later microtask; the loop itself goes on in a later turn.
    if (!this.#failed) this.#schedule();
  }

  #run(): void {
    if (this.#busy || this.#closed) return;
    try {
      this.#feed();
      while (this.#raw.hasReady()) {
        const ready = this.#raw.ready();
        this.#transportSend(ready.messages);
        const saved = this.#persist(ready);
        if (saved !== undefined) {
          this.#finishLater(ready, saved);
          return;
        }
        this.#finish(ready);
        this.#feed();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #finishLater(ready: Ready, saved: Promise<void>): void {
    this.#busy = true;
    saved.then(
      () => {
        try {
          this.#finish(ready);
        } catch (error) {
          this.#fail(error);
        }
        this.#release();
      },
      (error: unknown) => {
        this.#fail(error);
        this.#release();
      },
    );
  }

  /** Hands queued work to the core. */
  #feed(): void {
    if (this.#raw.leader === "" && this.#raw.role !== "leader") return;
    if (this.#raw.term !== this.#proposalTerm) this.#newProposalTerm();
    if (this.#proposals.length > 0) {
      const batch = this.#proposals;
      this.#proposals = [];
      this.#offerBatch(batch);
    }
    if (this.#confChanges.length > 0) {
      const changes = this.#confChanges;
      this.#confChanges = [];
      for (const change of changes) {
        this.#offer(
          () => {
            this.#raw.proposeConfChange(change);
          },
          (error) => {
            this.#listener.onDropped(change, error);
          },
        );
      }
    }
    const context = this.#reads.begin(this.#ticks);
    if (context !== undefined) this.#raw.readIndex(context);
  }

  /** Another leader: it knows nothing of the reads its predecessor was asked to confirm. */
  #newProposalTerm(): void {
    this.#proposalTerm = this.#raw.term;
    this.#listener.onProposalTerm?.(this.#proposalTerm, this.#proposals);
    this.#reads.giveUpRound();
  }

  #offerBatch(batch: Uint8Array[]): void {
    this.#offer(
      () => {
        this.#raw.propose(batch);
      },
      (error) => {
        // Another leader is about to take them, or this one again when the transfer has failed.
        if (this.#raw.status().transferee !== "") this.#proposals = [...batch, ...this.#proposals];
        else for (const data of batch) this.#listener.onDropped(data, error);
      },
    );
  }

  #offer(propose: () => void, onDropped: (reason: RaftError) => void): void {
    try {
      propose();
    } catch (error) {
      if (!(error instanceof RaftError) || error.code !== "proposalDropped") throw error;
      onDropped(error);
    }
  }

  /** @returns a promise only when the disk takes its time. */
  #persist(ready: Ready): void | Promise<void> {
    const hardState = ready.hardState ?? this.#unsavedHardState;
    if (ready.snapshot !== undefined) {
      this.#unsavedHardState = undefined;
      return this.#persistSnapshot(ready, ready.snapshot, hardState);
    }
    if (ready.entries.length === 0 && !ready.mustSync) {
      this.#unsavedHardState = hardState;
      return;
    }
    this.#unsavedHardState = undefined;
    return this.#log.save(ready.entries, hardState, ready.mustSync);
  }

  async #persistSnapshot(
    ready: Ready,
    snapshot: SnapshotMetadata,
    hardState: HardState | undefined,
  ): Promise<void> {
    await this.#log.installSnapshot(snapshot);
    await this.#log.save(ready.entries, hardState, true);
  }

  #finish(ready: Ready): void {
    this.#noteAcknowledged(ready);
    this.#transportSend(ready.messagesAfterPersist);
    if (ready.softState !== undefined) this.#listener.onSoftState(ready.softState);
    if (ready.committedEntries.length > 0) {
      this.#stateMachine.apply(ready.committedEntries, {
        accept: (change) => this.#raw.applyConfChange(change),
        reject: () => {
          this.#raw.rejectConfChange();
        },
      });
      const last = ready.committedEntries.at(-1);
      if (last !== undefined) this.#appliedIndex = last.index;
    }
    this.#confirmReads(ready.readStates);
    this.#raw.advance(ready);
  }

  /** Everything up to this Ready is durable, and its promises are about to leave. */
  #noteAcknowledged({ hardState, messagesAfterPersist }: Ready): void {
    if (hardState !== undefined && hardState.term > this.#acknowledged.term) {
      this.#acknowledged = { term: hardState.term, index: 0 };
    }
    for (const message of messagesAfterPersist) {
      if (message.type !== "appendResponse" || message.reject) continue;
      const { term, index } = message;
      const isNews = term === this.#acknowledged.term && index > this.#acknowledged.index;
      if (isNews) this.#acknowledged = { term, index };
    }
  }

  /** Called with the first messages after a tick: a leader of others has heartbeats among them. */
  #heartbeatsSent(): void {
    this.#ticked = false;
    const now = performance.now();
    const before = this.#heartbeatAt;
    this.#heartbeatAt = this.isLeader ? now : undefined;
    if (before === undefined || !this.isLeader || this.#tickMs === 0) return;
    const intervalMs = now - before;
    if (intervalMs > LATE_HEARTBEAT_TICKS * this.#tickMs) {
      this.#listener.onLateHeartbeat?.(intervalMs);
    }
  }

  #transportSend(messages: readonly Message[]): void {
    if (messages.length === 0) return;
    if (messages.some((message) => isAboutVotes(message) && !this.#mayVote(message))) {
      messages = messages.filter((message) => !isAboutVotes(message) || this.#mayVote(message));
    }
    if (this.#ticked) this.#heartbeatsSent();
    // A snapshot message names the state that is streamed, which is the one applied right now.
    const fresh = messages.some((message) => message.type === "snapshot")
      ? messages.map((message) =>
          message.type === "snapshot"
            ? { ...message, snapshot: this.#stateMachine.snapshot() }
            : message,
        )
      : messages;
    this.#transport.send(fresh);
  }

  #confirmReads(readStates: readonly ReadState[]): void {
    this.#reads.confirm(readStates);
    if (!this.#holdsReads) this.#reads.answer(this.#appliedIndex);
  }

  /** Writes a change of commit that no entries have taken along since the last tick. */
  #saveCommit(): void {
    if (this.#unsavedHardState === undefined || this.#busy || this.#failed) return;
    const hardState = this.#unsavedHardState;
    this.#unsavedHardState = undefined;
    try {
      this.#log.save([], hardState, false)?.catch((error: unknown) => {
        this.#fail(error);
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(cause: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#closed = true;
    clearInterval(this.#ticker);
    const error = cause instanceof Error ? cause : new FatalError(String(cause));
    this.#listener.onFatal(error);
  }
}

/** What elects somebody: its loss costs an election at most. */
function isAboutVotes({ type }: Message): boolean {
  return (
    type === "vote" ||
    type === "voteResponse" ||
    type === "preVote" ||
    type === "preVoteResponse" ||
    type === "timeoutNow"
  );
}
