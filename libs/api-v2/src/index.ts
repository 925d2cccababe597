export { createApp, createKeysApp } from "./app.ts";
export { authWatch } from "./auth/auth-store.ts";
export { ENDPOINT_RULES, type Caller, type EndpointRule } from "./auth/endpoint-rules.ts";
export { parseBasicAuth } from "./auth/basic-auth.ts";
export { createFrontDoor } from "./http/front-door.ts";
export { attachTrace, onBodyBroken } from "./http/http-messages.ts";
export { createHttpServerOptions, prepareHttpServer } from "./wire/http-server.ts";
export { WATCH_BYTES_MAX } from "./ports/limits.ts";
export {
  MembershipError,
  type Committed,
  type EtcdServer,
  type FollowerStats,
  type ConsoleData,
  type GatewayOptions,
  type HealthCheck,
  type HealthReport,
  type KeysServer,
  type LeaderStats,
  type Member,
  type Membership,
  type MembershipErrorCode,
  type PageOptions,
  type PasswordHasher,
  type RemoteStore,
  type RequestTrace,
  type SelfStats,
  type WatchGauge,
  type WatchStart,
} from "./ports/ports.ts";
