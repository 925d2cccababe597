/**
 * The documents below /0 in which the store keeps the members of a cluster, in etcd's own form, and
 * the writes that add, change and remove them. It does not decide which changes hold, and knows
 * nothing of logs or of what else is in the store.
 */
import { type ByteString, toByteString } from "./byte-string.ts";
import { type WriteCommand, writeCommand } from "./command.ts";

/** Where the members are, one directory each. */
export const MEMBERS_PATH = "/0/members";
/** Where the ids are that may never be used again. */
export const REMOVED_PATH = "/0/removed_members";

/** What the store keeps of a member. */
export interface MemberRow {
  readonly peerURLs: readonly string[];
  readonly name: string;
  readonly clientURLs: readonly string[];
}

/** An id as paths show it: without leading zeros. */
export function shortMemberId(id: string): string {
  return id.replace(/^0+(?=.)/, "");
}

function json(value: unknown): ByteString {
  return toByteString(JSON.stringify(value));
}

/** The document of a member's part in raft. */
export function raftAttributes(peerURLs: readonly string[], isLearner: boolean): ByteString {
  return json(isLearner ? { peerURLs, isLearner } : { peerURLs });
}

/** The write that publishes a member's name and client URLs. */
export function publishWrite(
  id: string,
  name: string,
  clientURLs: readonly string[],
): WriteCommand {
  return writeCommand({
    action: "set",
    path: `${MEMBERS_PATH}/${shortMemberId(id)}/attributes`,
    value: json(clientURLs.length > 0 ? { name, clientURLs } : { name }),
  });
}

/** The writes that remove a member and bar its id. */
export function removalWrites(id: string): readonly WriteCommand[] {
  const path = `${MEMBERS_PATH}/${shortMemberId(id)}`;
  return [
    writeCommand({ action: "delete", path, dir: true, recursive: true }),
    writeCommand({ action: "create", path: `${REMOVED_PATH}/${shortMemberId(id)}` }),
  ];
}

/** The writes of a member that is new, or has changed; a new one publishes the name it brings. */
export function memberWrites(
  id: string,
  member: MemberRow,
  state: { readonly isKnown: boolean; readonly isLearner: boolean },
): readonly WriteCommand[] {
  const part = writeCommand({
    action: state.isKnown ? "update" : "create",
    path: `${MEMBERS_PATH}/${shortMemberId(id)}/raftAttributes`,
    value: raftAttributes(member.peerURLs, state.isLearner),
  });
  if (state.isKnown || member.name === "") return [part];
  return [part, publishWrite(id, member.name, member.clientURLs)];
}
