/** Members in a given state and the messages others would send them: the start of most tests. */
import assert from "node:assert/strict";
import type {
  AppendMessage,
  AppendResponseMessage,
  HeartbeatMessage,
  Message,
  NodeId,
  SnapshotMessage,
  Term,
  VoteMessage,
  VoteResponseMessage,
} from "../../src/core/model/types.ts";
import { confState, Host, type HostOptions, logOf } from "./host.ts";

export const THREE = confState(["1", "2", "3"]);
export const FIVE = confState(["1", "2", "3", "4", "5"]);

type Options = Omit<HostOptions, "id">;

/** Member 1 of three, following member 2, in term 1 or that of its log. */
export function follower(options: Options = {}): Host {
  const host = new Host({ conf: THREE, ...options, id: "1" });
  host.feed(heartbeat(host, Math.max(1, host.raw.term)));
  return host;
}

/** Member 1 of three, standing for election in the term after its log's. */
export function candidate(options: Options = {}): Host {
  const host = new Host({ conf: THREE, ...options, preVote: false, id: "1" });
  host.raw.campaign();
  host.work();
  return host;
}

/** A candidate that has just been elected; nobody has its first entry. */
export function newLeader(options: Options = {}): Host {
  const host = candidate(options);
  for (const from of votersOf(host)) {
    if (host.raw.role === "candidate") host.step(voteResponse(host, from, true));
  }
  assert.equal(host.raw.role, "leader");
  return host;
}

/** A leader whose first entry everybody has. */
export function leader(options: Options = {}): Host {
  const host = newLeader(options);
  host.work();
  for (const from of votersOf(host)) host.feed(accepted(host, from, host.raw.lastIndex));
  return host;
}

/** The voters of both halves, without member 1. */
function votersOf({ conf }: Host): readonly NodeId[] {
  return [...new Set([...conf.voters, ...conf.votersOutgoing])].filter((id) => id !== "1");
}

export function heartbeat({ id, raw }: Host, term = raw.term, from = "2"): HeartbeatMessage {
  return { type: "heartbeat", from, to: id, term, commit: 0, context: "" };
}

export function accepted({ id, raw }: Host, from: NodeId, index: number): AppendResponseMessage {
  const { term } = raw;
  const hint = { rejectHint: 0, rejectTerm: 0 };
  return { type: "appendResponse", from, to: id, term, index, reject: false, ...hint };
}

/** An append from member 2 of everything after `prev` in the log that `terms` draws. */
export function append(
  { id, raw }: Host,
  terms: readonly Term[],
  prev: number,
  commit = 0,
): AppendMessage {
  return {
    type: "append",
    from: "2",
    to: id,
    term: Math.max(raw.term, ...terms),
    prevIndex: prev,
    prevTerm: terms[prev - 1] ?? 0,
    entries: logOf(terms).slice(prev),
    commit,
  };
}

/** A request by a candidate whose log ends with the last of `terms`. */
export function voteRequest(
  { id, raw }: Host,
  from: NodeId,
  terms: readonly Term[] = [],
  term = raw.term + 1,
): VoteMessage {
  const last = { lastIndex: terms.length, lastTerm: terms.at(-1) ?? 0 };
  return { type: "vote", from, to: id, term, ...last, force: false };
}

export function voteResponse(
  { id, raw }: Host,
  from: NodeId,
  isGranted: boolean,
): VoteResponseMessage {
  return { type: "voteResponse", from, to: id, term: raw.term, reject: !isGranted };
}

export function snapshotMessage({ id, raw }: Host, index: number, term: Term): SnapshotMessage {
  const snapshot = { index, term, confState: THREE };
  return { type: "snapshot", from: "2", to: id, term: raw.term, snapshot };
}

export function typesOf(messages: readonly Message[]): string[] {
  return messages.map(({ type }) => type);
}

/** The member of the union M whose type can be T. */
type OfType<M extends Message, T extends Message["type"]> = M extends unknown
  ? T extends M["type"]
    ? M
    : never
  : never;

/** The messages of one type, typed so. */
export function only<T extends Message["type"]>(
  messages: readonly Message[],
  type: T,
): OfType<Message, T>[] {
  const isWanted = (message: Message): message is OfType<Message, T> => message.type === type;
  return messages.filter(isWanted);
}
