/**
 * Counts the calls that the peer service answers: begun, and ended with which status after how
 * long. Knows nothing of what a call does.
 */
import type { Counter, Histogram, Meter } from "@etcd2/observability";
import { status as grpcStatus } from "@grpc/grpc-js";
import type { sendUnaryData } from "@grpc/grpc-js";

/** The instruments of the peer service. Methods are Stream, Snapshot and ClusterInfo. */
export interface CallCounts {
  readonly started: Counter<readonly [method: string]>;
  /** By method and status as gRPC writes it, such as "OK". */
  readonly handled: Counter<readonly [method: string, code: string]>;
  readonly seconds: Histogram<readonly [method: string]>;
}

/** Gets the instruments from the meter. */
export function createCallCounts(meter: Meter): CallCounts {
  return {
    started: meter.counter("grpc_server_started_total"),
    handled: meter.counter("grpc_server_handled_total"),
    seconds: meter.histogram("grpc_server_handling_seconds"),
  };
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
  counts: CallCounts,
  method: string,
  now: () => number,
): (code: grpcStatus) => void {
  counts.started.add(1, method);
  const startedAt = now();
  return (code) => {
    counts.handled.add(1, method, codeName(code));
    counts.seconds.observe((now() - startedAt) / 1000, method);
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
