/**
 * One lane to a peer: a bounded queue and, while connected, the stream it empties into. Owns
 * batching, the cutting of large batches and back-pressure. Does not know why there are two lanes
 * (peer.ts says) nor how streams come and go.
 */
import type { Message, NodeId } from "../../core/model/types.ts";
import { CodecError } from "../../codec/codec-error.ts";
import { encodeBatchFrame } from "../../codec/frames.ts";
import type { PeerStream } from "./peer-stream.ts";
import { SendQueue } from "./send-queue.ts";
import type { TransportContext } from "../options.ts";
import type { PeerCounts } from "../peer-counts.ts";

/** One of the two streams to a peer, and the messages that wait for it. */
export class PeerLane {
  readonly #context: TransportContext;
  readonly #peerId: NodeId;
  readonly #counts: PeerCounts;
  readonly #queue: SendQueue;
  #stream: PeerStream | undefined;
  /** When the oldest message now queued was queued, nearly. */
  #queuedAt = 0;

  constructor(context: TransportContext, peerId: NodeId, overflow: "refuseNew" | "dropOldest") {
    const { queueCountMax, queueBytesMax } = context.limits;
    this.#context = context;
    this.#peerId = peerId;
    this.#counts = context.peerCounts(peerId);
    this.#queue = new SendQueue({ countMax: queueCountMax, bytesMax: queueBytesMax }, overflow);
  }

  get queuedCount(): number {
    return this.#queue.length;
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** From now on flush() writes to `stream`. */
  attach(stream: PeerStream): void {
    this.#stream = stream;
  }

  detach(): void {
    this.#stream = undefined;
  }

  /** Returns how many messages were lost to make room, or for want of it. */
  push(message: Message): number {
    if (this.#queue.length === 0) this.#queuedAt = this.#context.now();
    return this.#queue.push(message);
  }

  /** Forgets what is queued and says how many that were. */
  clear(): number {
    const lost = this.#queue.length;
    this.#queue.clear();
    return lost;
  }

  /** Writes what the socket will take now. The rest goes when the stream reports onDrained(). */
  flush(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    const { batchBytesMax } = this.#context.limits;
    while (this.#queue.length > 0 && stream.writable) {
      this.#write(stream, this.#queue.take(batchBytesMax));
    }
  }

  /** Writes all that is queued, whether the socket keeps up or not: for the last moment of a link. */
  flushAll(): void {
    const stream = this.#stream;
    while (stream !== undefined && this.#queue.length > 0) {
      this.#write(stream, this.#queue.take(this.#context.limits.batchBytesMax));
    }
  }

  #write(stream: PeerStream, messages: readonly Message[]): void {
    const { traffic, now } = this.#context;
    const frame = this.#encode(messages);
    if (frame === undefined) return;
    const queuedAt = this.#queuedAt;
    let appends = 0;
    for (const { type } of messages) if (type === "append") appends += 1;
    stream.write(frame, () => {
      const seconds = (now() - queuedAt) / 1000;
      this.#counts.sentBytes.add(frame.length);
      this.#counts.sentMessages.add(messages.length);
      this.#counts.sendLatency.observe(seconds);
      if (appends > 0) traffic.onAppendsSent(this.#peerId, appends, frame.length);
    });
  }

  /** A message that cannot be encoded is a defect of the sender: drop its batch, say so, go on. */
  #encode(messages: readonly Message[]): Buffer | undefined {
    try {
      return encodeBatchFrame(messages);
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      const fields = { peer: this.#peerId, messages: messages.length, reason: error.message };
      this.#context.log.error("dropped messages that cannot be encoded", fields);
      this.#counts.droppedMessages.add(messages.length);
      this.#context.traffic.onMessagesDropped(this.#peerId, messages.length);
      return undefined;
    }
  }
}
