/** Commands as the program handles them: the decoded form of etcd.v2.Command. */
import type { ByteString } from "./byte-string.ts";

/** What may be done to a node. The names are the actions of the v2 API, POST being createInOrder. */
export type WriteAction =
  "set" | "create" | "createInOrder" | "update" | "compareAndSwap" | "delete" | "compareAndDelete";

/** One write of the API, with its conditions. */
export interface WriteCommand {
  readonly action: WriteAction;
  /** Store path with namespace: "/1/foo". Never ends in "/"; "/1" is the clients' root. */
  readonly path: ByteString;
  readonly value: ByteString;
  readonly dir: boolean;
  readonly recursive: boolean;
  /** "" means no condition. */
  readonly prevValue: ByteString;
  /** 0 means no condition. */
  readonly prevIndex: number;
  readonly refresh: boolean;
  /** Unix milliseconds shown to clients; undefined is permanent. May be negative (overflow). */
  readonly expirationMs: number | undefined;
  /** Life left when proposed; with expirationMs only. */
  readonly ttlMs: number | undefined;
}

/** A write command with the fields that matter, all others at rest. */
export function writeCommand(
  fields: Pick<WriteCommand, "action" | "path"> & Partial<WriteCommand>,
): WriteCommand {
  return {
    value: "",
    dir: false,
    recursive: false,
    prevValue: "",
    prevIndex: 0,
    refresh: false,
    expirationMs: undefined,
    ttlMs: undefined,
    ...fields,
  };
}

/** A node whose life is over, as whoever found it saw it: it goes only if it is still so. */
export interface ExpiredNode {
  readonly path: ByteString;
  readonly modifiedIndex: number;
  readonly expirationMs: number;
}

/** A node that is alive, with the life it had left by the clock of the leader that says so. */
export interface LifeLeft extends ExpiredNode {
  /** Whole milliseconds, rounded up; 0 or more. */
  readonly leftMs: number;
}

/** Removes nodes whose life is over, each with an index and an event of its own. */
export interface ExpireCommand {
  readonly action: "expire";
  readonly expired: readonly ExpiredNode[];
  /** Lives that end no later than this: members that learned of a node late shorten its life. */
  readonly lives?: readonly LifeLeft[];
}

/** Stores the cluster version at /0/version, silently: no index, no event. */
export interface ClusterVersionCommand {
  readonly action: "clusterVersion";
  readonly value: ByteString;
}

/** What a conf change does to the store: several writes at one log entry. Never on the wire. */
export interface GroupCommand {
  readonly action: "group";
  readonly writes: readonly WriteCommand[];
}

/** What a log entry asks of the state machine. */
export type Command = WriteCommand | ExpireCommand | ClusterVersionCommand | GroupCommand;

/** Names a waiting proposer: a random number per process start, and a counter. */
export interface RequestId {
  readonly session: number;
  readonly sequence: number;
}
