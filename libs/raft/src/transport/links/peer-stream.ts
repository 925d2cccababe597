/**
 * The calling end of one Stream call: writes frames, accounts for what the socket has not taken
 * yet, reports Hello, Pong and the end. Knows neither queues nor reconnects: that is peer.ts.
 */
import type { Client, ClientDuplexStream, StatusObject } from "@grpc/grpc-js";
import { CodecError } from "../../codec/codec-error.ts";
import { decodeStreamFrame } from "../../codec/frames.ts";
import type { Hello, StreamFrame } from "../../codec/frames.ts";
import type { Position } from "../../lives/peer-lives.ts";
import { asBytes, STREAM_PATH } from "../raft-service-definition.ts";

/** What a stream tells its link. */
export interface PeerStreamEvents {
  onHello(hello: Hello): void;
  onPong(sentNs: number): void;
  onPosition(position: Position): void;
  /** The socket took a frame: there may be room for more. */
  onDrained(): void;
  /** The other side sent bytes that are no frame. */
  onBadFrame(error: CodecError): void;
  /** The call is over, for whatever reason. Called once, never after end() or cancel(). */
  onEnd(status: StatusObject): void;
}

/** One outgoing stream, from its greeting to its end. */
export class PeerStream {
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  readonly #events: PeerStreamEvents;
  /** Frames written and not yet taken by the socket: the measure of back-pressure. */
  #inflight = 0;
  #over = false;

  constructor(client: Client, events: PeerStreamEvents) {
    this.#events = events;
    this.#call = client.makeBidiStreamRequest(STREAM_PATH, asBytes, asBytes);
    this.#call.on("data", (bytes: Buffer) => {
      this.#onFrame(bytes);
    });
    // The status event says the same and more; without a listener an error would be thrown.
    this.#call.on("error", () => undefined);
    this.#call.on("status", (status: StatusObject) => {
      if (this.#over) return;
      this.#over = true;
      events.onEnd(status);
    });
  }

  /**
   * True when the socket has taken all that was written; when false, onDrained() follows. The
   * library passes frames on one by one, one per turn of the event loop, so several frames in
   * flight gain nothing: with slow turns they only make a line in front of the newest one, which
   * could have waited in our queue and travelled in the next frame.
   */
  get writable(): boolean {
    return !this.#over && this.#inflight === 0;
  }

  /** `onWritten` is called when the socket has taken the frame, not if the call ends before. */
  write(frame: Buffer, onWritten?: () => void): void {
    if (this.#over) return;
    this.#inflight++;
    this.#call.write(frame, (error?: Error | null) => {
      this.#inflight--;
      if (this.#over || (error !== undefined && error !== null)) return;
      onWritten?.();
      this.#events.onDrained();
    });
  }

  /** Ends the call in good order: the other side knows that nobody died. No event follows. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#call.end();
  }

  /** Drops the call; no event follows. */
  cancel(): void {
    this.#over = true;
    this.#call.cancel();
  }

  #onFrame(bytes: Buffer): void {
    if (this.#over) return;
    let frame: StreamFrame | undefined;
    try {
      frame = decodeStreamFrame(bytes);
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      this.#events.onBadFrame(error);
      return;
    }
    if (frame?.kind === "hello") this.#events.onHello(frame.hello);
    else if (frame?.kind === "pong") this.#events.onPong(frame.sentNs);
    else if (frame?.kind === "position") this.#events.onPosition(frame.position);
  }
}
