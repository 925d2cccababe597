/**
 * Owns the lines at the start that repeat the facts of the configuration.
 */
import type { ServerConfig } from "../config/server-config.ts";
import { hideCredentials } from "../config/hide-credentials.ts";
import { formatInitialCluster } from "../config/initial-cluster.ts";
import { urlTexts } from "../config/urls.ts";
import type { Logger } from "@etcd2/observability";

/** The facts of the configuration, in the order of etcd 2.3.8. */
export function announceConfig(config: ServerConfig, isInitialized: boolean, log: Logger): void {
  log.info(`name = ${config.name}`);
  if (config.forceNewCluster) log.info("force new cluster");
  log.info(`data dir = ${config.dataDir}`);
  log.info(`member dir = ${config.dataDir}/member`);
  if (config.walDir !== "") log.info(`dedicated WAL dir = ${config.walDir}`);
  log.info(`heartbeat = ${config.heartbeatMs}ms`);
  log.info(`election = ${config.electionMs}ms`);
  log.info(`snapshot count = ${config.snapshotCount}`);
  if (config.discovery !== "") log.info(`discovery URL= ${hideCredentials(config.discovery)}`);
  log.info(`advertise client URLs = ${urlTexts(config.advertiseClientUrls).join(",")}`);
  if (isInitialized) return;
  log.info(`initial advertise peer URLs = ${urlTexts(config.advertisePeerUrls).join(",")}`);
  log.info(`initial cluster = ${formatInitialCluster(config.initialCluster)}`);
}
