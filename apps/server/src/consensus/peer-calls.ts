/**
 * Calls by which members ask each other something beside consensus. A connection is kept between
 * two questions, so that the time of an answer is a round trip and not that of a handshake.
 */
import { status as grpcStatus } from "@grpc/grpc-js";
import type { Client, MethodDefinition, ServiceError } from "@grpc/grpc-js";
import { createPeerClient } from "@etcd2/raft";
import type { PeerCredentials } from "@etcd2/raft";

/** Far more than any answer takes. */
const ANSWER_BYTES_MAX = 1 << 20;
/** A console that is open asks every few seconds. */
const IDLE_CLOSE_MS = 30_000;

export interface PeerAnswer {
  readonly bytes: Buffer;
  readonly roundTripMs: number;
}

interface Kept {
  readonly client: Client;
  timer: NodeJS.Timeout;
}

const asBytes = (bytes: Buffer): Buffer => bytes;

/** The definition of a method that takes and gives encoded messages. */
export function bytesMethod(path: string): MethodDefinition<Buffer, Buffer> {
  return {
    ...{ path, requestStream: false, responseStream: false },
    ...{ requestSerialize: asBytes, requestDeserialize: asBytes },
    ...{ responseSerialize: asBytes, responseDeserialize: asBytes },
  };
}

export class PeerCalls {
  readonly #credentials: () => PeerCredentials;
  readonly #kept = new Map<string, Kept>();

  constructor(credentials: () => PeerCredentials) {
    this.#credentials = credentials;
  }

  /**
   * @param path Of the method: `/service/Method`.
   * @throws ServiceError when there is no answer in time.
   */
  async call(
    url: string,
    path: string,
    request: Uint8Array,
    timeoutMs: number,
  ): Promise<PeerAnswer> {
    const client = this.#clientOf(url);
    const deadline = Date.now() + timeoutMs;
    try {
      await new Promise<void>((resolve, reject) => {
        client.waitForReady(deadline, (error) => {
          if (error === undefined) resolve();
          else reject(error);
        });
      });
      const start = performance.now();
      const bytes = await new Promise<Buffer>((resolve, reject) => {
        const done = (error: ServiceError | null, response?: Buffer): void => {
          if (error !== null) reject(error);
          else resolve(response ?? Buffer.alloc(0));
        };
        const body = Buffer.from(request);
        client.makeUnaryRequest(path, asBytes, asBytes, body, { deadline }, done);
      });
      return { bytes, roundTripMs: performance.now() - start };
    } catch (error) {
      if (!isUnknownCall(error)) this.#drop(url);
      throw error;
    }
  }

  close(): void {
    for (const url of [...this.#kept.keys()]) this.#drop(url);
  }

  #clientOf(url: string): Client {
    const kept = this.#kept.get(url);
    if (kept !== undefined) {
      kept.timer.refresh();
      return kept.client;
    }
    const credentials = this.#credentials();
    const client = createPeerClient({ url, credentials, frameBytesMax: ANSWER_BYTES_MAX });
    const timer = setTimeout(() => {
      this.#drop(url);
    }, IDLE_CLOSE_MS).unref();
    this.#kept.set(url, { client, timer });
    return client;
  }

  #drop(url: string): void {
    const kept = this.#kept.get(url);
    if (kept === undefined) return;
    this.#kept.delete(url);
    clearTimeout(kept.timer);
    kept.client.close();
  }
}

/** The member is of a release without the call. */
export function isUnknownCall(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === grpcStatus.UNIMPLEMENTED;
}
