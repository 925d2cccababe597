/**
 * What a committed change of the membership does to a store that is brought up to date without its
 * server: the change is read and, where it holds, becomes the store's writes. Knows no files.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { MemberChangeSchema } from "@etcd2/proto/command";
import type { ConfChange } from "@etcd2/raft/wal";
import type { StoreReader, WriteCommand } from "@etcd2/store";
import {
  configuredNameIn,
  MEMBERS_PATH,
  memberWrites,
  removalWrites,
  REMOVED_PATH,
  shortMemberId,
} from "@etcd2/store";

/** What a committed change writes; nothing when the server would have refused it. */
export function membershipWrites(change: ConfChange, reader: StoreReader): readonly WriteCommand[] {
  const [single] = change.changes;
  if (single === undefined) return [];
  const { nodeId, type } = single;
  const path = `${MEMBERS_PATH}/${shortMemberId(nodeId)}`;
  const isKnown = reader.peek(path) !== undefined;
  if (reader.peek(`${REMOVED_PATH}/${shortMemberId(nodeId)}`) !== undefined) return [];
  if (type === "remove") return isKnown ? removalWrites(nodeId) : [];
  if (change.context.length === 0 || (type === "update" && !isKnown)) return [];
  const added = fromBinary(MemberChangeSchema, change.context);
  const before = reader.peek(`${path}/raftAttributes`)?.value ?? "";
  const isLearner =
    type === "addLearner" || (type === "update" && before.includes('"isLearner":true'));
  const member = {
    peerURLs: added.peerUrls,
    name: added.name,
    clientURLs: added.clientUrls,
    configuredName: isKnown ? configuredNameIn(before) : added.configuredName,
  };
  return memberWrites(nodeId, member, { isKnown, isLearner });
}
