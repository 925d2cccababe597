/**
 * RaftService on a gRPC server given from outside: the receiving side of a member. Owns who is let
 * in and who is told why not. What a message means is the listener's business; sending is
 * grpc-transport.ts's.
 */
import { Metadata, status as grpcStatus } from "@grpc/grpc-js";
import type {
  sendUnaryData,
  Server,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
} from "@grpc/grpc-js";
import { countCall, countedAnswer } from "./call-counts.ts";
import type { CallCounters } from "./call-counts.ts";
import { CodecError } from "../codec/codec-error.ts";
import type { Index, NodeId } from "../core/model/types.ts";
import { decodeClusterInfoRequest, encodeClusterInfo } from "../codec/frames.ts";
import type { ClusterInfo } from "../codec/frames.ts";
import type { GrpcTransport } from "./grpc-transport.ts";
import { InboundStream } from "../transport/links/inbound-stream.ts";
import type { InboundHost } from "../transport/links/inbound-stream.ts";
import { RAFT_SERVICE } from "../transport/raft-service-definition.ts";
import { SnapshotReceiver } from "../transport/snapshots/snapshot-receiver.ts";

/** What the service asks of its owner. */
export interface RaftServiceOptions {
  readonly transport: GrpcTransport;
  /** True for a member that was removed from the cluster; ids not heard of yet are let in. */
  readonly isRemoved: (id: NodeId) => boolean;
  /**
   * Undefined while this member does not know its cluster.
   * @param logIndex the entry whose term is asked for too; 0 for none.
   */
  readonly clusterInfo: (logIndex: Index) => ClusterInfo | undefined;
  /** Counts calls; by default nobody does. */
  readonly calls?: CallCounters;
}

/** Callers turned away that are remembered so as to log each once. */
const TURNED_AWAY_MAX = 1000;

/** Registers the service; its streams end when the transport is closed. */
export function addRaftService(server: Server, options: RaftServiceOptions): void {
  const { transport, isRemoved, clusterInfo } = options;
  const { context, losses } = transport;
  const turnedAway = new Set<string>();
  const streamsEnded = new Map<InboundStream, (code: grpcStatus) => void>();
  const counted = (method: string): ((code: grpcStatus) => void) =>
    countCall(options.calls, method, context.now);
  const host: InboundHost = {
    context,
    losses,
    isRemoved,
    onGreeted: (id) => {
      context.log("debug", "accepted a stream", { peer: id });
      transport.peerDialled(id);
    },
    onTurnedAway: (caller, refusal) => {
      const key = `${caller} ${refusal.details}`;
      if (turnedAway.has(key)) return;
      if (turnedAway.size >= TURNED_AWAY_MAX) turnedAway.clear();
      turnedAway.add(key);
      context.log("warn", "refused a peer", { peer: caller, reason: refusal.details });
    },
    onClosed: (stream, code) => {
      transport.release(stream);
      streamsEnded.get(stream)?.(code);
      streamsEnded.delete(stream);
    },
  };
  const snapshots = new SnapshotReceiver(host);
  transport.adopt(snapshots);
  server.addService(RAFT_SERVICE, {
    stream: (call: ServerDuplexStream<Buffer, Buffer>) => {
      const stream = new InboundStream(call, host);
      streamsEnded.set(stream, counted("Stream"));
      transport.adopt(stream);
    },
    snapshot: (call: ServerReadableStream<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      void snapshots.serve(call, countedAnswer(answer, counted("Snapshot")));
    },
    clusterInfo: (call: ServerUnaryCall<Buffer, Buffer>, uncounted: sendUnaryData<Buffer>) => {
      const answer = countedAnswer(uncounted, counted("ClusterInfo"));
      let logIndex: Index;
      try {
        logIndex = decodeClusterInfoRequest(call.request);
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
        const code = grpcStatus.INVALID_ARGUMENT;
        answer({ code, details: error.message, metadata: new Metadata() });
        return;
      }
      const info = clusterInfo(logIndex);
      if (info !== undefined) answer(null, encodeClusterInfo(info));
      else {
        const details = "this member does not know its cluster yet";
        answer({ code: grpcStatus.UNAVAILABLE, details, metadata: new Metadata() });
      }
    },
  });
}
