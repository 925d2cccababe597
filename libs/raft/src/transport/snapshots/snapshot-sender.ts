/**
 * Streams snapshots to peers by the Snapshot call: header, data, trailer with length and crc32.
 * One per peer and a few in all; each on a connection of its own, so that it shares neither flow
 * control nor fate with raft messages. A transfer that fails is not resumed: raft asks again and
 * the next one starts from zero, which is safe because the receiver changes nothing before the
 * trailer has been checked. Knows nothing of what the bytes mean.
 */
import type { Client, ClientWritableStream } from "@grpc/grpc-js";
import { crc32 } from "node:zlib";
import type { NodeId, SnapshotMessage } from "../../core/model/types.ts";
import {
  decodeSnapshotResult,
  encodeSnapshotData,
  encodeSnapshotHeader,
  encodeSnapshotTrailer,
} from "../../codec/frames.ts";
import { createPeerClient } from "../peer-client.ts";
import { asBytes, SNAPSHOT_PATH } from "../raft-service-definition.ts";
import { greeting } from "../options.ts";
import type { TransportContext } from "../options.ts";

/** Data chunks on the wire are within these bounds, the last one excepted. */
const CHUNK_BYTES_MIN = 64 * 1024;
const CHUNK_BYTES_MAX = 256 * 1024;

/** The snapshots on their way to peers, each over a connection of its own. */
export class SnapshotSender {
  readonly #context: TransportContext;
  readonly #active = new Map<NodeId, SnapshotCall>();
  #closed = false;

  constructor(context: TransportContext) {
    this.#context = context;
  }

