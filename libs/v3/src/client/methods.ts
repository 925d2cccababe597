/**
 * The calls of etcd's v3 API that this program makes: path, request and response of each. Source: the
 * service definitions of etcd 3.4 (packages etcdserverpb, mvccpb and authpb).
 */
import type { DescMessage } from "@bufbuild/protobuf";
import * as cluster from "@etcd2/proto/v3/cluster";
import * as kv from "@etcd2/proto/v3/kv";
import * as watch from "@etcd2/proto/v3/watch";

/** One method: its HTTP/2 path and the schemas of what crosses it. */
export interface Method<I extends DescMessage, O extends DescMessage> {
  readonly path: string;
  readonly input: I;
  readonly output: O;
  /** Whether a repetition of the call could change something twice. */
  readonly mutates: boolean;
}

function method<I extends DescMessage, O extends DescMessage>(
  name: string,
  input: I,
  output: O,
  mutates = false,
): Method<I, O> {
  return { path: `/etcdserverpb.${name}`, input, output, mutates };
}

export const range = method("KV/Range", kv.RangeRequestSchema, kv.RangeResponseSchema);
export const put = method("KV/Put", kv.PutRequestSchema, kv.PutResponseSchema, true);
export const deleteRange = method(
  "KV/DeleteRange",
  kv.DeleteRangeRequestSchema,
  kv.DeleteRangeResponseSchema,
  true,
);
export const txn = method("KV/Txn", kv.TxnRequestSchema, kv.TxnResponseSchema, true);
/** A transaction of ranges alone, which may be repeated. */
export const readTxn = method("KV/Txn", kv.TxnRequestSchema, kv.TxnResponseSchema);
export const watchStream = method(
  "Watch/Watch",
  watch.WatchRequestSchema,
  watch.WatchResponseSchema,
);
export const leaseGrant = method(
  "Lease/LeaseGrant",
  cluster.LeaseGrantRequestSchema,
  cluster.LeaseGrantResponseSchema,
  true,
);
export const leaseRevoke = method(
  "Lease/LeaseRevoke",
  cluster.LeaseRevokeRequestSchema,
  cluster.LeaseRevokeResponseSchema,
  true,
);
/** A stream; one request and one response of it renew one lease. */
export const leaseKeepAlive = method(
  "Lease/LeaseKeepAlive",
  cluster.LeaseKeepAliveRequestSchema,
  cluster.LeaseKeepAliveResponseSchema,
);
export const leaseTimeToLive = method(
  "Lease/LeaseTimeToLive",
  cluster.LeaseTimeToLiveRequestSchema,
  cluster.LeaseTimeToLiveResponseSchema,
);
export const memberList = method(
  "Cluster/MemberList",
  cluster.MemberListRequestSchema,
  cluster.MemberListResponseSchema,
);
export const status = method(
  "Maintenance/Status",
  cluster.StatusRequestSchema,
  cluster.StatusResponseSchema,
);
export const authenticate = method(
  "Auth/Authenticate",
  cluster.AuthenticateRequestSchema,
  cluster.AuthenticateResponseSchema,
);
export const authStatus = method(
  "Auth/AuthStatus",
  cluster.AuthStatusRequestSchema,
  cluster.AuthStatusResponseSchema,
);
export const authEnable = method(
  "Auth/AuthEnable",
  cluster.AuthEnableRequestSchema,
  cluster.AuthEnableResponseSchema,
  true,
);
export const userAdd = method(
  "Auth/UserAdd",
  cluster.AuthUserAddRequestSchema,
  cluster.AuthUserAddResponseSchema,
  true,
);
export const userList = method(
  "Auth/UserList",
  cluster.AuthUserListRequestSchema,
  cluster.AuthUserListResponseSchema,
);
export const userGet = method(
  "Auth/UserGet",
  cluster.AuthUserGetRequestSchema,
  cluster.AuthUserGetResponseSchema,
);
export const userGrantRole = method(
  "Auth/UserGrantRole",
  cluster.AuthUserGrantRoleRequestSchema,
  cluster.AuthUserGrantRoleResponseSchema,
  true,
);
export const roleAdd = method(
  "Auth/RoleAdd",
  cluster.AuthRoleAddRequestSchema,
  cluster.AuthRoleAddResponseSchema,
  true,
);
export const roleList = method(
  "Auth/RoleList",
  cluster.AuthRoleListRequestSchema,
  cluster.AuthRoleListResponseSchema,
);
export const roleGet = method(
  "Auth/RoleGet",
  cluster.AuthRoleGetRequestSchema,
  cluster.AuthRoleGetResponseSchema,
);
export const roleGrantPermission = method(
  "Auth/RoleGrantPermission",
  cluster.AuthRoleGrantPermissionRequestSchema,
  cluster.AuthRoleGrantPermissionResponseSchema,
  true,
);
