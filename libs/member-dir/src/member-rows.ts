/**
 * The documents below /0 in which the store keeps the members of a cluster, in etcd's own form, and
 * the writes that add, change and remove them. It does not decide which changes hold, and knows
 * nothing of logs or of what else is in the store.
 */
import type { ByteString, WriteCommand } from "@etcd2/store";
import { toByteString, writeCommand } from "@etcd2/store";
import { formatId } from "./ids.ts";

/** Where the members are, one directory each. */
export const MEMBERS_PATH = "/0/members";
/** Where the ids are that may never be used again. */
export const REMOVED_PATH = "/0/removed_members";

/** What the store keeps of a member. */
export interface MemberRow {
  readonly peerURLs: readonly string[];
  readonly name: string;
  readonly clientURLs: readonly string[];
  /** What the configuration that founded the cluster calls it; "" for members added later. */
  readonly configuredName?: string;
}

function json(value: unknown): ByteString {
  return toByteString(JSON.stringify(value));
}

/**
 * The document of a member's part in raft. The name it was configured with is here, not in the
 * document that publishes the member: who publishes has run.
 */
export function raftAttributes(
  { peerURLs, configuredName = "" }: Pick<MemberRow, "peerURLs" | "configuredName">,
  isLearner: boolean,
): ByteString {
  return json({
    peerURLs,
    ...(isLearner && { isLearner }),
    ...(configuredName !== "" && { name: configuredName }),
  });
}

/** The write that publishes a member's name and client URLs. */
export function publishWrite(
  id: string,
  name: string,
  clientURLs: readonly string[],
): WriteCommand {
  return writeCommand({
    action: "set",
    path: `${MEMBERS_PATH}/${formatId(id)}/attributes`,
    value: json(clientURLs.length > 0 ? { name, clientURLs } : { name }),
  });
}

/** The writes that remove a member and bar its id. */
export function removalWrites(id: string): readonly WriteCommand[] {
  const path = `${MEMBERS_PATH}/${formatId(id)}`;
  return [
    writeCommand({ action: "delete", path, dir: true, recursive: true }),
    writeCommand({ action: "create", path: `${REMOVED_PATH}/${formatId(id)}` }),
  ];
}

/**
 * The writes of a member that is new, or has changed; a new one publishes the name it brings. The
 * configured name of a member that has changed is the one to be kept.
 */
export function memberWrites(
  id: string,
  member: MemberRow,
  state: { readonly isKnown: boolean; readonly isLearner: boolean },
): readonly WriteCommand[] {
  const part = writeCommand({
    action: state.isKnown ? "update" : "create",
    path: `${MEMBERS_PATH}/${formatId(id)}/raftAttributes`,
    value: raftAttributes(member, state.isLearner),
  });
  if (state.isKnown || member.name === "") return [part];
  return [part, publishWrite(id, member.name, member.clientURLs)];
}
