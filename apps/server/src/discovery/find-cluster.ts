/**
 * The initial cluster by whatever way the configuration names: as given, by service records, or
 * through a discovery URL. Wires those ways to the program; holds no rules of its own.
 */
import { formatId } from "@etcd2/member-dir";
import type { NetUrl } from "@etcd2/net-url";
import { parseUrl, portOf, UrlError } from "@etcd2/net-url";
import { setTimeout as delay } from "node:timers/promises";
import type { ServerConfig } from "../config/server-config.ts";
import { hideCredentials } from "../config/hide-credentials.ts";
import type { InitialCluster } from "../config/initial-cluster.ts";
import { formatInitialCluster, parseInitialCluster } from "../config/initial-cluster.ts";
import type { Logging } from "../logging/logger.ts";
import { StartError } from "../base/start-error.ts";
import type { DiscoveryOptions } from "./discovery.ts";
import { joinCluster, readCluster } from "./discovery.ts";
import type { DiscoverySubject } from "./discovery-error.ts";
import { HttpDiscoveryService } from "./discovery-service.ts";
import { RegistrationFile } from "./registration-file.ts";
import { lookUpCluster, systemResolver } from "./srv.ts";

const PORT_MAX = 65_535;

function parse(text: string): InitialCluster {
  const parsed = parseInitialCluster(text);
  if (!parsed.ok) throw new StartError(`error setting up initial cluster: ${parsed.error}`);
  return parsed.value;
}

/** The configuration with the cluster of --discovery-srv filled in, where that flag is used. */
export async function withSrvCluster(
  config: ServerConfig,
  logging: Logging,
  isProxy: boolean,
): Promise<ServerConfig> {
  if (config.discoverySrv === "" || config.discovery !== "") return config;
  const text = await lookUpCluster(
    {
      domain: config.discoverySrv,
      serviceName: config.discoverySrvName,
      name: config.name,
      advertisePeerUrls: config.advertisePeerUrls,
      isProxy,
    },
    systemResolver(),
    logging.logger("discovery"),
  );
  return { ...config, initialCluster: parse(text) };
}

/** @throws StartError */
function discoveryUrl(text: string): NetUrl {
  const advice = "it should look like http://HOST:PORT/v2/keys/PATH";
  const shown = hideCredentials(text);
  try {
    const url = parseUrl(text);
    if (/^https?$/.test(url.scheme) && url.hostname !== "" && portOf(url) <= PORT_MAX) return url;
  } catch (error) {
    if (!(error instanceof UrlError)) throw error;
    const reason = hideCredentials(error.message);
    throw new StartError(`--discovery ${shown}: ${reason}; ${advice}`, { cause: error });
  }
  throw new StartError(`--discovery ${shown}: invalid URL; ${advice}`);
}

async function withService<T>(
  config: ServerConfig,
  logging: Logging,
  id: string,
  run: (options: DiscoveryOptions) => Promise<T>,
): Promise<T> {
  const url = discoveryUrl(config.discovery);
  const { name, dataDir } = config;
  const subject: DiscoverySubject = { url: hideCredentials(config.discovery), name, dataDir, id };
  const service = new HttpDiscoveryService({
    url,
    proxy: config.discoveryProxy,
    env: process.env,
  });
  try {
    return await run({ service, subject, log: logging.logger("discovery"), delay });
  } finally {
    service.close();
  }
}

/** A discovered cluster, and what to do once this member's storage is durable. */
export interface DiscoveredCluster {
  readonly cluster: InitialCluster;
  /** Forgets that the registration was never used; the member may run from then on. */
  readonly settle: () => void;
}

/** Registers this member with --discovery and waits for the others. @throws DiscoveryError */
export async function discoverCluster(
  config: ServerConfig,
  memberId: string,
  logging: Logging,
): Promise<DiscoveredCluster> {
  const id = formatId(memberId);
  const file = new RegistrationFile(config.dataDir);
  const value = formatInitialCluster(config.initialCluster);
  const self = { url: config.discovery, id, value };
  const text = await withService(config, logging, id, (options) =>
    joinCluster(options, self, file),
  );
  return {
    cluster: parse(text),
    settle: () => {
      file.remove();
    },
  };
}

/** The peer URLs a proxy starts from. @throws DiscoveryError, StartError */
export async function proxySeeds(
  config: ServerConfig,
  logging: Logging,
): Promise<readonly string[]> {
  const cluster =
    config.discovery === ""
      ? (await withSrvCluster(config, logging, true)).initialCluster
      : parse(await withService(config, logging, "", readCluster));
  return [...cluster.values()].flat().map(({ text }) => text);
}
