/**
 * What the server calls when tracing is on, in its own vocabulary: everything outside this folder
 * knows these types and nothing of OpenTelemetry. While tracing is off there is no such object,
 * nothing is wrapped, and a request costs one comparison with undefined.
 */
import type { RequestListener } from "node:http";
import type { RequestTrace } from "@etcd2/api-v2";
import type { DurableLog, Index, NodeId, Transport, TransportListener } from "@etcd2/raft";
import type { Applied, RunEntry } from "./applier.ts";
import type { Settle } from "./proposals.ts";
import type { ReadDone } from "./pending-reads.ts";

/** What the tracer needs to know of the raft node. */
export interface TracedNode {
  readonly leader: NodeId;
  readonly committed: Index;
}

/** Follows the sampled requests of one member from the proposal to the outcome. */
export interface MemberTracing {
  /** A traced write is about to be proposed as these bytes; the result tells its outcome. */
  proposed(trace: RequestTrace, data: Uint8Array, settle: Settle<Applied>): Settle<Applied>;
  /** A traced read waits for confirmation; the result tells that it came. */
  reading(trace: RequestTrace, done: ReadDone): ReadDone;
  /** The log, with the syncs of traced entries timed. */
  aroundLog(log: DurableLog): DurableLog;
  /** The transport, with forwarded proposals saying which of them are traced. */
  aroundTransport(transport: Transport): Transport;
  /** The listener, with forwarded proposals and commits watched for. */
  aroundListener(listener: TransportListener, node: () => TracedNode): TransportListener;
  /** A run of entries was written to the store; monotonic milliseconds. */
  runApplied(run: readonly RunEntry[], startedAt: number, endedAt: number): void;
}

/** Tracing of one server. */
export interface Tracing {
  /** The handler, with a span around every request that is sampled. */
  around(handler: RequestListener): RequestListener;
  member(memberId: NodeId): MemberTracing;
  /** Sends what was gathered, within a short time limit. Idempotent. */
  close(): Promise<void>;
}
