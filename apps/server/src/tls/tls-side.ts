/**
 * Owns TLS for one side of the member, clients or peers: the rules of who must present what, and
 * the exchange of certificates without a restart. Files are looked at every few seconds; new
 * ones count for new connections, and a mistake in them leaves the old ones in place.
 */
import { stat } from "node:fs/promises";
import type { ServerOptions as HttpsServerOptions } from "node:https";
import { Socket } from "node:net";
import { createSecureContext } from "node:tls";
import type { SecureContext, SecureContextOptions, Server as TlsServer } from "node:tls";

import type { TlsConfig } from "../config/server-config.ts";
import type { Logger } from "@etcd2/observability";
import { selfSigned } from "./auto-tls.ts";
import { certificateMisfits } from "./certificate-fit.ts";
import { describeTlsError, TlsFileError } from "./tls-error.ts";
import type { TlsMaterial } from "./tls-files.ts";
import { contextOptions, loadTlsFiles, tlsPaths } from "./tls-files.ts";
import { messageOf } from "../base/message-of.ts";
import { validityAt, validityProblem } from "./validity.ts";
import type { ValidityPeriod } from "./validity.ts";

export interface TlsSideOptions {
  /** "client" or "peer": for log lines. */
  readonly name: "client" | "peer";
  readonly config: TlsConfig;
  readonly log: Logger;
  /** Hosts of the URLs served, and where a self-signed certificate is kept. */
  readonly hosts: readonly string[];
  readonly autoTlsDirectory: string;
  /** Hosts of the https URLs that others are told to use; a certificate that lacks one is told. */
  readonly advertisedHosts?: readonly string[];
  /** Another thread of the process says what is to be said of the files. */
  readonly isQuiet?: boolean;
  /** Time between looks at the files. */
  readonly pollIntervalMs?: number;
}

const dayMs = 24 * 60 * 60 * 1000;
const warnBeforeMs = 14 * dayMs;
/** One line about refused handshakes in this time; the rest is counted. */
const refusedLogIntervalMs = 1000;

type ReloadListener = (options: SecureContextOptions) => void;

/** Everything about one side; make it with createTlsSide. */
export class TlsSide {
  readonly #options: TlsSideOptions;
  readonly #config: TlsConfig;
  readonly #listeners = new Set<ReloadListener>();
  readonly #timer: NodeJS.Timeout;
  #context: SecureContextOptions;
  #clientContext: SecureContext | undefined;
  #signature = "";
  #complaint = "";
  #period: ValidityPeriod;
  /** What the log was last told of the certificate's time, and when. */
  #told = "";
  #isLooking = false;
  #refused = { sinceMs: Number.NEGATIVE_INFINITY, count: 0 };

