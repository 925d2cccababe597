/** Asks a member by its peer URL about its cluster: what joiners, proxies and tools do first. */
import { status as grpcStatus } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import type { Index } from "../core/model/types.ts";
import { decodeClusterInfo, encodeClusterInfoRequest } from "../codec/frames.ts";
import type { ClusterInfo } from "../codec/frames.ts";
import { createPeerClient } from "../transport/peer-client.ts";
import { asBytes, CLUSTER_INFO_PATH } from "../transport/raft-service-definition.ts";
import { DEFAULT_TRANSPORT_LIMITS } from "../transport/options.ts";
import type { PeerCredentials } from "../transport/options.ts";

/** Why a member gave no answer about its cluster. */
export type ClusterInfoErrorCode =
  /** No connection, or a member that is not ready. */
  | "unreachable"
  /** No answer in time: slow, stopped, or cut off without a word. */
  | "late"
  /** Something answers there, but no member that can say: another program, or one not ready. */
  | "notAMember"
  /** The URL cannot be used. */
  | "badUrl";

/** A member that was asked about its cluster gave no good answer. */
export class ClusterInfoError extends Error {
  override readonly name = "ClusterInfoError";
  readonly code: ClusterInfoErrorCode;
  constructor(code: ClusterInfoErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** How a member is asked. */
export interface FetchClusterInfoOptions {
  readonly timeoutMs: number;
  readonly credentials?: PeerCredentials;
  /** An entry whose term is asked for as well. */
  readonly logIndex?: Index;
}

/** @throws ClusterInfoError naming the URL. */
export async function fetchClusterInfo(
  url: string,
  options: FetchClusterInfoOptions,
): Promise<ClusterInfo> {
  const { frameBytesMax } = DEFAULT_TRANSPORT_LIMITS;
  let client;
  try {
    client = createPeerClient({ url, credentials: options.credentials, frameBytesMax });
  } catch (cause) {
    throw new ClusterInfoError("badUrl", `${url}: ${messageOf(cause)}`, { cause });
  }
  const connected = client;
  try {
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      // The library measures deadlines on the wall clock.
      const deadline = Date.now() + options.timeoutMs;
      connected.makeUnaryRequest<Buffer, Buffer>(
        CLUSTER_INFO_PATH,
        asBytes,
        asBytes,
        encodeClusterInfoRequest(options.logIndex),
        { deadline },
        (error: ServiceError | null, response?: Buffer) => {
          if (error !== null) reject(error);
          else resolve(response ?? Buffer.alloc(0));
        },
      );
    });
    return decodeClusterInfo(bytes);
  } catch (cause) {
    throw new ClusterInfoError(codeOf(cause), `${url}: ${messageOf(cause)}`, { cause });
  } finally {
    connected.close();
  }
}

function codeOf(cause: unknown): ClusterInfoErrorCode {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === grpcStatus.DEADLINE_EXCEEDED) return "late";
  return code === grpcStatus.UNAVAILABLE ? "unreachable" : "notAMember";
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
