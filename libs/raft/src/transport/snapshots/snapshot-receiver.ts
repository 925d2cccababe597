/**
 * Receives snapshots by the Snapshot call: checks header, length and crc32, and feeds the sink of
 * the host, which changes nothing before commit. One at a time; a later transfer takes the place of
 * an earlier one unless its term is older: a leader that starts anew has given the first one up.
 * Whatever goes wrong, the sink is aborted and the sender told.
 */
import { Metadata, status as grpcStatus } from "@grpc/grpc-js";
import type { sendUnaryData, ServerReadableStream, StatusObject } from "@grpc/grpc-js";
import { crc32 } from "node:zlib";
import type { NodeId, SnapshotMessage, Term } from "../../core/model/types.ts";
import { CodecError } from "../../codec/codec-error.ts";
import { decodeSnapshotChunk, encodeSnapshotResult } from "../../codec/frames.ts";
import type { SnapshotChunk } from "../../codec/frames.ts";
import { refusalStatus, refuseHello } from "../refusal.ts";
import type { Refusal } from "../refusal.ts";
import type { TransportContext } from "../options.ts";
import type { SnapshotSink } from "../transport.ts";

type SnapshotStream = ServerReadableStream<Buffer, Buffer>;

/** Bytes of the chunk that says who sends what: ids of members, mostly. */
const HEADER_BYTES_MAX = 256 << 10;

/** What a receiver asks of the service. */
export interface SnapshotHost {
  readonly context: TransportContext;
  isRemoved(id: NodeId): boolean;
  onTurnedAway(caller: string, refusal: Refusal): void;
}

/** Why a transfer was turned down, with the status that says so. */
class TransferError extends Error {
  override readonly name = "TransferError";
  readonly status: StatusObject;
  constructor(status: StatusObject) {
    super(status.details);
    this.status = status;
  }
}

function transferError(code: grpcStatus, details: string): TransferError {
  return new TransferError({ code, details, metadata: new Metadata() });
}

interface Transfer {
  readonly term: Term;
  stop(reason: Error): void;
  /** Resolves when the sink is committed or aborted. */
  readonly done: Promise<void>;
}

/** One snapshot that a peer sends. */
export class SnapshotReceiver {
  readonly #host: SnapshotHost;
  #current: Transfer | undefined;
  #closed = false;

  constructor(host: SnapshotHost) {
    this.#host = host;
  }

  /** Serves one call; never throws. */
  async serve(call: SnapshotStream, answer: sendUnaryData<Buffer>): Promise<void> {
    const { log, limits } = this.#host.context;
    const stall = setTimeout(() => {
      call.destroy(transferError(grpcStatus.DEADLINE_EXCEEDED, "the transfer stalled"));
    }, limits.snapshotStallMs);
    // The iterator reports errors; after its end nobody else listens.
    call.on("error", () => undefined);
    try {
      const bytes = await this.#receive(call, stall);
      answer(null, encodeSnapshotResult(bytes));
    } catch (error) {
      const status = statusOf(error);
      const fields = { address: call.getPeer(), reason: status.details };
      log.warning("a snapshot transfer failed", fields);
      answer(status);
    } finally {
      clearTimeout(stall);
    }
  }

