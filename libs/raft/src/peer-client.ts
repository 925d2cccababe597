/**
 * Builds the gRPC client for one peer URL. Owns the channel settings: one connection of its own
 * per client, no proxies, no retries behind our back, HTTP/2 keep-alive. Knows no messages.
 */
import { Client, credentials } from "@grpc/grpc-js";
import type { ChannelCredentials, ChannelOptions } from "@grpc/grpc-js";
import { isIP } from "node:net";
import { resolveLoopback } from "./loopback.ts";
import type { PeerCredentials } from "./transport-options.ts";

/**
 * Keep-alive pings of the HTTP/2 layer. They catch what the pings inside the streams cannot, a
 * connection on which only a snapshot travels; the streams notice a dead peer long before.
 */
const KEEPALIVE_MS = 10_000;

/** @throws TypeError when `text` is no http or https URL with a host. */
export function parsePeerUrl(text: string): URL {
  const url = new URL(text);
  if ((url.protocol !== "http:" && url.protocol !== "https:") || url.hostname === "") {
    throw new TypeError(`"${text}" is not an http or https URL`);
  }
  return url;
}

/** Host and port as gRPC wants them; `localhost` is 127.0.0.1, see loopback.ts. */
function target(url: URL): string {
  const host = resolveLoopback(url.hostname);
  const port = url.port !== "" ? url.port : url.protocol === "https:" ? "443" : "80";
  switch (isIP(host)) {
    case 4:
      return `ipv4:${host}:${port}`;
    case 6:
      return `ipv6:[${host}]:${port}`;
    default:
      return `dns:${host}:${port}`;
  }
}

function channelCredentials(url: URL, given: PeerCredentials | undefined): ChannelCredentials {
  if (given !== undefined) return given(url);
  return url.protocol === "https:" ? credentials.createSsl() : credentials.createInsecure();
}

export interface PeerClientOptions {
  readonly url: string;
  readonly credentials: PeerCredentials | undefined;
  readonly frameBytesMax: number;
}

/** @throws TypeError when the URL is none. */
export function createPeerClient(options: PeerClientOptions): Client {
  const url = parsePeerUrl(options.url);
  const channel: ChannelOptions = {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    // Without this the library keeps a megabyte of frames for a retry that never comes, reports
    // them as written, and back-pressure does not begin before that is full.
    "grpc.per_rpc_retry_buffer_size": 0,
    "grpc.enable_channelz": 0,
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.max_receive_message_length": options.frameBytesMax,
    "grpc.max_send_message_length": -1,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_MS,
  };
  // A certificate names the host of the URL, not the address dialled in its place.
  if (url.protocol === "https:" && resolveLoopback(url.hostname) !== url.hostname) {
    channel["grpc.ssl_target_name_override"] = url.hostname;
    channel["grpc.default_authority"] = url.host;
  }
  return new Client(target(url), channelCredentials(url, options.credentials), channel);
}
