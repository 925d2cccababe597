/**
 * Certificates, listeners and callers for the tests of TLS. The files are made before the tests of
 * the importing file and removed after them.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import type { TlsConfig } from "../../src/config/server-config.ts";
import { createTextLogging } from "../../src/logging/logger.ts";
import type { Logger } from "@etcd2/observability";
import { describeTlsError } from "../../src/tls/tls-error.ts";
import type { TlsSide } from "../../src/tls/tls-side.ts";
import { createTlsSide } from "../../src/tls/tls-side.ts";

const testCa = new URL("../../../../tools/test-ca.ts", import.meta.url).pathname;
export const root = mkdtempSync(join(tmpdir(), "tls-"));
/** Runs tools/test-ca.ts for a directory below `root`. */
export function make(directory: string, ...args: string[]): void {
  execFileSync(process.execPath, [testCa, join(root, directory), ...args]);
}
export const path = (name: string): string => join(root, name);
export const text = (name: string): string => readFileSync(path(name), "utf8");

before(() => {
  make("ca", "server", "peer", "client", "server2");
  make("ca", "expired", "--days=-1");
  make("ca", "early", "--from=2");
  make("ca", "elsewhere");
  make("other", "client");
});
after(() => {
  rmSync(root, { recursive: true });
});

export const noTls: TlsConfig = {
  certFile: "",
  keyFile: "",
  caFile: "",
  trustedCaFile: "",
  crlFile: "",
  clientCertAuth: false,
  autoTls: false,
  minVersion: "TLSv1.2",
  selfSignedYears: 1,
};

export function withPair(name: string, more: Partial<TlsConfig> = {}): TlsConfig {
  return { ...noTls, certFile: path(`${name}.pem`), keyFile: path(`${name}-key.pem`), ...more };
}

export function logger(): { lines: string[]; log: Logger } {
  const lines: string[] = [];
  const sink = {
    write: (line: string) => lines.push(line),
    flush: () => undefined,
    close: () => undefined,
  };
  const logging = createTextLogging({ sink, format: "text", useColor: false, level: "info" });
  return { lines, log: logging.logger("etcdmain") };
}

export async function makeSide(config: TlsConfig, log = logger().log): Promise<TlsSide> {
  const side = await createTlsSide({
    name: "client",
    config,
    log,
    hosts: ["localhost"],
    autoTlsDirectory: path("auto"),
    pollIntervalMs: 3_600_000,
  });
  return side ?? assert.fail("no TLS");
}

/** Serves over TLS and hands a way to ask; the answer is the body, or why there is none. */
export async function serve(
  config: TlsConfig,
  test: (ask: Ask, side: TlsSide, lines: string[]) => Promise<void>,
): Promise<void> {
  const { lines, log } = logger();
  const side = await makeSide(config, log);
  const server = createServer(side.serverOptions(), (_request, response) => response.end("hello"));
  side.attach(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    await test((options) => ask(port, options), side, lines);
  } finally {
    side.close();
    server.closeAllConnections();
    server.close();
  }
}

/** Waits for a text in the log, which may be written after the other side has seen the end. */
export async function logged(lines: readonly string[], wanted: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!lines.join("").includes(wanted)) {
    assert.ok(Date.now() < deadline, `"${wanted}" is not in the log: ${lines.join("")}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

type Ask = (options?: RequestOptions) => Promise<string>;

function ask(port: number, options: RequestOptions = {}): Promise<string> {
  return new Promise((resolve) => {
    const asked = request(
      { host: "127.0.0.1", port, ca: text("ca/ca.pem"), agent: false, ...options },
      (response) => {
        response.setEncoding("utf8");
        let body = "";
        response.on("data", (part: string) => (body += part));
        response.on("end", () => {
          resolve(body);
        });
      },
    );
    asked.on("error", (error) => {
      resolve(describeTlsError(error));
    });
    asked.end();
  });
}

export const clientPair = (): { cert: string; key: string } => ({
  cert: text("ca/client.pem"),
  key: text("ca/client-key.pem"),
});