  /** Stops a transfer under way; resolves when its sink is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    const current = this.#current;
    current?.stop(transferError(grpcStatus.UNAVAILABLE, "the member is closing"));
    await current?.done;
  }

  async #receive(call: SnapshotStream, stall: NodeJS.Timeout): Promise<number> {
    const chunks = decoded(call);
    const first = await chunks.next();
    if (first.done === true || first.value.kind !== "header") {
      throw transferError(grpcStatus.INVALID_ARGUMENT, "the first chunk is not a header");
    }
    const message = this.#check(first.value);
    const release = await this.#claim(message.term, (reason) => call.destroy(reason));
    try {
      return await this.#store(chunks, message, stall);
    } finally {
      release();
    }
  }

  #check(header: Extract<SnapshotChunk, { kind: "header" }>): SnapshotMessage {
    const { hello, message } = header;
    const { context } = this.#host;
    const refusal = refuseHello(hello, context, (id) => this.#host.isRemoved(id));
    if (refusal !== undefined) {
      this.#host.onTurnedAway(hello.from, refusal);
      throw new TransferError(refusalStatus(refusal));
    }
    const { type, from, to } = message;
    if (type !== "snapshot" || from !== hello.from || to !== context.memberId) {
      const details = `${type} message from ${from} to ${to} in the transfer of ${hello.from}`;
      throw transferError(grpcStatus.INVALID_ARGUMENT, details);
    }
    return message;
  }

  /** Takes the one place there is, from an older transfer if need be. Returns how to leave it. */
  async #claim(term: Term, stop: (reason: Error) => void): Promise<() => void> {
    for (let current = this.#current; current !== undefined; current = this.#current) {
      if (current.term > term) {
        throw transferError(grpcStatus.ABORTED, "a newer leader sends its snapshot");
      }
      current.stop(transferError(grpcStatus.ABORTED, "another transfer takes its place"));
      await current.done;
    }
    if (this.#closed) throw transferError(grpcStatus.UNAVAILABLE, "the member is closing");
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#current = { term, stop, done: promise };
    return () => {
      this.#current = undefined;
      resolve(undefined);
    };
  }

  async #store(
    chunks: AsyncGenerator<SnapshotChunk>,
    message: SnapshotMessage,
    stall: NodeJS.Timeout,
  ): Promise<number> {
    const { listener, log, meter } = this.#host.context;
    const fields = { peer: message.from, index: message.snapshot.index };
    log.info("receiving a snapshot", fields);
    const sink = listener.openSnapshotSink(message);
    let bytes: number;
    try {
      bytes = await this.#fill(sink, chunks, message, stall);
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error));
      await sink.abort(reason);
      throw reason;
    }
    // What is left to do is ours: the sender is no longer waited for.
    clearTimeout(stall);
    const installing = meter.gauge("etcd_server_snapshot_apply_in_progress_total");
    installing.add(1);
    await sink.commit().finally(() => {
      installing.add(-1);
    });
    log.info("received a snapshot", { ...fields, bytes });
    return bytes;
  }

  /** Returns the bytes stored once the trailer has confirmed them. */
  async #fill(
    sink: SnapshotSink,
    chunks: AsyncGenerator<SnapshotChunk>,
    message: SnapshotMessage,
    stall: NodeJS.Timeout,
  ): Promise<number> {
    const counts = this.#host.context.peerCounts(message.from);
    let bytes = 0;
    let checksum = 0;
    for await (const chunk of chunks) {
      stall.refresh();
      if (chunk.kind === "trailer") {
        if (chunk.bytes === bytes && chunk.crc32 === checksum) return bytes;
        const details = `snapshot damaged in transfer: ${bytes} of ${chunk.bytes} bytes, crc32 ${checksum} for ${chunk.crc32}`;
        throw transferError(grpcStatus.DATA_LOSS, details);
      }
      if (chunk.kind === "header") {
        throw transferError(grpcStatus.INVALID_ARGUMENT, "a second header");
      }
      bytes += chunk.data.length;
      checksum = crc32(chunk.data, checksum);
      counts.snapshotBytesReceived.add(chunk.data.length);
      await sink.write(chunk.data);
    }
    throw transferError(grpcStatus.DATA_LOSS, `the transfer ended after ${bytes} bytes`);
  }
}

async function* decoded(call: SnapshotStream): AsyncGenerator<SnapshotChunk> {
  let isFirst = true;
  for await (const bytes of call as AsyncIterable<Buffer>) {
    if (isFirst && bytes.length > HEADER_BYTES_MAX) {
      throw new CodecError("outOfRange", "the first chunk is too long for a header");
    }
    isFirst = false;
    yield decodeSnapshotChunk(bytes);
  }
}

function statusOf(error: unknown): StatusObject {
  if (error instanceof TransferError) return error.status;
  const details = error instanceof Error ? error.message : String(error);
  const code = error instanceof CodecError ? grpcStatus.INVALID_ARGUMENT : grpcStatus.INTERNAL;
  return { code, details, metadata: new Metadata() };
}
