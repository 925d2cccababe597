/** Public names of the v2 store. The store on disk is the second entry point, "./rocks". */
export { cleanKey, cleanPath, fromByteString, toByteString } from "./model/byte-string.ts";
export type { ByteString } from "./model/byte-string.ts";
export type {
  Command,
  ExpiredNode,
  LifeLeft,
  GroupCommand,
  RequestId,
  WriteAction,
  WriteCommand,
} from "./model/command.ts";
export { writeCommand } from "./model/command.ts";
export {
  decodeCommand,
  decodeRequestId,
  encodeCommand,
  encodeCommandBody,
  withRequestId,
} from "./encoding/command-codec.ts";
export { EtcdError, isStoreFailure, StoreError } from "./model/errors.ts";
export type { ErrorCode, StoreErrorCode } from "./model/errors.ts";
export type { EventAction, NodeExtern, StoreEvent } from "./model/event.ts";
export type { Kv } from "./kv/kv.ts";
export { makeDirectories } from "./disk/make-directories.ts";
export type { UndoDirectories } from "./disk/make-directories.ts";
export type { LivesCursor, LivesPage } from "./nodes/node-table.ts";
export { MemoryKv } from "./kv/memory-kv.ts";
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
} from "./model/ports.ts";
export type { StateHash } from "./snapshot/state-hash.ts";
export { isSnapshotStart } from "./snapshot/snapshot-frames.ts";
export { OutcomeWriter, readOutcomes } from "./shared/outcome-codec.ts";
export { SharedHistory } from "./shared/shared-history.ts";
export { SharedReader } from "./shared/shared-reader.ts";
export type { SharedStore } from "./shared/shared-reader.ts";
export { SharedState } from "./shared/shared-state.ts";
export { importSnapshot, verifySnapshot } from "./snapshot/snapshot.ts";
export type { ImportOptions, SnapshotInfo } from "./snapshot/snapshot.ts";
export { StateMachine } from "./state-machine.ts";
export type { StateMachineOptions } from "./state-machine.ts";
export type { StoreClock } from "./clock/store-clock.ts";
export type { LiveSize } from "./encoding/state-row.ts";
export { SteadyClock, type TimeSource } from "./clock/steady-clock.ts";
export { StoreBuilder } from "./snapshot/store-builder.ts";
export { syncPath } from "./disk/sync.ts";
export { StoreDirectory, syncTree } from "./disk/store-directory.ts";
export { DIRECTORY_PATH_BYTES_MAX, KEY_LEVELS_MAX, newKeyProblem } from "./tree/path-limits.ts";
export { STATS_FIELDS } from "./tree/store-stats.ts";
export { walkTree } from "./nodes/tree-walk.ts";
export { StoreWatcherHub } from "./events/watcher-hub.ts";
export type { HubHistory, HubSource } from "./events/watcher-hub.ts";
export type { NodeSpace } from "./tree/node-space.ts";
export { NO_NAMES, RemovedNames } from "./tree/recorded-event.ts";
export type { RecordedEvent } from "./tree/recorded-event.ts";
export { emptyStats } from "./tree/store-stats.ts";
export { parentPath, TreeNode } from "./tree/tree-node.ts";
export { nodeExtern, Tree } from "./tree/tree.ts";
export type { Instant } from "./tree/tree.ts";
export { matchesWatch } from "./tree/watch-rule.ts";
