/**
 * How the collector of traces is dialled: in the clear or by TLS, with the certificates that the
 * variables of OpenTelemetry name. A file that cannot be used is one clear line at start, as
 * everywhere else, where the exporter's own reading of them would go on without it.
 */
import type { Logger } from "@etcd2/observability";
import type { ChannelCredentials } from "@grpc/grpc-js";
import { createSecureContext } from "node:tls";
import type { SecureContext } from "node:tls";
import { createPeerCredentials } from "../tls/peer-credentials.ts";
import { contextOptions, loadTlsFiles, readAuthorities } from "../tls/tls-files.ts";
import { validityProblem } from "../tls/validity.ts";
import type { CollectorAddress } from "../config/urls.ts";

const MIN_VERSION = "TLSv1.2";

type Environment = Readonly<Record<string, string | undefined>>;

/** The variable for traces alone comes before the one for all that OpenTelemetry sends. */
function fileOf(env: Environment, what: string): string {
  const forTraces = env[`OTEL_EXPORTER_OTLP_TRACES_${what}`]?.trim() ?? "";
  return forTraces === "" ? (env[`OTEL_EXPORTER_OTLP_${what}`]?.trim() ?? "") : forTraces;
}

/** Reads the files. @throws Error when one cannot be used */
function readContext(env: Environment, log?: Logger): SecureContext {
  const trustedCaFile = fileOf(env, "CERTIFICATE");
  const certFile = fileOf(env, "CLIENT_CERTIFICATE");
  const keyFile = fileOf(env, "CLIENT_KEY");
  if ((certFile === "") !== (keyFile === "")) {
    throw new Error(
      "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY must both be set",
    );
  }
  const authorities = { caFile: "", trustedCaFile };
  if (certFile !== "") {
    const files = {
      certFile,
      keyFile,
      ...authorities,
      crlFile: "",
      minVersion: MIN_VERSION,
    } as const;
    const material = loadTlsFiles(files);
    const problem = validityProblem(certFile, material, new Date());
    if (problem !== undefined)
      log?.warning(`the certificate for the collector of traces ${problem}`);
    return createSecureContext(contextOptions(material, MIN_VERSION));
  }
  const ca = readAuthorities(authorities);
  return createSecureContext({ minVersion: MIN_VERSION, ...(ca !== undefined && { ca: [...ca] }) });
}

/**
 * Credentials for the exporter; their files are read anew for every connection.
 * @throws Error when a file cannot be used
 */
export function collectorCredentials(
  { scheme }: Pick<CollectorAddress, "scheme">,
  env: Environment,
  log: Logger,
): ChannelCredentials {
  if (scheme === "https") readContext(env, log);
  const side = { secureContext: () => readContext(env), isSelfSigned: false, hasAuthority: true };
  return createPeerCredentials(side)(scheme);
}
