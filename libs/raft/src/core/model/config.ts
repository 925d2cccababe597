/** Settings of the raft core, each with its trade-off; parseConfig checks them once. */
import type { LogStorage } from "./log-storage.ts";
import type { ConfChange, Entry, Index, NodeId, Random } from "./types.ts";
import { invariant } from "./invariant.ts";

/** The settings of the core, all filled in. Times are in ticks, sizes in bytes. */
export interface RaftConfig {
  readonly id: NodeId;
  /**
   * Ticks a follower waits without hearing from a leader before it campaigns; the real wait is
   * drawn from [electionTicks, 2 × electionTicks). Low: failover is fast but a stalled disk or
   * event loop unseats a healthy leader. High: the cluster stands still longer after a crash.
   */
  readonly electionTicks: number;
  /** Ticks between heartbeats. Must be well below electionTicks (a fifth or less). */
  readonly heartbeatTicks: number;
  readonly storage: LogStorage;
  /** Entries up to here are in the state machine already and are not handed out again. */
  readonly applied: Index;
  readonly random: Random;
  /**
   * Bytes of entry data in one append message. Low: slow catch-up. High: a lost message costs
   * much, and heartbeats queue behind it.
   */
  readonly messageBytesMax: number;
  /** Unacknowledged append messages per follower: the pipeline depth towards slow links. */
  readonly inflightMessagesMax: number;
  /** Unacknowledged entry bytes per follower. */
  readonly inflightBytesMax: number;
  /**
   * Bytes of proposals a leader holds uncommitted before it drops new ones; bounds memory when
   * the quorum is lost. One proposal is always let in.
   */
  readonly uncommittedBytesMax: number;
  /** Bytes of committed entries handed out in one Ready: bounds the time of one apply step. */
  readonly committedBytesMax: number;
  /** Leaders step down when a quorum is silent for an election timeout; voters honour the lease. */
  readonly checkQuorum: boolean;
  /** Ask whether an election could be won before it begins, so that a rejoining node cannot disturb (thesis §9.6). */
  readonly preVote: boolean;
  /**
   * "safe": a quorum round confirms each batch of reads. "lease": the leader answers from its
   * lease; one round cheaper, and wrong if clocks drift by more than the timeout.
   */
  readonly readOnly: "safe" | "lease";
  /**
   * Decodes the data of a conf change entry, so that a leader can refuse a change the present
   * configuration does not allow. Without it only the rule of one change at a time is enforced
   * when proposing, and the host must refuse impossible changes when they are committed.
   */
  readonly decodeConfChange?: (data: Uint8Array) => ConfChange;
  /**
   * Why an entry another member sent could never be applied; undefined when it can. Asked before
   * such an entry enters the log: there it would stop every member for good.
   */
  readonly validateEntry?: (entry: Entry) => string | undefined;
}

/** What a host must give, and what it may: defaults are those of parseConfig(). */
export type RaftOptions = Pick<RaftConfig, "id" | "storage" | "random"> & Partial<RaftConfig>;

/**
 * Fills defaults and checks ranges.
 * @throws InvariantError when a value makes no sense: configuration is the host's own code.
 */
export function parseConfig(options: RaftOptions): RaftConfig {
  const config: RaftConfig = {
    electionTicks: 10,
    heartbeatTicks: 1,
    applied: 0,
    messageBytesMax: 512 * 1024,
    inflightMessagesMax: 256,
    inflightBytesMax: 64 * 1024 * 1024,
    uncommittedBytesMax: 256 * 1024 * 1024,
    committedBytesMax: 8 * 1024 * 1024,
    checkQuorum: true,
    preVote: true,
    readOnly: "safe",
    ...options,
  };
  invariant(config.id !== "", "id must not be empty");
  invariant(config.heartbeatTicks > 0, "heartbeatTicks must be positive");
  invariant(config.electionTicks > config.heartbeatTicks, "electionTicks must exceed heartbeats");
  invariant(config.inflightMessagesMax > 0, "inflightMessagesMax must be positive");
  invariant(config.messageBytesMax > 0, "messageBytesMax must be positive");
  invariant(config.inflightBytesMax > 0, "inflightBytesMax must be positive");
  invariant(config.committedBytesMax > 0, "committedBytesMax must be positive");
  invariant(config.readOnly === "safe" || config.checkQuorum, "lease reads need checkQuorum");
  return config;
}
