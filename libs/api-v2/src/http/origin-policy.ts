/**
 * Which requests pages of other origins may cause. A browser sends forms and simple requests of
 * any page to any address and keeps only the answer from the page, so the origin of whatever changes
 * state or costs much is looked at here. Programs send none of the headers this rests on. Owns
 * the CORS headers too; knows no endpoint but by its path.
 */
import type { IncomingMessage, ServerResponse } from "node:http";

/** Methods that read. What a page can do with these it can do without harm: it sees no answer. */
const READING = new Set(["GET", "HEAD", "OPTIONS"]);

/** Reading here takes a large share of the member's time or disk, and there is a limit to it. */
const COSTLY = /^\/(?:v2\/admin|debug\/pprof)(?:\/|$)/;

/** The site of the page that a browser says it sends a request for. */
const OTHER_SITES = new Set(["cross-site", "same-site"]);

/** The rules for pages of other origins, from the list of --cors. */
export class OriginPolicy {
  readonly #allowed: ReadonlySet<string>;

  /** @param cors The origins of --cors; `*` stands for all. */
  constructor(cors: readonly string[]) {
    this.#allowed = new Set(cors.map((origin) => origin.trim()).filter((origin) => origin !== ""));
  }

  /** Whether a request to this path may be carried out. */
  permits(req: IncomingMessage, path: string): boolean {
    const site = req.headers["sec-fetch-site"];
    const { origin } = req.headers;
    if (site === undefined && origin === undefined) return true;
    if (READING.has(req.method ?? "") && !COSTLY.test(path)) return true;
    if (origin !== undefined && this.#allows(origin)) return true;
    const sites = (Array.isArray(site) ? site.join() : (site ?? "")).toLowerCase();
    const named = sites.split(",").map((name) => name.trim());
    if (named.some((name) => OTHER_SITES.has(name))) return false;
    // No page can set this header, and the browser knows where a proxy in between leads to.
    if (named.every((name) => name === "same-origin" || name === "none")) return true;
    return origin === undefined || isOwn(origin, req);
  }

  /** Lets scripts of the origins of --cors see the answer. */
  addHeaders(req: IncomingMessage, res: ServerResponse): void {
    if (this.#allowed.size === 0) return;
    const { origin } = req.headers;
    const allowed = this.#allowed.has("*") ? "*" : origin;
    if (allowed === undefined || !this.#allowed.has(allowed)) return;
    res.setHeader("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE");
    res.setHeader("Access-Control-Allow-Origin", allowed);
    res.setHeader("Access-Control-Allow-Headers", "accept, content-type, authorization");
  }

  #allows(origin: string): boolean {
    return this.#allowed.has("*") || this.#allowed.has(origin);
  }
}

/** Whether the page came from the very scheme, host and port that its request went to. */
function isOwn(origin: string, req: IncomingMessage): boolean {
  const scheme = isEncrypted(req) ? "https" : "http";
  const own = originOf(`${scheme}://${addressedHost(req)}`);
  return own !== undefined && own === originOf(origin);
}

/** An origin in its one spelling: lower case, without the port that goes without saying. */
function originOf(text: string): string | undefined {
  const parts = /^(https?):\/\/([^/?#@\s]+)$/.exec(text.toLowerCase());
  const [, scheme, authority] = parts ?? [];
  if (scheme === undefined || authority === undefined) return undefined;
  return `${scheme}://${authority.replace(scheme === "http" ? /:(?:80)?$/ : /:(?:443)?$/, "")}`;
}

/** Whether the connection a request came on has TLS. */
export function isEncrypted(req: IncomingMessage): boolean {
  return (req.socket as { encrypted?: boolean }).encrypted === true;
}

/**
 * The host, with its port, that a request is addressed to: that of an absolute target, else of
 * the Host header; "" when there is neither.
 */
export function addressedHost(req: IncomingMessage): string {
  const { url = "" } = req;
  if (url.charCodeAt(0) !== 0x2f) {
    const [, authority] = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/(?:[^/?@]*@)?([^/?]*)/.exec(url) ?? [];
    if (authority !== undefined && authority !== "") return authority;
  }
  return req.headers.host ?? "";
}
