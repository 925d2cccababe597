/**
 * The initial cluster from DNS service records. Owns the look-ups, telling which record is this
 * member, and the names of the others. The resolver is passed in; nothing is cached.
 */
import { Resolver, lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Logger } from "@etcd2/observability";
import { StartError } from "../base/start-error.ts";
import type { SocketUrl } from "../config/urls.ts";
import { messageOf } from "../base/message-of.ts";

export interface SrvRecord {
  readonly name: string;
  readonly port: number;
}

/** The part of DNS used here. */
export interface SrvResolver {
  resolveSrv(name: string): Promise<readonly SrvRecord[]>;
  /** All addresses of a host; rejects when there are none. */
  addresses(host: string): Promise<readonly string[]>;
}

/** DNS as the system is set up to ask it. */
export function systemResolver(): SrvResolver {
  const resolver = new Resolver({ timeout: 2000, tries: 2 });
  return {
    resolveSrv: (name) => resolver.resolveSrv(name),
    addresses: async (host) => {
      const found = await lookup(host, { all: true });
      return found.map(({ address }) => address);
    },
  };
}

export interface SrvBootstrap {
  readonly domain: string;
  /** --discovery-srv-name: a suffix of the service's name; "" for none. */
  readonly serviceName: string;
  /** This member's name. */
  readonly name: string;
  readonly advertisePeerUrls: readonly SocketUrl[];
  /** A proxy need not be among the members. */
  readonly isProxy: boolean;
}

interface Target {
  readonly url: string;
  readonly isOwn: boolean;
}

const services = [
  ["etcd-server-ssl", "https"],
  ["etcd-server", "http"],
] as const;

/**
 * Looks the members up.
 * @returns the initial cluster as text.
 * @throws StartError when no member is found, or not this one.
 */
export async function lookUpCluster(
  bootstrap: SrvBootstrap,
  resolver: SrvResolver,
  log: Logger,
): Promise<string> {
  const own = await ownSockets(bootstrap, resolver, log);
  const targets: Target[] = [];
  const faults: { service: string; reason: string }[] = [];
  for (const [service, scheme] of services) {
    const suffix = bootstrap.serviceName === "" ? "" : `-${bootstrap.serviceName}`;
    const query = `_${service}${suffix}._tcp.${bootstrap.domain}`;
    try {
      const records = await resolver.resolveSrv(query);
      for (const record of records) {
        const target = await resolveTarget(record, { scheme, service, own }, resolver, log);
        if (target !== undefined) targets.push(target);
      }
    } catch (error) {
      faults.push({ service, reason: reasonOf(query, error) });
    }
  }
  if (faults.length === services.length) throw tooManyErrors(faults);
  if (!bootstrap.isProxy && !targets.some((target) => target.isOwn)) {
    throw setupError(
      `cannot find local etcd member ${JSON.stringify(bootstrap.name)} in SRV records`,
      `none of the ${targets.length} records of ${bootstrap.domain} resolves to one of ` +
        `--initial-advertise-peer-urls ${bootstrap.advertisePeerUrls.map(({ text }) => text).join(",")}`,
    );
  }
  return nameTargets(targets, bootstrap.name);
}

async function ownSockets(
  { advertisePeerUrls, isProxy }: SrvBootstrap,
  resolver: SrvResolver,
  log: Logger,
): Promise<ReadonlySet<string>> {
  if (isProxy) return new Set();
  const sockets = new Set<string>();
  for (const { host, port } of advertisePeerUrls) {
    try {
      for (const address of await addressesOf(host, resolver)) sockets.add(`${address} ${port}`);
    } catch (error) {
      const shown = `${host}:${port}`;
      log.error(`couldn't resolve host ${shown} during SRV discovery`);
      throw setupError(reasonOf(host, error));
    }
  }
  return sockets;
}

interface TargetContext {
  readonly scheme: "http" | "https";
  readonly service: string;
  readonly own: ReadonlySet<string>;
}

async function resolveTarget(
  record: SrvRecord,
  { scheme, service, own }: TargetContext,
  resolver: SrvResolver,
  log: Logger,
): Promise<Target | undefined> {
  const host = record.name.replace(/\.$/, "");
  const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${record.port}`;
  try {
    const addresses = await addressesOf(host, resolver);
    const isOwn = addresses.some((address) => own.has(`${address} ${record.port}`));
    const url = `${scheme}://${authority}`;
    log.notice(`got bootstrap from DNS for ${service} at ${url}`);
    return { url, isOwn };
  } catch {
    log.warning(`couldn't resolve host ${authority} during SRV discovery`);
    return undefined;
  }
}

function addressesOf(host: string, resolver: SrvResolver): Promise<readonly string[]> {
  return isIP(host) === 0 ? resolver.addresses(host) : Promise.resolve([host]);
}

/** Others are called 0, 1, ..., leaving out the own name. */
function nameTargets(targets: readonly Target[], name: string): string {
  let next = 0;
  const parts = targets.map(({ url, isOwn }) => {
    if (isOwn) return `${name}=${url}`;
    if (String(next) === name) next++;
    return `${next++}=${url}`;
  });
  return parts.join(",");
}

function reasonOf(name: string, error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (code === "ENOTFOUND" || code === "ENODATA") return `lookup ${name}: no such host`;
  return `lookup ${name}: ${code ?? messageOf(error)}`;
}

/** How a failed set-up of the initial cluster ends a start. */
function setupError(reason: string, hint?: string): StartError {
  const message = `error setting up initial cluster: ${reason}`;
  const lines = [{ level: "critical" as const, message }];
  if (hint === undefined) return new StartError(message, { lines });
  return new StartError(message, { lines: [...lines, { level: "info", message: hint }] });
}

function tooManyErrors(faults: readonly { service: string; reason: string }[]): StartError {
  const message = "SRV discovery failed: too many errors querying DNS SRV records";
  const last = faults.at(-1)?.reason ?? "";
  return new StartError(message, {
    lines: [
      ...faults.map(({ service, reason }) => ({
        level: "warning" as const,
        message: `error querying DNS SRV records for _${service} ${reason}`,
      })),
      { level: "error", message },
      { level: "critical", message: `error setting up initial cluster: ${last}` },
    ],
  });
}
