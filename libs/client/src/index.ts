/** A typed client of the etcd v2 API, for any runtime with fetch. It imports nothing of Node. */
export { AuthApi, type Permissions, type Role, RolesApi, type User, UsersApi } from "./auth.ts";
export { type ClientOptions, EtcdClient } from "./client.ts";
export type { Action, Answer, CallOptions } from "./cluster.ts";
export { type Endpoint, parseEndpoint } from "./endpoint.ts";
export {
  ClusterError,
  ClusterIdError,
  ConnectionError,
  EmptyAnswerError,
  EndpointError,
  errorCodes,
  EtcdClientError,
  EtcdError,
  isEtcdError,
  NoEndpointsError,
  ProtocolError,
  RefusedError,
  ServerFaultError,
  TimeoutError,
} from "./errors.ts";
export { fetchTransport } from "./fetch-transport.ts";
export {
  type Condition,
  type DeleteOptions,
  type DirectoryNode,
  type FileNode,
  type GetOptions,
  type KeyAction,
  type KeyNode,
  KeysApi,
  type KeysResponse,
  type RefreshOptions,
  type SetOptions,
} from "./keys.ts";
export { type AddMemberOptions, type Member, MembersApi } from "./members.ts";
export {
  type FollowerStats,
  type Health,
  type LeaderStats,
  type SelfStats,
  StatsApi,
  type StatusOptions,
  type StoreStats,
  type Version,
} from "./status.ts";
export type { Transport, TransportRequest, TransportResponse } from "./transport.ts";
export type { ChangeEvent, ClearedEvent, WatchEvent, WatchOptions } from "./watch.ts";
