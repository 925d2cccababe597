/**
 * The serving end of one Stream call: checks the Hello, hands batches to the listener, answers
 * pings, notices when the caller's process dies. Does not send raft messages: those have the link
 * in the other direction (peer.ts).
 */
import { status as grpcStatus } from "@grpc/grpc-js";
import type { ServerDuplexStream, StatusObject } from "@grpc/grpc-js";
import { Metadata } from "@grpc/grpc-js";
import type { Message, NodeId } from "../../core/model/types.ts";
import { CodecError } from "../../codec/codec-error.ts";
import {
  decodeStreamFrame,
  encodeHelloFrame,
  encodePongFrame,
  encodePositionFrame,
  mayBeHelloFrame,
} from "../../codec/frames.ts";
import type { StreamFrame } from "../../codec/frames.ts";
import type { LinkLosses } from "../link-losses.ts";
import { refusalStatus, refuseHello, removedRefusal } from "../refusal.ts";
import type { Refusal } from "../refusal.ts";
import { greeting } from "../options.ts";
import type { TransportContext } from "../options.ts";

/** What serving ends share. */
export interface InboundHost {
  readonly context: TransportContext;
  readonly losses: LinkLosses;
  /** True for a member that was removed from the cluster. */
  isRemoved(id: NodeId): boolean;
  /** A peer has dialled us and was let in. */
  onGreeted(id: NodeId): void;
  /** A caller was turned away; says so once per caller and reason. */
  onTurnedAway(caller: string, refusal: Refusal): void;
  /** A frame was invalid, and the stream ends; says so a bounded number of times. */
  onBadFrame(fields: Readonly<Record<"peer" | "address" | "reason", string>>): void;
  /** The call ended with this status, CANCELLED when the connection broke. */
  onClosed(stream: InboundStream, code: grpcStatus): void;
}

/**
 * Frames without a message that a caller may send in the time between two pings, of which it owes one;
 * each costs far more to take than to send.
 */
const IDLE_FRAMES_MAX = 256;

/** Pings without an answer for so long mean that a reset tells nothing new. */
const FRESH_INTERVALS = 4;

/** One stream that a peer has opened to this member. */
export class InboundStream {
  readonly #call: ServerDuplexStream<Buffer, Buffer>;
  readonly #host: InboundHost;
  readonly #helloTimer: NodeJS.Timeout;
  /** Empty until the Hello has been accepted. */
  #from: NodeId = "";
  #generation = 0;
  #heardAt = 0;
  /** Frames without a message since then. */
  #idleSince = 0;
  #idleFrames = 0;
  #over = false;

