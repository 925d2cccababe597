/**
 * Builds the gRPC client for one peer URL. Owns the channel settings: one connection of its own
 * per client, no proxies, no retries behind our back, HTTP/2 keep-alive. Knows no messages.
 */
import { Client, credentials } from "@grpc/grpc-js";
import type { ChannelCredentials, ChannelOptions } from "@grpc/grpc-js";
import { certificateName, dialHost, hostHeader, parseUrl, portOf } from "@etcd2/net-url";
import type { NetUrl } from "@etcd2/net-url";
import { peerTarget } from "./peer-resolver.ts";
import type { PeerCredentials } from "./options.ts";

/**
 * Keep-alive pings of the HTTP/2 layer. They catch what the pings inside the streams cannot, a
 * connection on which only a snapshot travels; the streams notice a dead peer long before.
 */
const KEEPALIVE_MS = 10_000;

const PORT_MAX = 65_535;

/** @throws UrlError, TypeError when `text` is no http or https URL. */
export function parsePeerUrl(text: string): NetUrl {
  const url = parseUrl(text);
  if (!isSecure(url) && url.scheme !== "http") {
    throw new TypeError(`"${text}" is not an http or https URL`);
  }
  if (url.host === "" || portOf(url) > PORT_MAX) {
    throw new TypeError(`"${text}" does not have the form http://host:port`);
  }
  return url;
}

/** Whether the URL asks for TLS. */
export function isSecure({ scheme }: NetUrl): boolean {
  return scheme === "https";
}

function channelCredentials(url: NetUrl, given: PeerCredentials | undefined): ChannelCredentials {
  const scheme = isSecure(url) ? "https" : "http";
  if (given !== undefined) return given(scheme);
  return isSecure(url) ? credentials.createSsl() : credentials.createInsecure();
}

/** How a peer is dialled. */
export interface PeerClientOptions {
  readonly url: string;
  readonly credentials: PeerCredentials | undefined;
  readonly frameBytesMax: number;
}

/** @throws UrlError, TypeError when the URL is none. */
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
    "grpc.default_authority": hostHeader(url.host),
    "grpc.max_receive_message_length": options.frameBytesMax,
    "grpc.max_send_message_length": -1,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_MS,
  };
  // A certificate names the host of the URL, not the address dialled in its place.
  if (isSecure(url)) {
    channel["grpc.ssl_target_name_override"] = certificateName(url.hostname);
  }
  const target = peerTarget(dialHost(url.hostname), portOf(url));
  return new Client(target, channelCredentials(url, options.credentials), channel);
}
