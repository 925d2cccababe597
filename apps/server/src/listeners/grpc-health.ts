/**
 * Owns the standard gRPC health service (grpc.health.v1) of the peer port, its two small messages
 * encoded by hand. Whether the member is healthy is the server's judgement; calls other than
 * Check are left unimplemented, which the standard allows.
 */
import { Metadata, status as grpcStatus } from "@grpc/grpc-js";
import type { sendUnaryData, Server, ServerUnaryCall, ServiceDefinition } from "@grpc/grpc-js";

/** Path of Check, as HTTP/2 knows it. */
export const HEALTH_CHECK_PATH = "/grpc.health.v1.Health/Check";

const SERVING = 1;
const NOT_SERVING = 2;

/** A request names one service of at most so many bytes. */
const NAME_BYTES_MAX = 1024;

function asBytes(bytes: Buffer): Buffer {
  return bytes;
}

const HEALTH_SERVICE: ServiceDefinition = {
  check: {
    path: HEALTH_CHECK_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: asBytes,
    requestDeserialize: asBytes,
    responseSerialize: asBytes,
    responseDeserialize: asBytes,
  },
};

interface Varint {
  readonly value: number;
  readonly end: number;
}

function readVarint(bytes: Uint8Array, start: number): Varint | undefined {
  let value = 0;
  for (let at = start; at < bytes.length && at < start + 5; at += 1) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return { value, end: at + 1 };
  }
  return undefined;
}

/** The service a HealthCheckRequest asks about, "" for all; undefined when it is none. */
function decodeHealthRequest(bytes: Uint8Array): string | undefined {
  let service = "";
  let at = 0;
  while (at < bytes.length) {
    // The message has one field, a string with the number 1; nothing else was ever defined.
    const length = bytes[at] === 0x0a ? readVarint(bytes, at + 1) : undefined;
    if (length === undefined || length.value > NAME_BYTES_MAX) return undefined;
    at = length.end + length.value;
    if (at > bytes.length) return undefined;
    service = Buffer.from(bytes.subarray(length.end, at)).toString("utf8");
  }
  return service;
}

export interface HealthServiceOptions {
  /** Names that can be asked about besides "". */
  readonly services: readonly string[];
  readonly isHealthy: () => Promise<boolean>;
}

function refuse(answer: sendUnaryData<Buffer>, code: grpcStatus, details: string): void {
  answer({ code, details, metadata: new Metadata() });
}

/** Registers the service. */
export function addHealthService(server: Server, options: HealthServiceOptions): void {
  const known = new Set(["", ...options.services]);
  server.addService(HEALTH_SERVICE, {
    check: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      const service = decodeHealthRequest(call.request);
      if (service === undefined) {
        refuse(answer, grpcStatus.INVALID_ARGUMENT, "not a health check request");
      } else if (!known.has(service)) {
        refuse(answer, grpcStatus.NOT_FOUND, "unknown service");
      } else {
        options.isHealthy().then(
          (isHealthy) => {
            answer(null, Buffer.from([0x08, isHealthy ? SERVING : NOT_SERVING]));
          },
          () => {
            answer(null, Buffer.from([0x08, NOT_SERVING]));
          },
        );
      }
    },
  });
}
