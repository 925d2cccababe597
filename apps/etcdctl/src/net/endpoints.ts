/**
 * Which endpoints a command talks to: options, variables, defaults, DNS records, and how their texts
 * are read. It sends no request; discovery through a member is the client's work.
 */
import { ClientError } from "../errors/errors.ts";
import { exitCodes, Failure } from "../errors/exit-codes.ts";
import type { FlagValues } from "../cli/flags.ts";
import type { NetUrl, ParseOptions } from "@etcd2/net-url";
import { parseUrl, portOf, UrlError } from "@etcd2/net-url";

/** One place to send requests to. */
export interface Endpoint {
  /** As it is shown in messages. */
  readonly text: string;
  /** "" when there is none; only http and https can be used. */
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  /** Stands before every path; "" or begins with a slash. */
  readonly basePath: string;
  /** `name:password` from the address itself, decoded. */
  readonly userInfo: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The highest port there is. */
export const portMax = 65_535;

const defaultEndpoints = "http://127.0.0.1:2379,http://127.0.0.1:4001";

function splitScheme(text: string): [scheme: string, rest: string] {
  const colon = text.indexOf(":");
  // Text before a colon that cannot be a scheme (an address, a name with an underscore) is none.
  if (colon < 0 || !/^[A-Za-z][A-Za-z0-9+.-]*$/.test(text.slice(0, colon))) return ["", text];
  return [text.slice(0, colon).toLowerCase(), text.slice(colon + 1)];
}

/** Reads one endpoint. Text without a scheme is taken as a host, `name:port` as scheme `name`. */
export function parseEndpoint(text: string): Endpoint {
  // Text that begins with an address has always been taken here.
  const given = readUrl(text, { mayStartWithColon: true });
  const [scheme, rest] = splitScheme(text);
  if (scheme !== "" && !rest.startsWith("//")) return unusable(text, scheme);
  if (scheme !== "" && scheme !== "http" && scheme !== "https") return unusable(text, scheme);
  const shown = scheme === "" ? `http://${text.replace(/^\/\//, "")}` : `${scheme}:${rest}`;
  if (/^https?:\/*$/.test(shown)) return unusable(text === "" ? "http:" : shown, "http");
  const url = given.scheme !== "" && given.host !== "" ? given : readUrl(shown);
  const { user } = url;
  return {
    text: shown,
    scheme: url.scheme,
    host: url.hostname,
    // A port that no connection can have is a fault of the connection, not of the text.
    port: portOf(url),
    basePath: url.path.replace(/\/+$/, ""),
    userInfo:
      user === undefined || user.name === "" ? undefined : `${user.name}:${user.password ?? ""}`,
  };
}

/** @throws ClientError in the words of etcdctl 2.3.8 */
function readUrl(text: string, options: ParseOptions = {}): NetUrl {
  try {
    return parseUrl(text, options);
  } catch (error) {
    if (!(error instanceof UrlError)) throw error;
    throw new ClientError(error.message, { cause: error });
  }
}

function unusable(text: string, scheme: string): Endpoint {
  return { text, scheme, host: "", port: 0, basePath: "", userInfo: undefined };
}

/** An endpoint of the empty text, which every request to it names in its error. */
export const emptyEndpoint: Endpoint = unusable("", "");

function firstNonEmpty(...values: (string | undefined)[]): string {
  return values.find((value) => value !== undefined && value !== "") ?? "";
}

/** An option, or else its variable; an empty one counts as unset. */
export function optionOrVariable(
  globals: FlagValues,
  env: Environment,
  option: string,
  variable: string,
): string {
  return firstNonEmpty(globals.string(option), env[variable]);
}

/** The list before any discovery. */
export function listedEndpoints(globals: FlagValues, env: Environment): string[] {
  return firstNonEmpty(
    globals.string("endpoints"),
    env["ETCDCTL_ENDPOINTS"],
    globals.string("endpoint"),
    env["ETCDCTL_ENDPOINT"],
    globals.string("peers"),
    env["ETCDCTL_PEERS"],
    defaultEndpoints,
  ).split(",");
}

/** Whether the endpoints were named by an option or a variable, rather than left to the defaults. */
export function areEndpointsNamed(globals: FlagValues, env: Environment): boolean {
  return (
    listedEndpoints(globals, env).join(",") !== defaultEndpoints ||
    optionOrVariable(globals, env, "discovery-srv", "ETCDCTL_DISCOVERY_SRV") !== ""
  );
}

/** Endpoints of this invocation, in the order given. @throws Failure when a text cannot be read. */
export async function chosenEndpoints(globals: FlagValues, env: Environment): Promise<Endpoint[]> {
  const domain = optionOrVariable(globals, env, "discovery-srv", "ETCDCTL_DISCOVERY_SRV");
  try {
    if (domain !== "") {
      const { lookUpEndpoints } = await import("./srv-records.ts");
      const found = await lookUpEndpoints(domain);
      if (found.length > 0) return found.map(parseEndpoint);
    }
    return listedEndpoints(globals, env).map(parseEndpoint);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    throw new Failure(exitCodes.badArguments, `${error.message}\n`, { cause: error });
  }
}

/** A copy in random order. */
export function shuffled<T>(list: readonly T[], random: () => number = Math.random): T[] {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [copy[i], copy[j]];
    if (a === undefined || b === undefined) continue;
    copy[i] = b;
    copy[j] = a;
  }
  return copy;
}