  constructor(call: ServerDuplexStream<Buffer, Buffer>, host: InboundHost) {
    this.#call = call;
    this.#host = host;
    this.#helloTimer = setTimeout(() => {
      this.#fail(grpcStatus.DEADLINE_EXCEEDED, "no hello");
    }, host.context.limits.dialTimeoutMs);
    call.on("data", (bytes: Buffer) => {
      this.#onBytes(bytes);
    });
    call.on("end", () => {
      // A connection that breaks ends the stream too, and cancels it in the same turn.
      setImmediate(() => {
        if (this.#finish(grpcStatus.OK)) call.end();
      });
    });
    call.on("cancelled", () => {
      this.#onCancelled();
    });
    // A failed write to a caller that is gone; the cancellation follows.
    call.on("error", () => undefined);
  }

  /** This member goes away: the caller is told, and may take it for the loss that it is. */
  close(): void {
    this.#fail(grpcStatus.UNAVAILABLE, "the member is shutting down");
  }

  /** Sends a frame to the caller if it was let in and takes what it is sent. */
  tell(frame: Buffer): void {
    if (this.#over || this.#from === "" || this.#call.writableNeedDrain) return;
    this.#call.write(frame);
  }

  #finish(code: grpcStatus): boolean {
    if (this.#over) return false;
    this.#over = true;
    clearTimeout(this.#helloTimer);
    this.#host.onClosed(this, code);
    return true;
  }

  #fail(code: grpcStatus, details: string): void {
    this.#endWith({ code, details, metadata: new Metadata() });
  }

  /** gRPC's way to end a duplex call with a status. */
  #endWith(status: StatusObject): void {
    if (this.#finish(status.code)) this.#call.emit("error", status);
  }

  /** Whom this is from; empty until its Hello has been accepted. */
  get from(): NodeId {
    return this.#from;
  }

  /** Ends a stream that is one too many. */
  crowdOut(): void {
    this.#fail(grpcStatus.RESOURCE_EXHAUSTED, "too many streams");
  }

  #onBytes(bytes: Buffer): void {
    if (this.#over) return;
    if (this.#from === "" && !mayBeHelloFrame(bytes)) {
      this.#onBadFrame("the first frame is not a hello");
      return;
    }
    let frame: StreamFrame | undefined;
    try {
      frame = decodeStreamFrame(ownBytes(bytes));
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      this.#onBadFrame(error.message);
      return;
    }
    if (this.#from === "") this.#onFirst(frame);
    else if (this.#isFlood(frame)) this.#fail(grpcStatus.RESOURCE_EXHAUSTED, "too many frames");
    else if (frame !== undefined) this.#onFrame(frame, bytes.length);
  }

  /** Counts frames that bring nothing. */
  #isFlood(frame: StreamFrame | undefined): boolean {
    if (frame?.kind === "batch" && frame.messages.length > 0) return false;
    const { now, limits } = this.#host.context;
    if (now() - this.#idleSince > limits.pingIntervalMs) {
      this.#idleSince = now();
      this.#idleFrames = 0;
    }
    this.#idleFrames += 1;
    return this.#idleFrames > IDLE_FRAMES_MAX;
  }

  #onBadFrame(reason: string): void {
    this.#host.onBadFrame({ peer: this.#from, address: this.#call.getPeer(), reason });
    this.#fail(grpcStatus.INVALID_ARGUMENT, `invalid frame: ${reason}`);
  }

  #onFirst(frame: StreamFrame | undefined): void {
    if (frame?.kind !== "hello") {
      this.#onBadFrame("the first frame is not a hello");
      return;
    }
    const { hello } = frame;
    const { context, losses } = this.#host;
    const refusal = refuseHello(hello, context, (id) => this.#host.isRemoved(id));
    if (refusal !== undefined) {
      this.#turnAway(hello.from, refusal);
      return;
    }
    clearTimeout(this.#helloTimer);
    this.#from = hello.from;
    this.#generation = losses.generation(hello.from);
    this.#heardAt = context.now();
    this.#call.write(encodeHelloFrame(greeting(context, hello.from)));
    if (context.lives !== undefined) this.tell(encodePositionFrame(context.lives.position()));
    this.#host.onGreeted(hello.from);
  }

  #onFrame(frame: StreamFrame, bytes: number): void {
    const { context } = this.#host;
    this.#heardAt = context.now();
    if (this.#host.isRemoved(this.#from)) {
      this.#turnAway(this.#from, removedRefusal(this.#from, context));
      return;
    }
    switch (frame.kind) {
      case "batch":
        this.#onBatch(frame.messages, bytes);
        return;
      case "ping":
        // A caller that does not read its pongs gets no more of them.
        if (!this.#call.writableNeedDrain) this.#call.write(encodePongFrame(frame.sentNs));
        return;
      case "hello":
      case "pong":
      case "position":
        return;
    }
  }

  #onBatch(messages: readonly Message[], bytes: number): void {
    const { context } = this.#host;
    let appends = 0;
    for (const { from, to, type } of messages) {
      if (type === "append") appends += 1;
      if (from !== this.#from || to !== context.memberId) {
        this.#onBadFrame(`message from ${from} to ${to} in the stream of ${this.#from}`);
        return;
      }
    }
    const counts = context.peerCounts(this.#from);
    counts.receivedBytes.add(bytes);
    counts.receivedMessages.add(messages.length);
    if (appends > 0) context.traffic.onAppendsReceived(this.#from, appends, bytes);
    context.listener.onMessages(messages);
  }

  #turnAway(caller: string, refusal: Refusal): void {
    this.#host.onTurnedAway(caller, refusal);
    this.#endWith(refusalStatus(refusal));
  }

  /** The connection broke: a caller that closes in good order ends the stream first. */
  #onCancelled(): void {
    if (!this.#finish(grpcStatus.CANCELLED) || this.#from === "") return;
    const { context, losses } = this.#host;
    const silentMs = context.now() - this.#heardAt;
    if (silentMs > context.limits.pingIntervalMs * FRESH_INTERVALS) return;
    losses.lost(this.#from, this.#generation);
  }
}

/**
 * Entries keep the bytes they arrived in alive. Small frames come out of a pool shared with
 * unrelated buffers; they are copied once, so that one entry does not hold a whole pool.
 */
function ownBytes(bytes: Buffer): Uint8Array {
  return bytes.buffer.byteLength > 2 * bytes.length ? new Uint8Array(bytes) : bytes;
}
