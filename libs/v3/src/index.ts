/** Etcd's v3 API as this program uses it: the client, and the mapping between v2 nodes and v3 keys. */
export { plainMessage } from "./client/connection.ts";
export { Connection } from "./client/connection.ts";
export type { ConnectionOptions, StreamCall, StreamHandler } from "./client/connection.ts";
export type { TlsOptions } from "./client/session.ts";
export * as methods from "./client/methods.ts";
export type { Method } from "./client/methods.ts";
export { ANONYMOUS, V3Client } from "./client/v3-client.ts";
export type {
  CallSettings,
  Credentials,
  TypedStream,
  TypedStreamHandler,
  V3ClientOptions,
} from "./client/v3-client.ts";
export { V3Error } from "./client/v3-error.ts";
export type { StatusCode } from "./client/v3-error.ts";
export { isNameable, KeySpace } from "./mapping/key-space.ts";
export type { KeyKind, KeyRange, ParsedKey } from "./mapping/key-space.ts";
export * as records from "./mapping/node-record.ts";
export type { Announcement, DirectoryRecord, NodeRecord } from "./mapping/node-record.ts";
export { RangeWatch } from "./client/watch.ts";
export type { RevisionChanges, WatchRangeOptions } from "./client/watch.ts";
export { Bridge, ForeignPrefixError } from "./bridge/bridge.ts";
export type { BridgeOptions, WatchStart } from "./bridge/bridge.ts";
export type { UpstreamObserver } from "./upstream/upstream.ts";
