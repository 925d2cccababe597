/**
 * Starts the tracing of --enable-distributed-tracing: loads its code and says what it does. Off it
 * loads nothing, and the server has no tracing to ask.
 */
import { attachTrace } from "@etcd2/api-v2";
import type { ServerConfig } from "../config/server-config.ts";
import type { Logging } from "../logging/logger.ts";
import type { Tracing } from "../consensus/tracing-port.ts";
import { productVersion } from "../base/version.ts";

export async function startTracing(
  { tracing }: ServerConfig,
  logging: Logging,
): Promise<Tracing | undefined> {
  if (!tracing.enabled) return undefined;
  const log = logging.logger("etcdmain");
  const { createTracing } = await import("./open-telemetry.ts");
  const { collector, samplesPerMillion } = tracing;
  const address = `${collector.authority}${collector.scheme === "https" ? " by TLS" : ""}`;
  log.info(
    `distributed tracing has been enabled: spans go to ${address}; of requests that come without ` +
      `a trace ${samplesPerMillion} in a million begin one`,
  );
  return createTracing({
    config: tracing,
    version: productVersion,
    log,
    attach: attachTrace,
  });
}
