/**
 * Follows sampled requests through one member: from the proposal over the sync of the log and the
 * commit to the store, and reads through their confirmation. Many requests share a batch; each
 * gets spans of its own with the batch's times. A proposal that is forwarded says so to the
 * leader, whose spans then join the trace.
 *
 * Entries are found by their very bytes until they have a place in the log, and by their place
 * from then on. It changes nothing of what passes through it, and knows neither HTTP nor where
 * spans go.
 */
import type { TracedSpan } from "./traced-span.ts";
import type { RequestTrace } from "@etcd2/api-v2";
import type { DurableLog, Entry, Message, NodeId, Transport, TransportListener } from "@etcd2/raft";
import type { Applied, RunEntry } from "../consensus/applier.ts";
import type { Settle } from "../consensus/proposals.ts";
import type { ReadDone } from "../consensus/pending-reads.ts";
import type { Followed } from "./followed-table.ts";
import { FollowedTable } from "./followed-table.ts";
import type { MemberTracing, TracedNode } from "../consensus/tracing-port.ts";
import { RequestSpan } from "./request-spans.ts";
import type { SpanParent, SpanSource } from "./span-source.ts";
import { attribute, clockOffset, remoteCaller, within } from "./span-source.ts";
import { decodeTracedEntries, encodeTracedEntries } from "./trace-parent.ts";
import type { TracedEntry } from "./trace-parent.ts";

/** Entries of other members that are followed at one time; the oldest make way. */
const FOREIGN_MAX = 2000;

/** One of them that came to nothing in this time is given up: its proposal was lost. */
const FOREIGN_AGE_MS_MAX = 30_000;

type ProposeMessage = Extract<Message, { type: "propose" }>;

export class MemberTracer implements MemberTracing {
  readonly #spans: SpanSource;
  readonly #memberId: NodeId;
  /** All; those this member appended as a leader have their places. */
  readonly #followed = new FollowedTable();
  /** Those proposed by other members, oldest first, those that are over included. */
  #foreign: Followed[] = [];
  #foreignCount = 0;
  #node: (() => TracedNode) | undefined;

  constructor(spans: SpanSource, memberId: NodeId) {
    this.#spans = spans;
    this.#memberId = memberId;
  }

  /** Writes that are followed at this moment. */
  get followed(): number {
    return this.#followed.size;
  }

