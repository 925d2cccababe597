/**
 * Sets up both TLS sides of a process from its flags, announces them as etcd 2.3.8 does and
 * warns of settings without effect. Loads the TLS code only where TLS is used.
 */
import type { DataDirLayout } from "@etcd2/member-dir";
import { certificateName } from "@etcd2/net-url";
import type { Logger } from "@etcd2/observability";
import type { ServerConfig, TlsConfig } from "../config/server-config.ts";
import type { Logging } from "../logging/logger.ts";
import type { CertificateFigures } from "../metrics/figures.ts";
import type { SocketUrl } from "../config/urls.ts";
import type { TlsSide } from "./tls-side.ts";
import { tlsWarnings } from "./tls-warnings.ts";

export interface TlsSides {
  readonly client: TlsSide | undefined;
  readonly peer: TlsSide | undefined;
}

export interface TlsSidesOptions {
  readonly config: ServerConfig;
  readonly layout: DataDirLayout;
  readonly logging: Logging;
  /** URLs each side serves; a side without https needs no certificate. */
  readonly urls: { readonly client: readonly SocketUrl[]; readonly peer: readonly SocketUrl[] };
  /** A proxy serves no peers, and shows the peer certificate to the members it dials. */
  readonly isPeerOutgoing?: boolean;
}

/** @throws TlsFileError */
export async function createTlsSides(options: TlsSidesOptions): Promise<TlsSides> {
  const sides = await makeSides(options);
  const log = options.logging.logger("etcdmain");
  for (const warning of tlsWarnings(options.config)) log.warning(warning);
  return sides;
}

async function makeSides(options: TlsSidesOptions): Promise<TlsSides> {
  const { config, layout, logging, urls, isPeerOutgoing = false } = options;
  const log = logging.logger("etcdmain");
  const wanted = [config.clientTls, config.peerTls].some(
    (tls) => tls.certFile !== "" || tls.autoTls,
  );
  if (!wanted) return { client: undefined, peer: undefined };
  const { announceTls, createTlsSide } = await import("./tls-side.ts");
  const side = async (name: "client" | "peer"): Promise<TlsSide | undefined> => {
    const tls = name === "client" ? config.clientTls : config.peerTls;
    if (tls.certFile !== "") log.info(announceTls(name, tls));
    const isOutgoing = name === "peer" && isPeerOutgoing;
    if (!isOutgoing && urls[name].every(({ scheme }) => scheme === "http")) return undefined;
    const advertised = name === "client" ? config.advertiseClientUrls : config.advertisePeerUrls;
    return createTlsSide({
      ...files(name, tls, urls[name], layout),
      log,
      // A proxy advertises nothing.
      advertisedHosts: isPeerOutgoing
        ? []
        : advertised
            .filter(({ scheme }) => scheme === "https")
            .map(({ host }) => certificateName(host)),
    });
  };
  const peer = await side("peer");
  try {
    return { peer, client: await side("client") };
  } catch (error) {
    peer?.close();
    throw error;
  }
}

/** Where a side has its certificate from. */
function files(
  name: "client" | "peer",
  config: TlsConfig,
  urls: readonly SocketUrl[],
  { dataDir }: Pick<DataDirLayout, "dataDir">,
) {
  const hosts = urls.map(({ host }) => certificateName(host));
  return { name, config, hosts, autoTlsDirectory: `${dataDir}/tls/${name}` };
}

/** The URLs that the certificate of clients is for. */
export function clientSideUrls(config: ServerConfig): readonly SocketUrl[] {
  return [
    ...config.listenClientUrls,
    ...config.listenMetricsUrls,
    ...config.listenConsoleUrls,
    ...config.advertiseClientUrls,
  ];
}

/**
 * The side of clients once more, for another thread of a process that has made it, and says what is to
 * be said of its files. @throws TlsFileError
 */
export async function clientSideAgain(
  config: ServerConfig,
  layout: Pick<DataDirLayout, "dataDir">,
  log: Logger,
): Promise<TlsSide | undefined> {
  const { clientTls } = config;
  const urls = clientSideUrls(config);
  const isPlain = clientTls.certFile === "" && !clientTls.autoTls;
  if (isPlain || urls.every(({ scheme }) => scheme === "http")) return undefined;
  const { createTlsSide } = await import("./tls-side.ts");
  return createTlsSide({ ...files("client", clientTls, urls, layout), log, isQuiet: true });
}

const seconds = (date: Date): number => Math.floor(date.getTime() / 1000);

/** The certificates in use, of those sides that have one. */
export function certificateFigures(sides: TlsSides): readonly CertificateFigures[] {
  return (["client", "peer"] as const).flatMap((side) => {
    const period = sides[side]?.period;
    if (period === undefined) return [];
    const { notBefore, notAfter } = period;
    return [{ side, notBeforeSeconds: seconds(notBefore), notAfterSeconds: seconds(notAfter) }];
  });
}
