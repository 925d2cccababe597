/**
 * Second entry point of the package, "@etcd2/raft/wal": the write-ahead log and the codec of what it
 * holds, apart so that programs that only read or write directories load no gRPC.
 */
export { EMPTY_CONF_STATE } from "./core/model/types.ts";
export type {
  ConfChange,
  ConfChangeSingle,
  ConfState,
  Entry,
  HardState,
  Index,
  NodeId,
  SnapshotMetadata,
  Term,
} from "./core/model/types.ts";
export { LEAVE_JOINT, validateConfChange } from "./core/membership/confchange.ts";
export { FatalError, RaftError } from "./core/model/errors.ts";
export type { RaftErrorCode } from "./core/model/errors.ts";
export {
  decodeConfChange,
  decodeConfState,
  encodeConfChange,
  encodeConfState,
} from "./codec/records.ts";
export { Wal } from "./wal/wal.ts";
export type { CreateWalOptions, OpenedWal, WalOptions } from "./wal/wal.ts";
export type { MemoryLog } from "./wal/memory-log.ts";
export { isLockName, LOCK_NAME, lockDirectory, lockDirectoryForReading } from "./wal/files/lock.ts";
export { LockError } from "./wal/files/lock-file.ts";
export { holderOf, readLockHolders } from "./wal/files/lock-holders.ts";
export type { LockHolders } from "./wal/files/lock-holders.ts";
export { readWal } from "./wal/read-wal.ts";
export type { WalItem } from "./wal/read-wal.ts";
export { dumpWal } from "./wal/dump.ts";
export type { DumpOptions, DumpResult } from "./wal/dump.ts";
