/**
 * One client URL of a member as a target of requests, and whether it failed a moment ago. Also
 * tells URLs that lead back to this process. Sends nothing.
 */
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { NetUrl } from "@etcd2/net-url";
import { bindHost, certificateName, dialHost, parseUrl, portOf, UrlError } from "@etcd2/net-url";
import type { SocketUrl } from "../config/urls.ts";

const PORT_MAX = 65_535;

export class Endpoint {
  /** As the member advertises it. */
  readonly text: string;
  readonly url: NetUrl;
  readonly isSecure: boolean;
  /** What to connect to. */
  readonly host: string;
  readonly port: number;
  /** What its certificate must be for. */
  readonly name: string;
  #restsUntilMs = Number.NEGATIVE_INFINITY;

  private constructor(text: string, url: NetUrl) {
    this.text = text;
    this.url = url;
    this.isSecure = url.scheme === "https";
    this.host = dialHost(url.hostname);
    this.name = certificateName(url.hostname);
    this.port = portOf(url);
  }

  /** Undefined for what is no http or https URL. */
  static parse(text: string): Endpoint | undefined {
    try {
      const url = parseUrl(text);
      const isUsable = /^https?$/.test(url.scheme) && url.host !== "" && portOf(url) <= PORT_MAX;
      return isUsable ? new Endpoint(text, url) : undefined;
    } catch (error) {
      if (error instanceof UrlError) return undefined;
      throw error;
    }
  }

  isAvailable(nowMs: number): boolean {
    return nowMs >= this.#restsUntilMs;
  }

  rest(untilMs: number): void {
    this.#restsUntilMs = untilMs;
  }
}

function isEverywhere(host: string): boolean {
  return host === "" || host === "0.0.0.0" || host === "::";
}

/**
 * Makes the test for URLs that lead to one of the own listeners. Names other than localhost are
 * not resolved.
 */
export function selfTest(listening: readonly SocketUrl[]): (url: NetUrl) => boolean {
  const own = new Set<string>(["127.0.0.1", "::1"]);
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address } of addresses ?? []) own.add(address);
  }
  return (url) => {
    const host = dialHost(url.hostname);
    const port = portOf(url);
    return listening.some((listener) => {
      if (listener.port !== port) return false;
      const bound = bindHost(listener.host);
      if (isEverywhere(bound)) return isEverywhere(host) || (isIP(host) !== 0 && own.has(host));
      return bound === host;
    });
  };
}
