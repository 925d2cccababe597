/**
 * Starts what the data directory holds, or else what the configuration asks for: a member, a
 * proxy, or a bridge to a v3 cluster. Announces on the way what operators and test suites look for. Owns the choice; the steps
 * are in other files.
 */
import { layoutOf } from "@etcd2/member-dir";
import type { Logging } from "../logging/logger.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { inspectDataDir, unknownNames } from "../storage/data-dir.ts";
import { DiscoveryError } from "../discovery/discovery-error.ts";
import { withSrvCluster } from "../discovery/find-cluster.ts";
import type { RunningServer, ServerEvents } from "./running-server.ts";
import type { StartMemberOptions } from "./start-member.ts";
import { versionLines } from "../base/version.ts";

/** A bridge and a proxy load neither consensus nor storage. */
async function startMember(options: StartMemberOptions): Promise<RunningServer> {
  const { startMember: start } = await import("./start-member.ts");
  return start(options);
}

export async function startServer(
  config: ServerConfig,
  logging: Logging,
  events: ServerEvents,
): Promise<RunningServer> {
  const log = logging.logger("etcdmain");
  for (const line of versionLines()) log.info(line);
  if (config.bridge.endpoints.length > 0) {
    const { startBridge } = await import("./start-bridge.ts");
    return startBridge({ config, logging });
  }
  if (config.isDataDirDefault) {
    log.warning(`no data-dir provided, using default data-dir ./${config.dataDir}`);
  }
  const layout = layoutOf(config.dataDir, config.walDir === "" ? undefined : config.walDir);
  const kind = inspectDataDir(layout);
  for (const name of unknownNames(layout)) {
    log.warning(
      `found invalid file/dir ${name} under data dir ${config.dataDir} (Ignore this if you are upgrading etcd)`,
    );
  }
  if (kind !== "empty") {
    log.notice(`the server is already initialized as ${kind} before, starting as etcd ${kind}...`);
  }
  if (kind === "member") {
    if (config.discovery !== "") {
      log.warning(
        `discovery token ignored since a cluster has already been initialized. Valid log found at "${layout.walDir}"`,
      );
    }
    return startMember({ config, layout, isInitialized: true, logging, events });
  }
  // Members need not load it.
  const proxy = async (): Promise<RunningServer> => {
    if (config.tracing.enabled)
      log.warning("a proxy sends no traces: it passes them on to members");
    const { startProxy } = await import("./start-proxy.ts");
    return startProxy({ config, layout, logging });
  };
  if (kind === "proxy" || config.proxy.mode !== "off") {
    return proxy();
  }
  try {
    const complete = await withSrvCluster(config, logging, false);
    return await startMember({ config: complete, layout, isInitialized: false, logging, events });
  } catch (error) {
    const isFull = error instanceof DiscoveryError && error.outcome === "full";
    if (!isFull || config.discoveryFallback !== "proxy") throw error;
    log.notice("discovery cluster full, falling back to proxy");
    return proxy();
  }
}