  constructor(options: TlsSideOptions, config: TlsConfig, material: TlsMaterial) {
    this.#options = options;
    this.#config = config;
    this.#context = contextOptions(material, config.minVersion);
    this.#period = material;
    this.#timer = setInterval(() => {
      void this.look();
    }, options.pollIntervalMs ?? 2000);
    this.#timer.unref();
    this.#warnOfValidity();
    this.#warnOfMisfits(material);
    this.#warnOfAuthorities(material);
  }

  /** Whether the other side must present a certificate. */
  get demandsCertificate(): boolean {
    return this.#config.clientCertAuth || this.#config.caFile !== "";
  }

  /** Whether there is an authority to check the other side's certificate against. */
  get hasAuthority(): boolean {
    return this.#config.trustedCaFile !== "" || this.#config.caFile !== "";
  }

  /** A self-signed certificate that nobody can check. */
  get isSelfSigned(): boolean {
    return this.#config.autoTls && this.#options.config.certFile === "";
  }

  /** From when to when the current certificate is valid. */
  get period(): ValidityPeriod {
    return this.#period;
  }

  /** What https.createServer takes; attach() the server afterwards. */
  serverOptions(): HttpsServerOptions {
    return {
      ...this.#context,
      requestCert: this.demandsCertificate,
      rejectUnauthorized: this.demandsCertificate,
      handshakeTimeout: 10_000,
    };
  }

  /** The current context's options. */
  contextOptions(): SecureContextOptions {
    return this.#context;
  }

  /** The current context for connections to others, made once per exchange of certificates. */
  secureContext(): SecureContext {
    return (this.#clientContext ??= createSecureContext(this.#context));
  }

  /** Keeps a server's certificates current, and its refused handshakes in the log. */
  attach(server: TlsServer): void {
    const listener: ReloadListener = (options) => {
      server.setSecureContext(options);
    };
    this.#listeners.add(listener);
    server.once("close", () => {
      this.#listeners.delete(listener);
    });
    server.on("connection", (socket: Socket) => {
      // Asked for now, the address is still known after the socket has been closed.
      addressOf(socket);
    });
    server.on("tlsClientError", (error, socket) => {
      // A certificate that does not pass ends the socket without an error of its own.
      const code = socket.authorizationError as unknown;
      const isRefusal = typeof code === "string" && code !== "";
      this.#refuse(isRefusal ? { code } : error, addressOf(Reflect.get(socket, "_parent")));
    });
  }

  /** Is told of every exchange. */
  onReload(listener: ReloadListener): void {
    this.#listeners.add(listener);
  }

  /** Looks at the files now and takes them over if they changed and are right. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      await this.#lookOnce();
    } finally {
      this.#isLooking = false;
    }
  }

  /** Stops looking. Idempotent. */
  close(): void {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }

  async #lookOnce(): Promise<void> {
    this.#warnOfValidity();
    const signature = await signatureOf(tlsPaths(this.#config));
    const isFirst = this.#signature === "";
    if (signature === this.#signature) return;
    const { log, name } = this.#options;
    try {
      const material = loadTlsFiles(this.#config);
      const context = contextOptions(material, this.#config.minVersion);
      this.#refuseWorse(material);
      const isSame = JSON.stringify(context) === JSON.stringify(this.#context);
      this.#signature = signature;
      this.#complaint = "";
      if (isSame) return;
      this.#context = context;
      this.#clientContext = undefined;
      this.#period = material;
      this.#told = "";
      for (const listener of this.#listeners) listener(context);
      const until = material.notAfter.toISOString();
      if (this.#options.isQuiet !== true)
        log.notice(`${name} certificates were reloaded, valid until ${until}`, { notAfter: until });
      this.#warnOfValidity();
      this.#warnOfMisfits(material);
      this.#warnOfAuthorities(material);
    } catch (error) {
      // The signature stays: the files are tried again at the next look, and a half-written
      // pair is no more than one line.
      const complaint = messageOf(error);
      if (complaint !== this.#complaint && !isFirst && this.#options.isQuiet !== true) {
        log.warning(`cannot reload ${name} certificates, the old ones stay in use: ${complaint}`);
      }
      this.#complaint = complaint;
    }
  }

  #warnOfMisfits({ cert }: TlsMaterial): void {
    // Nobody checks a certificate that was made here.
    if (this.isSelfSigned || this.#options.isQuiet === true) return;
    const { log, name, advertisedHosts: hosts = [] } = this.#options;
    const given = { path: this.#config.certFile, pem: cert };
    for (const misfit of certificateMisfits(given, { side: name, hosts })) log.warning(misfit);
  }

  /** With every authority out of its time nobody's certificate passes. */
  #warnOfAuthorities({ authorityPeriod }: TlsMaterial): void {
    if (authorityPeriod === undefined) return;
    const { trustedCaFile, caFile } = this.#config;
    const path = trustedCaFile === "" ? caFile : trustedCaFile;
    const problem = validityProblem(path, authorityPeriod, new Date());
    if (problem === undefined) return;
    const { log, name } = this.#options;
    log.error(
      `the authority of ${name} certificates ${problem}: no certificate it issued is accepted; replace the files in place, without a restart`,
    );
  }

  /** A certificate that is valid is not given up for one that is not. @throws TlsFileError */
  #refuseWorse(material: TlsMaterial): void {
    const now = new Date();
    const problem = validityProblem(this.#config.certFile, material, now);
    if (problem !== undefined && validityAt(this.#period, now) === "valid") {
      throw new TlsFileError(`certificate ${problem}`);
    }
  }

  /** Once an hour while the certificate is not valid, once a day while its end is near. */
  #warnOfValidity(): void {
    if (this.#options.isQuiet === true) return;
    const now = new Date();
    const { log, name } = this.#options;
    const { certFile } = this.#config;
    const problem = validityProblem(certFile, this.#period, now);
    if (problem === undefined && this.#period.notAfter.getTime() - now.getTime() > warnBeforeMs)
      return;
    const hour = now.toISOString().slice(0, "2006-01-02T15".length);
    const told = problem === undefined ? hour.slice(0, "2006-01-02".length) : hour;
    if (told === this.#told) return;
    this.#told = told;
    if (problem === undefined) {
      const when = this.#period.notAfter.toISOString();
      log.warning(`the ${name} certificate ${certFile} expires at ${when}`);
      return;
    }
    const others = name === "peer" ? "other members" : "clients that check it";
    log.error(
      `the ${name} certificate ${problem}: ${others} refuse it; replace the files in place, without a restart`,
    );
  }

  #refuse(error: unknown, address: string): void {
    const now = performance.now();
    const { sinceMs, count } = this.#refused;
    if (now - sinceMs < refusedLogIntervalMs) {
      this.#refused.count++;
      return;
    }
    this.#refused = { sinceMs: now, count: 0 };
    const more = count === 0 ? "" : ` (and ${count} others before)`;
    const { log, name } = this.#options;
    log.warning(`refused a ${name} connection from ${address}: ${describeTlsError(error)}${more}`);
  }
}

function addressOf(socket: unknown): string {
  return (socket instanceof Socket ? socket.remoteAddress : undefined) ?? "an unknown address";
}

async function signatureOf(paths: readonly string[]): Promise<string> {
  const parts = await Promise.all(
    paths.map(async (path) => {
      try {
        const { mtimeMs, size, ino } = await stat(path);
        return `${mtimeMs} ${size} ${ino}`;
      } catch {
        return "missing";
      }
    }),
  );
  return parts.join("\n");
}

/**
 * Sets one side up; undefined when it has neither certificate nor --auto-tls.
 * @throws TlsFileError
 */
export async function createTlsSide(options: TlsSideOptions): Promise<TlsSide | undefined> {
  const { config, log, name } = options;
  let effective = config;
  if (config.certFile === "") {
    if (!config.autoTls) return undefined;
    const { autoTlsDirectory: directory, hosts } = options;
    const files = await selfSigned({ directory, hosts, years: config.selfSignedYears });
    effective = { ...config, certFile: files.certFile, keyFile: files.keyFile };
    const verb = files.isNew ? "made" : "uses";
    if (options.isQuiet !== true)
      log.info(`${name} auto-tls ${verb} the self-signed certificate ${files.certFile}`);
  }
  const side = new TlsSide(options, effective, loadTlsFiles(effective));
  await side.look();
  return side;
}

/** The line the start-up log has about a side. */
export function announceTls(name: "client" | "peer", config: TlsConfig): string {
  const { certFile, keyFile, caFile, trustedCaFile, clientCertAuth } = config;
  return (
    `${name}TLS: cert = ${certFile}, key = ${keyFile}, ca = ${caFile}, ` +
    `trusted-ca = ${trustedCaFile}, client-cert-auth = ${String(clientCertAuth)}`
  );
}
