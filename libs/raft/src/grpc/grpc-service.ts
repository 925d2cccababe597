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
import { countCall, createCallCounts, countedAnswer } from "./call-counts.ts";
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
}

/** Callers turned away that are remembered so as to log each once. */
const TURNED_AWAY_MAX = 1000;

/**
 * Streams open at once: of one member, which needs two and two more while it dials anew; without a Hello
 * yet; and all together.
 */
const MEMBER_STREAMS_MAX = 8;
const UNGREETED_STREAMS_MAX = 256;
const STREAMS_MAX = 1024;

/** Invalid frames told of in each minute. */
const BAD_FRAMES_TOLD_MAX = 20;

/** Bounds the lines about what strangers do. */
class ToldOf {
  readonly #max: number;
  #since = -Infinity;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether one more line may be written in this minute. */
  isDue(nowMs: number): boolean {
    if (nowMs - this.#since > 60_000) {
      this.#since = nowMs;
      this.#count = 0;
    }
    this.#count += 1;
    return this.#count <= this.#max;
  }
}

/** Bounds the streams that callers hold: those that came first make room. */
class OpenStreams {
  readonly #ended = new Map<InboundStream, (code: grpcStatus) => void>();

  add(stream: InboundStream, ended: (code: grpcStatus) => void): void {
    this.#ended.set(stream, ended);
  }

  /** Sees to it that there is room for a stream that was added. */
  admit(stream: InboundStream): void {
    this.#makeRoom("", UNGREETED_STREAMS_MAX);
    // Nobody who is let in makes room for a stranger.
    if (this.#ended.size > STREAMS_MAX) stream.crowdOut();
  }

  greeted(from: NodeId): void {
    this.#makeRoom(from, MEMBER_STREAMS_MAX);
  }

  closed(stream: InboundStream, code: grpcStatus): void {
    this.#ended.get(stream)?.(code);
    this.#ended.delete(stream);
  }

  #makeRoom(from: NodeId, max: number): void {
    if (this.#ended.size <= max) return;
    const same = [...this.#ended.keys()].filter((stream) => stream.from === from);
    for (const stream of same.slice(0, Math.max(0, same.length - max))) stream.crowdOut();
  }
}

/** Registers the service; its streams end when the transport is closed. */
export function addRaftService(server: Server, options: RaftServiceOptions): void {
  const { transport, isRemoved, clusterInfo } = options;
  const { context, losses } = transport;
  const calls = createCallCounts(context.meter);
  const turnedAway = new Set<string>();
  const streams = new OpenStreams();
  const badFrames = new ToldOf(BAD_FRAMES_TOLD_MAX);
  const counted = (method: string): ((code: grpcStatus) => void) =>
    countCall(calls, method, context.now);
  const host: InboundHost = {
    context,
    losses,
    isRemoved,
    onGreeted: (id) => {
      context.log.debug("accepted a stream", { peer: id });
      streams.greeted(id);
      transport.peerDialled(id);
    },
    onTurnedAway: (caller, refusal) => {
      const key = `${caller} ${refusal.details}`;
      if (turnedAway.has(key)) return;
      if (turnedAway.size >= TURNED_AWAY_MAX) turnedAway.clear();
      turnedAway.add(key);
      context.log.warning("refused a peer", { peer: caller, reason: refusal.details });
    },
    onBadFrame: (fields) => {
      if (badFrames.isDue(context.now())) {
        context.log.warning("refused an invalid frame on the peer port", fields);
      }
    },
    onClosed: (stream, code) => {
      transport.release(stream);
      streams.closed(stream, code);
    },
  };
  const snapshots = new SnapshotReceiver(host);
  transport.adopt(snapshots);
  server.addService(RAFT_SERVICE, {
    stream: (call: ServerDuplexStream<Buffer, Buffer>) => {
      const stream = new InboundStream(call, host);
      streams.add(stream, counted("Stream"));
      transport.adopt(stream);
      streams.admit(stream);
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
