/**
 * The documents below /0 in which the store keeps its members, in etcd's own form, and what a
 * committed change of the membership does to them. Knows nothing of logs or files.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { MemberChangeSchema } from "@etcd2/proto/command";
import type { ConfChange } from "@etcd2/raft";
import type { ByteString, StoreReader, WriteCommand } from "@etcd2/store";

export const MEMBERS_PATH = "/0/members";
export const REMOVED_PATH = "/0/removed_members";

/** An id as paths show it: without leading zeros. */
export function shortId(id: string): string {
  return id.replace(/^0+(?=.)/, "");
}

/** A write command with the fields that matter. */
export function write(
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

function json(value: unknown): ByteString {
  return Buffer.from(JSON.stringify(value), "utf8").toString("latin1");
}

/** A member's part in raft. */
export function raftAttributes(peerURLs: readonly string[], isLearner: boolean): ByteString {
  return json(isLearner ? { peerURLs, isLearner } : { peerURLs });
}

/** What a committed change writes; nothing when the server would have refused it. */
export function membershipWrites(change: ConfChange, reader: StoreReader): readonly WriteCommand[] {
  const [single] = change.changes;
  if (single === undefined) return [];
  const id = shortId(single.nodeId);
  const path = `${MEMBERS_PATH}/${id}`;
  const known = reader.peek(path) !== undefined;
  if (reader.peek(`${REMOVED_PATH}/${id}`) !== undefined) return [];
  if (single.type === "remove") {
    if (!known) return [];
    return [
      write({ action: "delete", path, dir: true, recursive: true }),
      write({ action: "create", path: `${REMOVED_PATH}/${id}` }),
    ];
  }
  if (change.context.length === 0 || (single.type === "update" && !known)) return [];
  const { peerUrls, name, clientUrls } = fromBinary(MemberChangeSchema, change.context);
  const before = reader.peek(`${path}/raftAttributes`)?.value ?? "";
  const isLearner =
    single.type === "addLearner" ||
    (single.type === "update" && before.includes('"isLearner":true'));
  const action = known ? "update" : "create";
  const value = raftAttributes(peerUrls, isLearner);
  const writes = [write({ action, path: `${path}/raftAttributes`, value })];
  if (!known && name !== "") {
    const published = clientUrls.length > 0 ? { name, clientURLs: clientUrls } : { name };
    writes.push(write({ action: "set", path: `${path}/attributes`, value: json(published) }));
  }
  return writes;
}
