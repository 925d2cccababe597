/** What the tests talk to: real servers as processes of their own, and servers made of one function. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, until } from "@etcd2/test-support";

const OWN = join(import.meta.dirname, "..", "..", "..", "apps", "server", "bin", "etcd");
const DEBIAN = "/usr/bin/etcd";

export interface RealServer {
  readonly url: string;
  stop(): Promise<void>;
}

export interface ServerKind {
  readonly title: string;
  readonly program: string;
  readonly flags: readonly string[];
  /** Why it cannot be tested here; undefined when it can. */
  readonly absent: string | undefined;
}

export const serverKinds: readonly ServerKind[] = [
  {
    title: "our server",
    program: OWN,
    // As many events as the other keeps.
    flags: ["--watch-history", "1000"],
    absent: undefined,
  },
  {
    title: "etcd 3.4 with --enable-v2",
    program: DEBIAN,
    flags: ["--enable-v2"],
    absent: existsSync(DEBIAN) ? undefined : `${DEBIAN} is not installed`,
  },
];

/** Our own servers as one cluster. */
export async function startCluster(size: number): Promise<readonly RealServer[]> {
  const peers = await Promise.all(
    Array.from({ length: size }, async () => `http://127.0.0.1:${await freePort()}`),
  );
  const cluster = peers.map((url, i) => `m${i}=${url}`).join(",");
  return Promise.all(
    peers.map(async (peerUrl, i) => {
      return launch(OWN, peerUrl, ["--name", `m${i}`, "--initial-cluster", cluster]);
    }),
  );
}

/** Starts a single member with a directory of its own. */
export async function startServer({ program, flags }: ServerKind): Promise<RealServer> {
  const peerUrl = `http://127.0.0.1:${await freePort()}`;
  return launch(program, peerUrl, ["--name", "m", "--initial-cluster", `m=${peerUrl}`, ...flags]);
}

async function launch(
  program: string,
  peerUrl: string,
  flags: readonly string[],
): Promise<RealServer> {
  const directory = mkdtempSync(join(tmpdir(), "etcd2-client-"));
  const url = `http://127.0.0.1:${await freePort()}`;
  const child = spawn(
    program,
    [
      ...["--data-dir", join(directory, "data"), ...flags],
      ...["--listen-client-urls", url, "--advertise-client-urls", url],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
    ],
    { stdio: "ignore" },
  );
  await until("the server answers", async () => {
    const { status } = await fetch(`${url}/v2/keys/?quorum=true`);
    return status === 200;
  });
  return {
    url,
    stop: async () => {
      await ended(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve();
      return;
    }
    child.once("exit", () => {
      resolve();
    });
    child.kill("SIGKILL");
  });
}

export type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A server that answers with one function, and keeps what it was asked. */
export class FakeServer implements AsyncDisposable {
  readonly requests: { readonly method: string; readonly url: string; readonly body: string }[] =
    [];
  readonly #server: Server;
  handler: Handler;

  private constructor(handler: Handler) {
    this.handler = handler;
    this.#server = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (text: string) => (body += text));
      request.on("end", () => {
        const { method = "", url = "" } = request;
        this.requests.push({ method, url, body });
        this.handler(request, response, body);
      });
    });
  }

  static async start(handler: Handler): Promise<FakeServer> {
    const fake = new FakeServer(handler);
    await new Promise<void>((resolve) => {
      fake.#server.listen(0, "127.0.0.1", resolve);
    });
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }
}

/** An answer as a v2 server gives it. */
export function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}
