/** Public names of the v2 store. The store on disk is the second entry point, "./rocks". */
export type {
  ByteString,
  ClusterVersionCommand,
  Command,
  ExpireCommand,
  ExpiredNode,
  GroupCommand,
  RequestId,
  WriteAction,
  WriteCommand,
} from "./command.ts";
export { decodeCommand, decodeRequestId, encodeCommand } from "./command-codec.ts";
export { ERROR_MESSAGES, EtcdError, isStoreFailure, StoreError } from "./errors.ts";
export type { ErrorCode, StoreErrorCode } from "./errors.ts";
export type { EventAction, NodeExtern, StoreEvent } from "./event.ts";
export type { Kv, KvBatch, KvIterator, KvIteratorOptions, KvRange, KvRows } from "./kv.ts";
export {
  MEMBERS_PATH,
  memberWrites,
  publishWrite,
  raftAttributes,
  removalWrites,
  REMOVED_PATH,
  shortMemberId,
  writeCommand,
} from "./member-rows.ts";
export type { MemberRow } from "./member-rows.ts";
export { MemoryKv } from "./memory-kv.ts";
export type {
  AppliedEntry,
  EventHistory,
  Listing,
  ListingRow,
  Outcome,
  ReadResult,
  StoreReader,
  StoreStats,
  Watch,
  WatchHandle,
  WatchKey,
  WatcherHub,
} from "./ports.ts";
export type { Schedule } from "./schedule.ts";
export { SnapshotExport, importSnapshot, verifySnapshot } from "./snapshot.ts";
export type { ImportOptions, SnapshotInfo, SnapshotSource } from "./snapshot.ts";
export type { StateHash } from "./state-hash.ts";
export { StateMachine } from "./state-machine.ts";
export type { EventsListener, StateMachineOptions, StoreClock } from "./state-machine.ts";
export type { LiveSize } from "./state-row.ts";
export { SteadyClock } from "./steady-clock.ts";
export type { TimeSource } from "./steady-clock.ts";
export { StoreBuilder } from "./store-builder.ts";
export type { BuilderEnd, BuilderNode } from "./store-builder.ts";
export { StoreDirectory, syncTree } from "./store-directory.ts";
export { walkTree } from "./tree-walk.ts";
export { RemovedNames } from "./tree/recorded-event.ts";
export type { RecordedEvent } from "./tree/recorded-event.ts";
export { StoreWatcherHub } from "./watcher-hub.ts";
export type { HubHistory, HubSource, WatcherHubOptions } from "./watcher-hub.ts";