  proposed(trace: RequestTrace, data: Uint8Array, settle: Settle<Applied>): Settle<Applied> {
    if (!(trace instanceof RequestSpan)) return settle;
    const { offsetMs } = trace.below;
    const now = this.#spans.now();
    const span = this.#spans.begin("raft.propose", trace.below, now, {
      [attribute.memberId]: this.#memberId,
    });
    const followed = this.#follow(data, within(span, offsetMs), span);
    return (result) => {
      this.#forget(followed);
      if (result instanceof Error) {
        span.setAttribute(attribute.errorCode, result.code);
        // Others are the answers of the store, to what was duly agreed on.
        if (result.code >= 300 && result.code < 400) span.fail(result.cause);
      } else {
        span.setAttribute(attribute.raftIndex, result.raftIndex);
        span.setAttribute(attribute.raftTerm, result.raftTerm);
      }
      span.end(offsetMs + this.#spans.now());
      settle(result);
    };
  }

  reading(trace: RequestTrace, done: ReadDone): ReadDone {
    if (!(trace instanceof RequestSpan)) return done;
    const { offsetMs } = trace.below;
    const span = this.#spans.begin("raft.read_index", trace.below, this.#spans.now(), {
      [attribute.memberId]: this.#memberId,
    });
    return (error) => {
      if (error !== undefined) span.fail(error.cause);
      span.end(offsetMs + this.#spans.now());
      done(error);
    };
  }

  aroundLog(log: DurableLog): DurableLog {
    return {
      save: (entries, hardState, mustSync) => {
        // The own sync may have completed a quorum since.
        this.#noteCommits("");
        const found = this.#followed.size === 0 ? [] : this.#appended(entries);
        if (found.length === 0) return log.save(entries, hardState, mustSync);
        const saved = log.save(entries, hardState, mustSync);
        if (saved === undefined) this.#synced(found, entries.length);
        else {
          return saved.then(() => {
            this.#synced(found, entries.length);
          });
        }
        return undefined;
      },
      installSnapshot: (snapshot) => log.installSnapshot(snapshot),
    };
  }

  aroundTransport(transport: Transport): Transport {
    return {
      send: (messages) => {
        transport.send(this.#followed.size === 0 ? messages : messages.map((m) => this.#marked(m)));
      },
      addPeer: (peer) => {
        transport.addPeer(peer);
      },
      removePeer: (id) => {
        transport.removePeer(id);
      },
      updatePeer: (peer) => {
        transport.updatePeer(peer);
      },
      activeSince: (id) => transport.activeSince(id),
      close: () => transport.close(),
    };
  }

  aroundListener(listener: TransportListener, node: () => TracedNode): TransportListener {
    this.#node = node;
    return {
      onMessages: (messages) => {
        for (const message of messages) if (message.type === "propose") this.#join(message);
        this.#noteCommits("");
        listener.onMessages(messages);
        // All of them are from one member.
        this.#noteCommits(messages[0]?.from ?? "");
      },
      onUnreachable: (id) => {
        listener.onUnreachable(id);
      },
      onConnectionLost: (id) => {
        listener.onConnectionLost(id);
      },
      onSnapshotSent: (id, ok) => {
        listener.onSnapshotSent(id, ok);
      },
      openSnapshotSink: (message) => listener.openSnapshotSink(message),
      openSnapshotSource: (message) => listener.openSnapshotSource(message),
      onRemoved: (reason) => {
        listener.onRemoved(reason);
      },
      onDisowned: (reason) => {
        listener.onDisowned(reason);
      },
    };
  }

  runApplied(run: readonly RunEntry[], startedAt: number, endedAt: number): void {
    if (this.#followed.size === 0) return;
    for (const { index, term, pending } of run) {
      const placed = this.#followed.at(index);
      const isPlaced = placed?.term === term;
      const own = pending === undefined ? undefined : this.#followed.byData(pending.data);
      const followed = isPlaced ? placed : own;
      if (followed === undefined) continue;
      if (isPlaced) this.#replicated(followed, startedAt);
      const times = { startMs: startedAt, endMs: endedAt };
      this.#spans.record("store.apply", followed.below, times, {
        [attribute.memberId]: this.#memberId,
        [attribute.raftIndex]: index,
        [attribute.batchEntries]: run.length,
      });
      // The propose span of this member's own ends with the outcome, right after.
      if (followed.span === undefined) this.#forget(followed);
    }
    this.#evict();
  }

  #follow(data: Uint8Array, below: SpanParent, span: TracedSpan | undefined): Followed {
    const followed: Followed = {
      data,
      below,
      span,
      sinceMs: this.#spans.now(),
      index: 0,
      term: 0,
      appendedMs: 0,
      committedMs: 0,
      quorumMember: "",
      isOver: false,
      next: undefined,
    };
    this.#followed.add(followed);
    return followed;
  }

  #forget(followed: Followed): void {
    if (followed.isOver) return;
    this.#followed.remove(followed);
    if (followed.span === undefined) this.#foreignCount -= 1;
  }

  /** Traced entries that get their place in the log: this member leads, they are its own copies. */
  #appended(entries: readonly Entry[]): readonly Followed[] {
    const found: Followed[] = [];
    const now = this.#spans.now();
    for (const { data, index, term } of entries) {
      const followed = this.#followed.byData(data);
      if (followed === undefined) continue;
      this.#followed.place(followed, index, term);
      followed.appendedMs = now;
      followed.committedMs = 0;
      followed.span?.addEvent("appended", followed.below.offsetMs + now);
      found.push(followed);
    }
    return found;
  }

  #synced(batch: readonly Followed[], entries: number): void {
    const endMs = this.#spans.now();
    for (const { below, appendedMs, index } of batch) {
      this.#spans.record(
        "wal.fsync",
        below,
        { startMs: appendedMs, endMs },
        {
          [attribute.memberId]: this.#memberId,
          [attribute.raftIndex]: index,
          [attribute.batchEntries]: entries,
        },
      );
    }
  }

  /** What is committed by now; `from` is the member whose messages made it so. */
  #noteCommits(from: NodeId): void {
    if (this.#followed.size === 0 || this.#node === undefined) return;
    const now = this.#spans.now();
    for (const followed of this.#followed.commit(this.#node().committed)) {
      followed.committedMs = now;
      followed.quorumMember = from;
    }
  }

  #replicated(followed: Followed, appliedAt: number): void {
    const { below, appendedMs, committedMs, quorumMember, index, term } = followed;
    // A lone member is its own quorum: nobody's answer told of the commit.
    const times = { startMs: appendedMs, endMs: committedMs > 0 ? committedMs : appliedAt };
    this.#spans.record("raft.replicate", below, times, {
      [attribute.memberId]: this.#memberId,
      [attribute.raftIndex]: index,
      [attribute.raftTerm]: term,
      ...(quorumMember === "" ? {} : { [attribute.quorumMember]: quorumMember }),
    });
  }

  /** A message as it is sent: proposals of this member that are traced say so. */
  #marked(message: Message): Message {
    if (message.type !== "propose" || message.trace !== undefined) return message;
    const traced: TracedEntry[] = [];
    for (const [position, { data }] of message.entries.entries()) {
      const followed = this.#followed.byData(data);
      if (followed?.span === undefined) continue;
      const { span } = followed;
      span.setAttribute(attribute.forwarded, true);
      span.setAttribute(attribute.leaderId, message.to);
      span.addEvent("forwarded", followed.below.offsetMs + this.#spans.now());
      const { traceId, spanId } = span.spanContext();
      traced.push({ position, traceId, spanId });
    }
    return traced.length === 0 ? message : { ...message, trace: encodeTracedEntries(traced) };
  }

  /** Proposals of another member: those that are traced are followed here as well. */
  #join({ trace, entries }: ProposeMessage): void {
    if (trace === undefined) return;
    for (const { position, traceId, spanId } of decodeTracedEntries(trace)) {
      const entry = entries[position];
      if (entry === undefined) continue;
      const below = { span: remoteCaller({ traceId, spanId }), offsetMs: clockOffset() };
      this.#foreign.push(this.#follow(entry.data, below, undefined));
      this.#foreignCount += 1;
      this.#evict();
    }
  }

  #evict(): void {
    if (this.#foreign.length === 0) return;
    const oldest = this.#spans.now() - FOREIGN_AGE_MS_MAX;
    let gone = 0;
    for (const followed of this.#foreign) {
      const isDue = this.#foreignCount > FOREIGN_MAX || followed.sinceMs < oldest;
      if (!followed.isOver && !isDue) break;
      this.#forget(followed);
      gone += 1;
    }
    if (gone > 0) this.#foreign = this.#foreign.slice(gone);
  }
}
