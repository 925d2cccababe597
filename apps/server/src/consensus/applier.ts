/**
 * Applies committed entries to the state machine: decodes what other members proposed, keeps runs
 * of ordinary entries together as one store batch, decides conf changes, and tells waiting
 * requests their outcome. Knows nothing of how entries were agreed on.
 */
import { decodeMemberChange, confStateRow } from "@etcd2/member-dir";
import { decodeConfChange, EMPTY_CONF_STATE, LEAVE_JOINT } from "@etcd2/raft";
import type { ConfChange, ConfChangeDecider, ConfState, Entry } from "@etcd2/raft";
import { decodeCommand, EtcdError } from "@etcd2/store";
import type { AppliedEntry, Command, StoreEvent } from "@etcd2/store";
import type { Cluster } from "../cluster/cluster.ts";
import type { MemberStorage } from "../storage/member-storage.ts";
import type { HashPoints } from "./hash-points.ts";
import type { Pending, ProposalTable } from "./proposals.ts";

/** What a request learns when its entry has been applied. */
export interface Applied {
  /** undefined for commands without one event of their own (expire, cluster version). */
  readonly event: StoreEvent | undefined;
  readonly raftIndex: number;
  readonly raftTerm: number;
}

export interface ApplierListener {
  /** A conf change took effect, or was refused for the reason given. */
  onConfChange(change: ConfChange, requestId: string, refusal: string | undefined): void;
  onClusterVersion(): void;
  /** Something at or below /2 may have changed. */
  onAuthWritten(): void;
  /** The first entry of this term was applied, and whatever the log has of earlier terms. */
  onTermApplied(term: number): void;
  onApplied(entries: number): void;
  /** A run of entries was written to the store. */
  onBatch(seconds: number, entries: number): void;
  /** As onBatch, for who wants to know what was in it; monotonic milliseconds. */
  readonly onRunApplied?: (run: readonly RunEntry[], startedAt: number, endedAt: number) => void;
  /** A proposal of this member has its outcome. */
  onProposalApplied(seconds: number): void;
}

/** One entry of a run, and whoever waits for it at this member. */
export interface RunEntry extends AppliedEntry {
  readonly pending: Pending<Applied> | undefined;
}

export class Applier {
  readonly #storage: MemberStorage;
  readonly #cluster: Cluster;
  readonly #proposals: ProposalTable<Applied>;
  readonly #listener: ApplierListener;
  readonly #hashPoints: HashPoints;
  /** Highest term applied by this process. */
  #term = 0;

  constructor(
    storage: MemberStorage,
    cluster: Cluster,
    proposals: ProposalTable<Applied>,
    listener: ApplierListener,
    hashPoints: HashPoints,
  ) {
    this.#storage = storage;
    this.#cluster = cluster;
    this.#proposals = proposals;
    this.#listener = listener;
    this.#hashPoints = hashPoints;
  }

  apply(entries: readonly Entry[], confChanges: ConfChangeDecider): void {
    let run: RunEntry[] = [];
    for (const entry of entries) {
      if (entry.type === "confChange") {
        this.#applyRun(run);
        run = [];
        this.#applyConfChange(entry, confChanges);
      } else {
        run.push(this.#decode(entry));
      }
      if (entry.index === this.#hashPoints.next) {
        this.#applyRun(run);
        run = [];
        this.#hashPoints.reached(entry.index);
      }
    }
    this.#applyRun(run);
    const term = entries.at(-1)?.term ?? 0;
    if (term > this.#term) {
      this.#term = term;
      this.#listener.onTermApplied(term);
    }
    this.#listener.onApplied(entries.length);
  }

  #decode(entry: Entry): RunEntry {
    const { index, term, data } = entry;
    if (data.length === 0) return { index, term, command: undefined, pending: undefined };
    const pending = this.#proposals.byData(data);
    const command = pending?.command ?? decodeCommand(data).command;
    return { index, term, command, pending };
  }

  #applyRun(run: readonly RunEntry[]): void {
    if (run.length === 0) return;
    const startedAt = performance.now();
    // The watcher hub tells nobody before this turn is over: those who wrote have their outcome first.
    const outcomes = this.#storage.machine.apply(run);
    const endedAt = performance.now();
    this.#listener.onBatch((endedAt - startedAt) / 1000, run.length);
    this.#listener.onRunApplied?.(run, startedAt, endedAt);
    let touchesCluster = false;
    for (let at = 0; at < run.length; at += 1) {
      const entry = run[at];
      if (entry === undefined) continue;
      touchesCluster ||= concernsCluster(entry.command);
      if (concernsAuth(entry.command)) this.#listener.onAuthWritten();
      if (entry.pending === undefined) continue;
      const outcome = outcomes[at];
      this.#listener.onProposalApplied((endedAt - entry.pending.startedAt) / 1000);
      this.#proposals.settle(
        entry.pending,
        outcome instanceof EtcdError
          ? outcome
          : { event: outcome, raftIndex: entry.index, raftTerm: entry.term },
      );
    }
    if (touchesCluster) {
      this.#cluster.reload();
      if (run.some((entry) => entry.command?.action === "clusterVersion")) {
        this.#listener.onClusterVersion();
      }
    }
  }

  /** Raft cannot be without voters: the last one to go leaves the store, and soon the process. */
  #decide(change: ConfChange, decider: ConfChangeDecider): ConfState {
    const [only, ...others] = this.#storage.confState.voters;
    const [single] = change.changes;
    const isLast = others.length === 0 && single?.type === "remove" && single.nodeId === only;
    if (!isLast) return decider.accept(change);
    decider.reject();
    return EMPTY_CONF_STATE;
  }

  #applyConfChange(entry: Entry, decider: ConfChangeDecider): void {
    const { index, term } = entry;
    // Raft itself appends the entry that leaves a joint configuration, without data.
    const change = entry.data.length === 0 ? LEAVE_JOINT : decodeConfChange(entry.data);
    const record = decodeMemberChange(change.context);
    const refusal =
      index <= this.#storage.machine.appliedIndex
        ? undefined
        : this.#cluster.refusal(change, record?.member);
    const id =
      record === undefined ? "" : `${record.requestId.session}-${record.requestId.sequence}`;
    if (refusal !== undefined) {
      decider.reject();
      this.#storage.machine.apply([{ index, term, command: undefined }]);
      this.#listener.onConfChange(change, id, refusal);
      return;
    }
    const writes = this.#cluster.writes(change, record?.member);
    const confState = this.#decide(change, decider);
    this.#storage.machine.apply(
      [{ index, term, command: { action: "group", writes } }],
      new Map([confStateRow(confState)]),
    );
    this.#cluster.reload();
    this.#listener.onConfChange(change, id, undefined);
  }
}

/** The command may change what lies at or below /2. */
function concernsAuth(command: Command | undefined): boolean {
  return command !== undefined && "path" in command && command.path.startsWith("/2");
}

/** The command may change what lies below /0. */
function concernsCluster(command: Command | undefined): boolean {
  if (command === undefined) return false;
  if (command.action === "clusterVersion") return true;
  return "path" in command && command.path.startsWith("/0/");
}
