/**
 * Main entry point of the package: the loop around the core, the write-ahead log and the transport.
 * wal.ts is the entry for programs that only need the log.
 */
export { EMPTY_CONF_STATE } from "./core/model/types.ts";
export { LEAVE_JOINT, validateConfChange } from "./core/membership/confchange.ts";
export type { RaftOptions } from "./core/model/config.ts";
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
} from "./core/model/types.ts";
export type { ProgressStatus, Status } from "./core/status.ts";
export { FatalError, RaftError } from "./core/model/errors.ts";
export type { RaftErrorCode } from "./core/model/errors.ts";
export type { LogStorage } from "./core/model/log-storage.ts";
export { RaftNode } from "./node/raft-node.ts";
export type {
  ConfChangeDecider,
  DurableLog,
  RaftNodeListener,
  RaftNodeOptions,
  ReadCallback,
  StateMachinePort,
} from "./node/ports.ts";
export type { Peer, SnapshotSink, Transport, TransportListener } from "./transport/transport.ts";
export {
  decodeConfChange,
  decodeConfState,
  encodeConfChange,
  encodeConfState,
} from "./codec/records.ts";
export { fetchClusterInfo, ClusterInfoError } from "./grpc/cluster-info.ts";
export type { ClusterInfo } from "./codec/frames.ts";
export { GrpcTransport } from "./grpc/grpc-transport.ts";
export { addRaftService } from "./grpc/grpc-service.ts";
export { createPeerServer } from "./grpc/peer-server.ts";
export { createPeerClient } from "./transport/peer-client.ts";
export type { PeerListener, PeerServer, PeerServerOptions } from "./grpc/peer-server.ts";
export type {
  GrpcTransportOptions,
  PeerCredentials,
  TrafficListener,
} from "./transport/options.ts";
export { Wal } from "./wal/wal.ts";
export type { CreateWalOptions, OpenedWal, WalOptions } from "./wal/wal.ts";
export { isLockName, LOCK_NAME, lockDirectory } from "./wal/files/lock.ts";
export { isUpToDate } from "./core/log/raft-log.ts";
export type { LogEnd } from "./core/log/raft-log.ts";
export { PeerLives } from "./lives/peer-lives.ts";
export type {
  Life,
  LifeRegistry,
  PeerLivesOptions,
  Position,
  RememberedLife,
} from "./lives/peer-lives.ts";
export type { CommittedEntry } from "./core/roles/validate-message.ts";
