/** The data directory of a member: its layout, ids, rows and membership, and how one is written. */
export { clusterId, formatId, memberId, parseId } from "./ids.ts";
export type { MemberIdSource } from "./ids.ts";
export {
  defaultInitialCluster,
  DEFAULT_PEER_URLS,
  splitInitialCluster,
} from "./initial-cluster.ts";
export {
  foreignVersion,
  hasStore,
  isForeignLog,
  layoutOf,
  LOST_AND_FOUND,
  memberLayout,
  namesIn,
} from "./layout.ts";
export type { DataDirLayout } from "./layout.ts";
export { decodeMemberChange, encodeMemberChange } from "./member-change.ts";
export type { MemberChange, MemberRecord } from "./member-change.ts";
export {
  MEMBERS_PATH,
  memberWrites,
  publishWrite,
  raftAttributes,
  removalWrites,
  REMOVED_PATH,
} from "./member-rows.ts";
export type { MemberRow } from "./member-rows.ts";
export { confChangeWrites, Membership } from "./membership.ts";
export type { ChangeRefusal, ClusterMember } from "./membership.ts";
export {
  confStateIn,
  confStateRow,
  META_BOOTSTRAP,
  META_CONF_STATE,
  META_INSTALLED,
  simpleConfState,
} from "./meta-rows.ts";
export { NewStore, writeLogStart } from "./write-member.ts";
export type { LogStart, NewStoreOptions } from "./write-member.ts";
