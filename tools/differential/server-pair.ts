/**
 * Two servers side by side on fresh data directories: the one under test and one to compare it
 * with. Owns processes, ports and directories; knows nothing of what is asked of them.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RawConnection } from "@etcd2/test-support/traces";
import { freePort } from "@etcd2/test-support";

/** How long a server may take to answer its first write. */
const START_TIMEOUT_MS = 30_000;

export class ServerUnderComparison {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #dataDir: string;

  private constructor(url: string, child: ChildProcess, dataDir: string) {
    this.url = url;
    this.#child = child;
    this.#dataDir = dataDir;
  }

  /** Starts a single member with an empty data directory and waits until it takes writes. */
  static async start(command: readonly string[]): Promise<ServerUnderComparison> {
    const [program = "", ...words] = command;
    const dataDir = mkdtempSync(join(tmpdir(), "differential-"));
    const client = `http://127.0.0.1:${await freePort()}`;
    const peer = `http://127.0.0.1:${await freePort()}`;
    const flags = {
      "--name": "m0",
      "--data-dir": dataDir,
      "--listen-client-urls": client,
      "--advertise-client-urls": client,
      "--listen-peer-urls": peer,
      "--initial-advertise-peer-urls": peer,
      "--initial-cluster": `m0=${peer}`,
    };
    const child = spawn(program, [...words, ...Object.entries(flags).flat()], { stdio: "ignore" });
    const server = new ServerUnderComparison(client, child, dataDir);
    await server.#ready();
    return server;
  }

  async stop(): Promise<void> {
    const isOver = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await isOver;
    rmSync(this.#dataDir, { recursive: true, force: true });
  }

  /** Whether the process still runs. */
  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Also waits for the cluster version: the auth endpoints are closed before. */
  async #ready(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        const connection = await RawConnection.open(this.url);
        const auth = await connection.exchange({ method: "GET", target: "/v2/auth/enable" });
        connection.close();
        if (auth.status === 200) return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** The server under test first. */
export type ServerPair = readonly [ours: ServerUnderComparison, other: ServerUnderComparison];

/**
 * Starts both and writes to the one that is behind until both have the same store index, so that
 * indices can be compared as they are.
 */
export async function startPair(
  ours: readonly string[],
  other: readonly string[],
): Promise<ServerPair> {
  const pair = await Promise.all([
    ServerUnderComparison.start(ours),
    ServerUnderComparison.start(other),
  ]);
  const connections = await Promise.all(pair.map((server) => RawConnection.open(server.url)));
  const [a, b] = connections;
  if (a === undefined || b === undefined) throw new Error("two servers were started");
  while ((await indexOf(a)) < (await indexOf(b))) await touch(a);
  while ((await indexOf(b)) < (await indexOf(a))) await touch(b);
  for (const connection of connections) connection.close();
  return pair;
}

async function indexOf(connection: RawConnection): Promise<number> {
  const response = await connection.exchange({ method: "GET", target: "/v2/keys/" });
  return Number(response.headers.get("x-etcd-index"));
}

/** Moves the index by one and leaves nothing that a listing shows. */
async function touch(connection: RawConnection): Promise<void> {
  const headers = { "Content-Length": "0" };
  await connection.exchange({ method: "PUT", target: "/v2/keys/_level", headers });
}
