/** The client for Node: everything of the core, with TLS and connections of Node's own. */
import { type ClientOptions, EtcdClient } from "../client.ts";
import { nodeTransport, type NodeTransportOptions } from "./node-transport.ts";

export * from "../index.ts";
export { nodeTransport, type NodeTransportOptions, type TlsOptions } from "./node-transport.ts";

export interface NodeClientOptions extends Omit<ClientOptions, "transport">, NodeTransportOptions {}

/** A client on Node's transport. @throws EndpointError, NoEndpointsError. */
export function createClient(options: NodeClientOptions): EtcdClient {
  return new EtcdClient({ ...options, transport: nodeTransport(options) });
}
