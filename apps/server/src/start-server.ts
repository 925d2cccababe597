/**
 * Starts what the configuration asks for: binds the listeners, decides how the member comes to
 * life, opens its storage, and puts the gateway in front. Announces on the way what operators and
 * test suites look for. Owns the order; the steps are in other files.
 */
import type { Logging, Logger } from "./logger.ts";
import type { ServerConfig } from "./config.ts";
import { formatInitialCluster } from "./initial-cluster.ts";
import { inspectDataDir, layoutOf, unknownNames } from "./data-dir.ts";
import { startMember } from "./start-member.ts";
import { urlTexts } from "./urls.ts";
import { versionLines } from "./version.ts";

export interface RunningServer {
  /** Stops in order. Idempotent. */
  close(): Promise<void>;
}

/** What may end the process from inside. */
export interface ServerEvents {
  readonly onFatal: (error: Error) => void;
  readonly onRemoved: (reason: string) => void;
}

export async function startServer(
  config: ServerConfig,
  logging: Logging,
  events: ServerEvents,
): Promise<RunningServer> {
  const log = logging.logger("etcdmain");
  for (const line of versionLines()) log.info(line);
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
  if (kind === "member") {
    log.notice("the server is already initialized as member before, starting as etcd member...");
  }
  return startMember({ config, layout, isInitialized: kind === "member", logging, events });
}

/** The facts of the configuration, in the order of the original. */
export function announceConfig(config: ServerConfig, isInitialized: boolean, log: Logger): void {
  log.info(`name = ${config.name}`);
  if (config.forceNewCluster) log.info("force new cluster");
  log.info(`data dir = ${config.dataDir}`);
  log.info(`member dir = ${config.dataDir}/member`);
  if (config.walDir !== "") log.info(`dedicated WAL dir = ${config.walDir}`);
  log.info(`heartbeat = ${config.heartbeatMs}ms`);
  log.info(`election = ${config.electionMs}ms`);
  log.info(`snapshot count = ${config.snapshotCount}`);
  if (config.discovery !== "") log.info(`discovery URL= ${config.discovery}`);
  log.info(`advertise client URLs = ${urlTexts(config.advertiseClientUrls).join(",")}`);
  if (isInitialized) return;
  log.info(`initial advertise peer URLs = ${urlTexts(config.advertisePeerUrls).join(",")}`);
  log.info(`initial cluster = ${formatInitialCluster(config.initialCluster)}`);
}
