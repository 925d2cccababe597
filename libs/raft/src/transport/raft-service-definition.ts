/**
 * The gRPC shape of RaftService, derived from the contract's descriptor. Requests and responses
 * pass as bytes: decoding happens in our own handlers, where an invalid frame can be answered with
 * a reason instead of an opaque internal error. Knows no handler and no client.
 */
import type { ServiceDefinition } from "@grpc/grpc-js";
import { RaftService } from "@etcd2/proto/raft";

/** Identity (de)serialiser. */
export function asBytes(bytes: Buffer): Buffer {
  return bytes;
}

function path(method: { readonly name: string }): string {
  return `/${RaftService.typeName}/${method.name}`;
}

/** Request paths, as HTTP/2 knows them. */
export const STREAM_PATH: string = path(RaftService.method.stream);
/** The HTTP/2 path of the call that takes a snapshot. */
export const SNAPSHOT_PATH: string = path(RaftService.method.snapshot);
/** The HTTP/2 path of the call that tells of the cluster. */
export const CLUSTER_INFO_PATH: string = path(RaftService.method.clusterInfo);

function method(path: string, requestStream: boolean, responseStream: boolean) {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: asBytes,
    requestDeserialize: asBytes,
    responseSerialize: asBytes,
    responseDeserialize: asBytes,
  };
}

/** The service as grpc-js wants it described: bytes in, bytes out. */
export const RAFT_SERVICE: ServiceDefinition = {
  stream: method(STREAM_PATH, true, true),
  snapshot: method(SNAPSHOT_PATH, true, false),
  clusterInfo: method(CLUSTER_INFO_PATH, false, false),
};
