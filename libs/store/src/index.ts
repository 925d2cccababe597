/** Public names of the v2 store. The store on disk is the second entry point, "./rocks". */
export type {
  ByteString,
  Command,
  ExpiredNode,
  LifeLeft,
  GroupCommand,
  RequestId,
  WriteAction,
  WriteCommand,
} from "./command.ts";
export { writeCommand } from "./command.ts";
export { decodeCommand, decodeRequestId, encodeCommand } from "./command-codec.ts";
export { EtcdError, isStoreFailure, StoreError } from "./errors.ts";
export type { ErrorCode } from "./errors.ts";
export type { EventAction, NodeExtern, StoreEvent } from "./event.ts";
export type { Kv } from "./kv.ts";
export { makeDirectories } from "./make-directories.ts";
export type { UndoDirectories } from "./make-directories.ts";
export {
  MEMBERS_PATH,
  memberWrites,
  publishWrite,
  raftAttributes,
  removalWrites,
  REMOVED_PATH,
  shortMemberId,
} from "./member-rows.ts";
export type { LivesCursor, LivesPage } from "./node-table.ts";
export { MemoryKv } from "./memory-kv.ts";
export type {
  AppliedEntry,
  Listing,
  ListingRow,
  Outcome,
  ReadResult,
  StoreReader,
  StoreStats,
  Delivery,
  Watch,
  WatchHandle,
  WatcherHub,
} from "./ports.ts";
export { importSnapshot, verifySnapshot } from "./snapshot.ts";
export type { ImportOptions, SnapshotInfo } from "./snapshot.ts";
export { StateMachine } from "./state-machine.ts";
export type { StateMachineOptions, StoreClock } from "./state-machine.ts";
export type { LiveSize } from "./state-row.ts";
export { SteadyClock, type TimeSource } from "./steady-clock.ts";
export { StoreBuilder } from "./store-builder.ts";
export { StoreDirectory, syncTree } from "./store-directory.ts";
export { DIRECTORY_PATH_BYTES_MAX, KEY_LEVELS_MAX, newKeyProblem } from "./tree/path-limits.ts";
export { STATS_FIELDS } from "./tree/store-stats.ts";
export { walkTree } from "./tree-walk.ts";
export { StoreWatcherHub } from "./watcher-hub.ts";
