/** Public names of @etcd2/raft: the pure core, its loop, the write-ahead log and the transports. */
export type {
  AppendMessage,
  ConfChange,
  ConfChangeSingle,
  ConfState,
  Entry,
  EntryType,
  HardState,
  Index,
  Message,
  NodeId,
  Random,
  ReadState,
  Role,
  SnapshotMessage,
  SnapshotMetadata,
  SoftState,
  Term,
} from "./core/types.ts";
export { NOBODY } from "./core/types.ts";
export { invariant, InvariantError } from "./core/invariant.ts";
export type { RaftConfig, RaftOptions } from "./core/config.ts";
export type { Ready } from "./core/ready.ts";
export type { ProgressStatus, Status } from "./core/status.ts";
export { RawNode } from "./core/raw-node.ts";
export { FatalError, RaftError } from "./errors.ts";
export type { RaftErrorCode } from "./errors.ts";
export type { LogStorage } from "./storage.ts";
export { MemoryLog } from "./memory-log.ts";
export { RaftNode } from "./node.ts";
export type {
  ConfChangeDecider,
  DurableLog,
  RaftNodeListener,
  RaftNodeOptions,
  ReadCallback,
  StateMachinePort,
} from "./node.ts";
export type { Peer, SnapshotSink, Transport, TransportListener } from "./transport.ts";
export { resolveLoopback } from "./loopback.ts";
export {
  decodeConfChange,
  decodeConfState,
  decodeEntry,
  decodeHardState,
  encodeConfChange,
  encodeConfState,
  encodeEntry,
  encodeHardState,
} from "./codec.ts";
export { fetchClusterInfo, ClusterInfoError } from "./cluster-info.ts";
export type { ClusterInfo } from "./frame-codec.ts";
export { GrpcTransport } from "./grpc-transport.ts";
export { addRaftService } from "./grpc-service.ts";
export type { CallCounters } from "./call-counts.ts";
export { createPeerServer } from "./peer-server.ts";
export type { PeerListener, PeerServer, PeerServerOptions } from "./peer-server.ts";
export type {
  GrpcTransportOptions,
  PeerCredentials,
  TransportLimits,
  TransportLog,
  TransportMetrics,
} from "./transport-options.ts";
export { Wal } from "./wal/wal.ts";
export type { OpenedWal, WalOptions } from "./wal/wal.ts";
export { readWal } from "./wal/read-wal.ts";
export type { WalItem } from "./wal/read-wal.ts";
export { dumpWal } from "./wal/dump.ts";
export type { DumpOptions, DumpResult } from "./wal/dump.ts";
