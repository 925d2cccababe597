/**
 * The vocabulary of the raft core: plain data that goes in and out of it.
 *
 * Owns the record types and nothing else. Knows neither protobuf (see src/codec), nor disks,
 * nor sockets, nor clocks. Messages are named as in the Raft paper and the Raft thesis.
 */

/** Election epoch, from 1; 0 means "none yet". A safe integer. */
export type Term = number;

/** Log position, from 1; 0 means "before the first entry". A safe integer. */
export type Index = number;

/** A member id: 16 lower-case hexadecimal digits. "" means "nobody". */
export type NodeId = string;

/** Nobody: no leader known, no vote cast. */
export const NOBODY: NodeId = "";

/** Data for the state machine, or a change of the membership. */
export type EntryType = "normal" | "confChange";

/** One log record. `data` is opaque to raft; empty data in a normal entry is a leader's no-op. */
export interface Entry {
  readonly term: Term;
  readonly index: Index;
  readonly type: EntryType;
  readonly data: Uint8Array;
}

/** What must be durable before a member answers (Raft paper, figure 2). */
export interface HardState {
  readonly term: Term;
  /** The candidate voted for in `term`, or NOBODY. */
  readonly vote: NodeId;
  /** Highest index known committed. May lag on disk; never beyond the last durable entry. */
  readonly commit: Index;
}

/**
 * What a member is in its term (paper §5.1); a pre-candidate asks whether it could win an election.
 */
export type Role = "follower" | "preCandidate" | "candidate" | "leader";

/** Volatile facts worth telling the host: who leads, and what this node is. */
export interface SoftState {
  readonly leader: NodeId;
  readonly role: Role;
}

/** Membership as replicated. `votersOutgoing` is non-empty only in a joint configuration. */
export interface ConfState {
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  /** Voters of the outgoing half that become learners when the joint configuration is left. */
  readonly learnersNext: readonly NodeId[];
  /** Leave the joint configuration without being asked as soon as it is applied. */
  readonly autoLeave: boolean;
}

/** The membership of a log that nobody has been made a member of yet. */
export const EMPTY_CONF_STATE: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

/** One step of a change of the membership. */
export interface ConfChangeSingle {
  /** "update" changes nothing in raft; it carries new member data in the context. */
  readonly type: "addVoter" | "addLearner" | "remove" | "update";
  readonly nodeId: NodeId;
}

/** Decoded data of a conf change entry. No changes means: leave the joint configuration. */
export interface ConfChange {
  readonly transition: "auto" | "jointImplicit" | "jointExplicit";
  readonly changes: readonly ConfChangeSingle[];
  /** Opaque to raft: the member record that goes with the change. */
  readonly context: Uint8Array;
}

/** Where a snapshot of the state machine stands. The data itself never passes the core. */
export interface SnapshotMetadata {
  readonly index: Index;
  readonly term: Term;
  readonly confState: ConfState;
}

interface MessageBase {
  readonly to: NodeId;
  readonly from: NodeId;
  /** The sender's term. For pre-votes the term it would campaign in. 0 only in forwarded
   * read-index requests. */
  readonly term: Term;
}

/** AppendEntries (paper §5.3). */
export interface AppendMessage extends MessageBase {
  readonly type: "append";
  /** Index and term of the entry just before `entries`. */
  readonly prevIndex: Index;
  readonly prevTerm: Term;
  readonly entries: readonly Entry[];
  readonly commit: Index;
}

/** The answer to an append; also tells of a snapshot that was taken over. */
export interface AppendResponseMessage extends MessageBase {
  readonly type: "appendResponse";
  /** Accepted: last index now matching. Rejected: the prevIndex that was refused. */
  readonly index: Index;
  readonly reject: boolean;
  /** Rejected: the follower's best guess at a matching index, and the term it has there. */
  readonly rejectHint: Index;
  readonly rejectTerm: Term;
}

/** A leader's sign of life; never carries entries. */
export interface HeartbeatMessage extends MessageBase {
  readonly type: "heartbeat";
  /** min(leader's commit, follower's match). */
  readonly commit: Index;
  /** Id of the newest pending read-index round, or "". */
  readonly context: string;
}

/** The answer to a heartbeat, with its read-index round. */
export interface HeartbeatResponseMessage extends MessageBase {
  readonly type: "heartbeatResponse";
  readonly context: string;
}

/** RequestVote (paper §5.2, §5.4) and the pre-vote (thesis §9.6). */
export interface VoteMessage extends MessageBase {
  readonly type: "vote" | "preVote";
  readonly lastIndex: Index;
  readonly lastTerm: Term;
  /** Set by a leader transfer: voters ignore the lease (thesis §4.2.3). */
  readonly force: boolean;
}

/** A vote, or its refusal. */
export interface VoteResponseMessage extends MessageBase {
  readonly type: "voteResponse" | "preVoteResponse";
  readonly reject: boolean;
}

/** InstallSnapshot (paper §7): announces metadata; the host streams the data beside it. */
export interface SnapshotMessage extends MessageBase {
  readonly type: "snapshot";
  readonly snapshot: SnapshotMetadata;
}

/** A follower forwards a linearizable read to its leader (thesis §6.4). */
export interface ReadIndexMessage extends MessageBase {
  readonly type: "readIndex";
  readonly context: string;
}

/** The leader still leads: reads are linearizable once `index` is applied. */
export interface ReadIndexResponseMessage extends MessageBase {
  readonly type: "readIndexResponse";
  readonly context: string;
  readonly index: Index;
}

/** A follower forwards proposals to its leader. Entries carry type and data; index and term 0. */
export interface ProposeMessage extends MessageBase {
  readonly type: "propose";
  readonly entries: readonly Entry[];
  /** Which entries are traced, in the words of whoever traces; raft never looks at it. */
  readonly trace?: Uint8Array;
}

/** A follower forwards a request for a leader transfer. */
export interface TransferLeaderMessage extends MessageBase {
  readonly type: "transferLeader";
  readonly transferee: NodeId;
}

/** The leader tells the transferee to campaign at once (thesis §3.10). */
export interface TimeoutNowMessage extends MessageBase {
  readonly type: "timeoutNow";
}

/** Everything that members say to each other. */
export type Message =
  | AppendMessage
  | AppendResponseMessage
  | HeartbeatMessage
  | HeartbeatResponseMessage
  | VoteMessage
  | VoteResponseMessage
  | SnapshotMessage
  | ReadIndexMessage
  | ReadIndexResponseMessage
  | ProposeMessage
  | TransferLeaderMessage
  | TimeoutNowMessage;

/** Source of randomness handed to the core; the simulator seeds it. Returns [0, 1). */
export type Random = () => number;

/** A linearizable read may be served once the state machine has applied `index`. */
export interface ReadState {
  readonly context: string;
  readonly index: Index;
}
