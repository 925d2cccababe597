/**
 * Counts the calls that the peer service answers: begun, and ended with which status after how
 * long. Knows nothing of what a call does.
 */
import { status as grpcStatus } from "@grpc/grpc-js";
import type { sendUnaryData } from "@grpc/grpc-js";

/** Methods are Stream, Snapshot and ClusterInfo; codes as gRPC writes them, such as "OK". */
export interface CallCounters {
  rpcStarted(method: string): void;
  rpcHandled(method: string, code: string, seconds: number): void;
}

/** "OK", "NotFound": the names that dashboards know. */
export function codeName(code: grpcStatus): string {
  if (code === grpcStatus.OK) return "OK";
  if (code === grpcStatus.CANCELLED) return "Canceled";
  return grpcStatus[code]
    .split("_")
    .map((word) => word.charAt(0) + word.slice(1).toLowerCase())
    .join("");
}

/** Counts one call as begun; returns what to tell its end. */
export function countCall(
  counters: CallCounters | undefined,
  method: string,
  now: () => number,
): (code: grpcStatus) => void {
  if (counters === undefined) return () => undefined;
  counters.rpcStarted(method);
  const startedAt = now();
  return (code) => {
    counters.rpcHandled(method, codeName(code), (now() - startedAt) / 1000);
  };
}

/** An answer that tells the end of its call. */
export function countedAnswer(
  answer: sendUnaryData<Buffer>,
  ended: (code: grpcStatus) => void,
): sendUnaryData<Buffer> {
  return (error, ...rest) => {
    ended(error === null ? grpcStatus.OK : (error.code ?? grpcStatus.UNKNOWN));
    answer(error, ...rest);
  };
}
