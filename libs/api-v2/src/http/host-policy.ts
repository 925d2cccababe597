/**
 * Which host names requests may be addressed to, against DNS rebinding: the page of a stranger
 * whose name suddenly leads to this machine is, for its browser, at home here and may read and write
 * all. What tells such a request apart is the name in it. Knows names and addresses, not endpoints.
 */
import type { IncomingMessage } from "node:http";
import { isIP, type AddressInfo, type Server, type Socket } from "node:net";
import { addressedHost, isEncrypted } from "./origin-policy.ts";

/** The names that requests may be addressed to. */
export interface HostPolicyOptions {
  /** Names of --host-whitelist; `*` accepts all. Empty: the default, see the class. */
  readonly whitelist: readonly string[];
  /** Names this server goes by: those of its URLs and of its machine. */
  readonly ownNames: readonly string[];
}

/** Verdicts on names that are remembered, and the longest name; a client may send any. */
const REMEMBERED_MAX = 1024;
const NAME_LENGTH_MAX = 261;

/** Endings of names that nobody can register, so that no stranger's page can have one. */
const PRIVATE_NAME = /(?:^|\.)(?:localhost|localdomain|local|internal|home\.arpa|lan|test)$/;

/** A last label of digits makes an address, however it is written, and not a name. */
const NUMERIC_NAME = /(?:^|\.)(?:\d+|0x[\da-f]*)$/;

/** Sent by browsers, and not by programs; see looksLikePage for those that both send. */
const BROWSER_HEADERS = ["origin", "referer", "sec-fetch-site", "sec-fetch-dest", "sec-ch-ua"];

/**
 * With a whitelist only requests to its names are accepted, as in etcd 3.3.2 and later. Without
 * one, requests to addresses, to names without a public ending and to this server's own names
 * are; those to other names too, unless nobody but this machine could have sent them: on a listener
 * of the loopback interface they are refused, and on a connection over the loopback interface to
 * another listener, where proxies on the machine come from as well, they are if a browser sent them.
 * Requests over TLS are always accepted, because no stranger has the certificate of the name, and
 * so are those without a name, which no browser sends.
 */
export class HostPolicy {
  readonly #whitelist: ReadonlySet<string>;
  readonly #ownNames: ReadonlySet<string>;
  readonly #verdicts = new Map<string, boolean>();

  constructor({ whitelist, ownNames }: HostPolicyOptions) {
    this.#whitelist = new Set(whitelist.map(canonical));
    this.#ownNames = new Set(ownNames.map(canonical));
  }

  /** Whether a request may be served. */
  permits(req: IncomingMessage): boolean {
    const host = addressedHost(req);
    if (host === "" || this.#isKnown(host) || isEncrypted(req)) return true;
    if (this.#whitelist.size > 0) return false;
    const connection = req.socket as Partial<Socket> & { server?: Server };
    if (isLoopback(listenAddress(connection.server))) return false;
    return !isLoopback(connection.localAddress) || !looksLikePage(req);
  }

  #isKnown(host: string): boolean {
    // No host is called that; a name has 253 characters at most.
    if (host.length > NAME_LENGTH_MAX) return this.#whitelist.has("*");
    let verdict = this.#verdicts.get(host);
    if (verdict === undefined) {
      if (this.#verdicts.size >= REMEMBERED_MAX) this.#verdicts.clear();
      verdict = this.#judge(nameOf(host));
      this.#verdicts.set(host, verdict);
    }
    return verdict;
  }

  #judge(name: string): boolean {
    if (this.#whitelist.size > 0) return this.#whitelist.has("*") || this.#whitelist.has(name);
    return (
      this.#ownNames.has(name) ||
      // Nobody can register a name without a dot either.
      !name.includes(".") ||
      isIP(name.replace(/%.*$/, "")) !== 0 ||
      NUMERIC_NAME.test(name) ||
      PRIVATE_NAME.test(name)
    );
  }
}

/** What is said to a client that was refused. */
export function hostRefusal(req: IncomingMessage): string {
  const name = nameOf(addressedHost(req)).slice(0, NAME_LENGTH_MAX);
  return (
    `this server does not know the host name ${JSON.stringify(name)} that the request is addressed to, ` +
    "and refuses it because the page of a stranger could have sent it (DNS rebinding). " +
    "Use an address or a name of this server, or start it with --host-whitelist and the names " +
    "it is to have (* for any), or with https.\n"
  );
}

/** A name in its one spelling: lower case, without the dot of the root. */
function canonical(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/\.$/, "")
    .replace(/^\[(.*)\]$/, "$1");
}

/** The name or address in `host` or `host:port`. */
function nameOf(host: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(host) ?? [];
  return canonical(bracketed ?? plain ?? host);
}

function listenAddress(server: Server | undefined): string | undefined {
  const address: AddressInfo | string | null | undefined = server?.address();
  return typeof address === "object" ? address?.address : undefined;
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(?:127\.|::1$|::ffff:127\.)/.test(address);
}

/**
 * Whether a browser sent this. Some runtimes of programs send `Accept-Language: *` and
 * `Sec-Fetch-Mode` with every request.
 */
function looksLikePage({ headers }: IncomingMessage): boolean {
  if (BROWSER_HEADERS.some((name) => headers[name] !== undefined)) return true;
  if ((headers["accept-language"] ?? "*") !== "*") return true;
  return headers["user-agent"]?.startsWith("Mozilla/") === true;
}
