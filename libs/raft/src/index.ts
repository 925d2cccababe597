/** Public names of @etcd2/raft: the loop around the core, the write-ahead log and the transport. */
export type {
  ConfChange,
  ConfChangeSingle,
  ConfState,
  Entry,
  HardState,
  Index,
  Message,
  NodeId,
  SnapshotMessage,
  SnapshotMetadata,
  SoftState,
  Term,
} from "./core/types.ts";
export type { ProgressStatus, Status } from "./core/status.ts";
export { RaftError } from "./errors.ts";
export type { RaftErrorCode } from "./errors.ts";
export type { LogStorage } from "./storage.ts";
export { RaftNode } from "./node.ts";
export type {
  ConfChangeDecider,
  DurableLog,
  RaftNodeListener,
  RaftNodeOptions,
} from "./node-ports.ts";
export type { SnapshotSink, Transport, TransportListener } from "./transport.ts";
export { decodeConfChange, decodeConfState, encodeConfChange, encodeConfState } from "./codec.ts";
export { fetchClusterInfo, ClusterInfoError } from "./cluster-info.ts";
export type { ClusterInfo } from "./frame-codec.ts";
export { GrpcTransport } from "./grpc-transport.ts";
export { addRaftService } from "./grpc-service.ts";
export { createPeerServer } from "./peer-server.ts";
export type { PeerListener, PeerServer, PeerServerOptions } from "./peer-server.ts";
export type {
  GrpcTransportOptions,
  PeerCredentials,
  TransportLog,
  TransportMetrics,
} from "./transport-options.ts";
export { Wal } from "./wal/wal.ts";
export type { OpenedWal, WalOptions } from "./wal/wal.ts";
export { isLockName, LOCK_NAME, lockDirectory, lockDirectoryForReading } from "./wal/lock.ts";
export { LockError } from "./wal/lock-file.ts";
export { holderOf, readLockHolders } from "./wal/lock-holders.ts";
export type { LockHolders } from "./wal/lock-holders.ts";
export { readWal } from "./wal/read-wal.ts";
export type { WalItem } from "./wal/read-wal.ts";
export { dumpWal } from "./wal/dump.ts";
export type { DumpOptions, DumpResult } from "./wal/dump.ts";
export { isUpToDate } from "./core/raft-log.ts";
export type { LogEnd } from "./core/raft-log.ts";
export { PeerLives } from "./peer-lives.ts";
export type {
  Life,
  LifeRegistry,
  PeerLivesOptions,
  Position,
  RememberedLife,
} from "./peer-lives.ts";
export type { CommittedEntry } from "./core/plausible.ts";
