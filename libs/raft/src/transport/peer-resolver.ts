/**
 * How gRPC finds the address of a peer: an address is taken as it stands, a name is looked up the
 * way every other program of this machine looks it up. Our own, because the resolvers of the library
 * and the HTTP/2 client beneath read names as browsers do, which refuse `etcd.1` and zones.
 */
import { experimental, Metadata, status } from "@grpc/grpc-js";
import { splitHostPort } from "@etcd2/net-url";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";

const SCHEME = "etcd-peer";

/** Names are looked up again this long after the last time at the earliest. */
const REPEAT_MS = 1000;

/** What gRPC is to dial. */
export function peerTarget(host: string, port: number): string {
  return `${SCHEME}:${host.includes(":") ? `[${host}]` : host}:${port}`;
}

async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

class PeerResolver implements experimental.Resolver {
  readonly #host: string;
  readonly #port: number;
  readonly #listener: experimental.ResolverListener;
  #isBusy = false;
  /** Grows with every destroy, so that an answer that comes late is nobody's. */
  #generation = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(target: { readonly path: string }, listener: experimental.ResolverListener) {
    const { host = "", port = "" } = splitHostPort(target.path) ?? {};
    this.#host = host;
    this.#port = Number(port);
    this.#listener = listener;
  }

  updateResolution(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    void this.#resolve(this.#generation);
  }

  destroy(): void {
    this.#generation++;
    this.#isBusy = false;
    clearTimeout(this.#timer);
  }

  async #resolve(generation: number): Promise<void> {
    let endpoints: Parameters<experimental.ResolverListener>[0];
    try {
      const addresses = await addressesOf(this.#host);
      endpoints = experimental.statusOrFromValue(
        addresses.map((host) => ({ addresses: [{ host, port: this.#port }] })),
      );
    } catch (error) {
      const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
      const reason = code === "ENOTFOUND" ? "no such host" : (code ?? String(error));
      endpoints = experimental.statusOrFromError({
        code: status.UNAVAILABLE,
        details: `lookup ${this.#host}: ${reason}`,
        metadata: new Metadata(),
      });
    }
    if (generation !== this.#generation) return;
    this.#timer = setTimeout(() => {
      this.#isBusy = false;
    }, REPEAT_MS);
    this.#timer.unref();
    this.#listener(endpoints, {}, null, "");
  }

  /** Stands in for the host where the HTTP/2 client wants one; calls carry the real one. */
  static getDefaultAuthority(): string {
    return SCHEME;
  }
}

experimental.registerResolver(SCHEME, PeerResolver);
