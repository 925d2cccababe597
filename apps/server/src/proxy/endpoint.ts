/**
 * One client URL of a member as a target of requests, and whether it failed a moment ago. Also
 * tells URLs that lead back to this process. Sends nothing.
 */
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { resolveLoopback } from "@etcd2/raft";
import type { SocketUrl } from "../config/urls.ts";

export class Endpoint {
  /** As the member advertises it. */
  readonly text: string;
  readonly url: URL;
  readonly isSecure: boolean;
  /** What to connect to. */
  readonly host: string;
  readonly port: number;
  #restsUntilMs = Number.NEGATIVE_INFINITY;

  private constructor(text: string, url: URL) {
    this.text = text;
    this.url = url;
    this.isSecure = url.protocol === "https:";
    this.host = resolveLoopback(url.hostname);
    this.port = portOf(url);
  }

  /** Undefined for what is no http or https URL. */
  static parse(text: string): Endpoint | undefined {
    if (!URL.canParse(text)) return undefined;
    const url = new URL(text);
    return /^https?:$/.test(url.protocol) ? new Endpoint(text, url) : undefined;
  }

  isAvailable(nowMs: number): boolean {
    return nowMs >= this.#restsUntilMs;
  }

  rest(untilMs: number): void {
    this.#restsUntilMs = untilMs;
  }
}

function portOf(url: URL): number {
  if (url.port !== "") return Number(url.port);
  return url.protocol === "https:" ? 443 : 80;
}

function isEverywhere(host: string): boolean {
  return host === "" || host === "0.0.0.0" || host === "::";
}

/**
 * Makes the test for URLs that lead to one of the own listeners. Names other than localhost are
 * not resolved.
 */
export function selfTest(listening: readonly SocketUrl[]): (url: URL) => boolean {
  const own = new Set<string>(["127.0.0.1", "::1"]);
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address } of addresses ?? []) own.add(address);
  }
  return (url) => {
    const host = resolveLoopback(url.hostname);
    const port = portOf(url);
    return listening.some((listener) => {
      if (listener.port !== port) return false;
      const bound = resolveLoopback(listener.host);
      if (isEverywhere(bound)) return isEverywhere(host) || (isIP(host) !== 0 && own.has(host));
      return bound === host;
    });
  };
}