  /**
   * Starts a transfer; the source is opened before this returns. The outcome is always reported
   * by onSnapshotSent, later.
   */
  start(message: SnapshotMessage, url: string): void {
    const { limits, listener, log } = this.#context;
    const peer = message.to;
    const full = this.#active.size >= limits.snapshotsMax;
    if (this.#closed || this.#active.has(peer) || full) {
      const reason = full ? "too many transfers at once" : "one is under way";
      log.debug("not sending a snapshot now", { peer, reason });
      setImmediate(() => {
        this.#context.peerCounts(peer).snapshotsFailed.add(1);
        listener.onSnapshotSent(peer, false);
      });
      return;
    }
    const source = listener.openSnapshotSource(message)[Symbol.asyncIterator]();
    const call = new SnapshotCall(this.#context, message, url);
    this.#active.set(peer, call);
    void this.#run(call, source, message);
  }

  /** Gives up the transfer to a peer that is no longer one. */
  stop(id: NodeId): void {
    this.#active.get(id)?.stop(new Error("the peer was removed"));
  }

  /** Gives up all transfers; resolves when their sources are closed. */
  async close(): Promise<void> {
    this.#closed = true;
    const calls = [...this.#active.values()];
    for (const call of calls) call.stop(new Error("the transport is closing"));
    await Promise.all(calls.map((call) => call.done));
  }

  async #run(
    call: SnapshotCall,
    source: AsyncIterator<Uint8Array>,
    message: SnapshotMessage,
  ): Promise<void> {
    const { listener, log } = this.#context;
    const fields = { peer: message.to, index: message.snapshot.index };
    log.info("sending a snapshot", fields);
    let ok = false;
    try {
      const bytes = await call.run(source);
      ok = true;
      log.info("sent a snapshot", { ...fields, bytes });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.warning("snapshot was not delivered", { ...fields, reason });
    }
    // The transfer may have failed before the first chunk was asked for.
    await source.return?.();
    call.finished();
    this.#active.delete(message.to);
    if (this.#closed) return;
    const counts = this.#context.peerCounts(message.to);
    (ok ? counts.snapshotsSent : counts.snapshotsFailed).add(1);
    listener.onSnapshotSent(message.to, ok);
  }
}

/** One transfer, from the header to the receiver's result. */
class SnapshotCall {
  /** Resolves when the transfer is over and its source closed. */
  readonly done: Promise<void>;
  finished: () => void = () => undefined;
  readonly #context: TransportContext;
  readonly #message: SnapshotMessage;
  readonly #url: string;
  #call: ClientWritableStream<Buffer> | undefined;
  #failure: Error | undefined;
  #result: number | undefined;
  /** Frames the socket has not taken: 0 or 1. */
  #unwritten = 0;
  /** Resumes run() from its wait for the socket or for the result. */
  #wake: (() => void) | undefined;

  constructor(context: TransportContext, message: SnapshotMessage, url: string) {
    this.#context = context;
    this.#message = message;
    this.#url = url;
    this.done = new Promise((resolve) => {
      this.finished = resolve;
    });
  }

  stop(reason: Error): void {
    this.#failure ??= reason;
    this.#call?.cancel();
    this.#wake?.();
  }

  /** Returns the number of bytes delivered. */
  async run(source: AsyncIterator<Uint8Array>): Promise<number> {
    const { snapshotStallMs } = this.#context.limits;
    const stall = setTimeout(() => {
      this.stop(new Error(`no progress within ${snapshotStallMs} ms`));
    }, snapshotStallMs);
    let client: Client | undefined;
    try {
      const { credentials, limits } = this.#context;
      const { frameBytesMax } = limits;
      client = createPeerClient({ url: this.#url, credentials, frameBytesMax });
      return await this.#transfer(client, source, stall);
    } finally {
      clearTimeout(stall);
      this.#call?.cancel();
      client?.close();
    }
  }

  async #transfer(
    client: Client,
    source: AsyncIterator<Uint8Array>,
    stall: NodeJS.Timeout,
  ): Promise<number> {
    const { limits } = this.#context;
    const counts = this.#context.peerCounts(this.#message.to);
    const { snapshotInstallMs } = limits;
    const call = this.#open(client);
    await this.#write(call, this.#header());
    let bytes = 0;
    let checksum = 0;
    for await (const chunk of rechunk(source)) {
      await this.#write(call, encodeSnapshotData(chunk));
      bytes += chunk.length;
      checksum = crc32(chunk, checksum);
      counts.snapshotBytesSent.add(chunk.length);
      stall.refresh();
    }
    await this.#write(call, encodeSnapshotTrailer(bytes, checksum));
    call.end();
    // The receiver now stores and installs, which may take its time.
    clearTimeout(stall);
    const install = setTimeout(() => {
      this.stop(new Error(`not installed within ${snapshotInstallMs} ms`));
    }, snapshotInstallMs);
    try {
      while (this.#result === undefined) await this.#wait();
    } finally {
      clearTimeout(install);
    }
    if (this.#result !== bytes) {
      throw new Error(`the peer has ${this.#result} of ${bytes} bytes`);
    }
    return bytes;
  }

  #open(client: Client): ClientWritableStream<Buffer> {
    const onResult = (error: Error | null, response?: Buffer): void => {
      if (error !== null) this.#failure ??= error;
      else this.#result = decodeSnapshotResult(response ?? Buffer.alloc(0));
      this.#wake?.();
    };
    const call = client.makeClientStreamRequest<Buffer, Buffer>(
      SNAPSHOT_PATH,
      asBytes,
      asBytes,
      onResult,
    );
    call.on("error", () => undefined);
    this.#call = call;
    return call;
  }

  #header(): Buffer {
    return encodeSnapshotHeader(greeting(this.#context, this.#message.to), this.#message);
  }

  /** Resolves when the socket has taken the frame; throws when the call is over. */
  async #write(call: ClientWritableStream<Buffer>, frame: Buffer): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#unwritten++;
    call.write(frame, () => {
      this.#unwritten--;
      this.#wake?.();
    });
    while (this.#unwritten > 0) await this.#wait();
  }

  async #wait(): Promise<void> {
    if (this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** Cuts and joins chunks into the sizes that travel well. */
export async function* rechunk(source: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  for (let next = await source.next(); next.done !== true; next = await source.next()) {
    const chunk = next.value;
    if (chunk.length === 0) continue;
    pendingBytes += chunk.length;
    if (pendingBytes < CHUNK_BYTES_MIN) {
      // Copied: the source may reuse its buffer once it is asked for more.
      pending.push(new Uint8Array(chunk));
      continue;
    }
    pending.push(chunk);
    const joined = pending.length === 1 ? chunk : Buffer.concat(pending, pendingBytes);
    pending = [];
    let from = 0;
    while (joined.length - from >= CHUNK_BYTES_MIN) {
      yield joined.subarray(from, Math.min(joined.length, from + CHUNK_BYTES_MAX));
      from = Math.min(joined.length, from + CHUNK_BYTES_MAX);
    }
    if (from < joined.length) pending.push(new Uint8Array(joined.subarray(from)));
    pendingBytes = joined.length - from;
  }
  if (pendingBytes > 0) yield Buffer.concat(pending, pendingBytes);
}
