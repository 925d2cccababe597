/** A server of etcd 3.4 or newer in a process of its own, where one is installed. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@etcd2/test-support";
import * as methods from "../../src/client/methods.ts";
import { V3Client } from "../../src/client/v3-client.ts";

const PROGRAM = process.env["ETCD_V3_SERVER"] ?? "/usr/bin/etcd";
const START_TIMEOUT_MS = 60_000;

function isInstalled(): boolean {
  try {
    return /^etcd Version: 3\./m.test(execFileSync(PROGRAM, ["--version"], { encoding: "utf8" }));
  } catch {
    return false;
  }
}

/** What to say when tests with a real server are skipped; false when there is one. */
export const noRealEtcd: string | false = isInstalled()
  ? false
  : `${PROGRAM} is no etcd 3 (set ETCD_V3_SERVER to one)`;

interface MemberOptions {
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
  readonly cluster: string;
  readonly flags: readonly string[];
}

export class RealEtcd {
  readonly endpoint: string;
  readonly #directory: string;
  readonly #flags: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(directory: string, options: MemberOptions) {
    const { name, clientPort, peerPort, cluster, flags } = options;
    this.endpoint = `http://127.0.0.1:${clientPort}`;
    this.#directory = directory;
    const peer = `http://127.0.0.1:${peerPort}`;
    this.#flags = [
      ["--name", name, "--data-dir", join(directory, "data")],
      ["--listen-client-urls", this.endpoint, "--advertise-client-urls", this.endpoint],
      ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ["--initial-cluster", cluster, "--logger", "zap", "--log-level", "error"],
      flags,
    ].flat();
  }

  /** @param flags More flags of the program. */
  static async start(flags: readonly string[] = []): Promise<RealEtcd> {
    const [server] = await RealEtcd.startCluster(1, flags);
    if (server === undefined) throw new Error("unreachable: one was asked for");
    return server;
  }

  /** A cluster of so many members. */
  static async startCluster(size: number, flags: readonly string[] = []): Promise<RealEtcd[]> {
    const members: Omit<MemberOptions, "cluster" | "flags">[] = [];
    for (let n = 0; n < size; n += 1) {
      members.push({ name: `m${n}`, clientPort: await freePort(), peerPort: await freePort() });
    }
    const cluster = members
      .map(({ name, peerPort }) => `${name}=http://127.0.0.1:${peerPort}`)
      .join(",");
    const servers = members.map(
      (member) =>
        new RealEtcd(mkdtempSync(join(tmpdir(), "etcd2-v3-")), { ...member, cluster, flags }),
    );
    await Promise.all(servers.map((server) => server.restart()));
    return servers;
  }

  /** Starts the server on its data, after stop() or kill(). */
  async restart(): Promise<void> {
    this.#child = spawn(PROGRAM, this.#flags, { stdio: "ignore" });
    const client = new V3Client({ endpoints: [this.endpoint] });
    const deadline = performance.now() + START_TIMEOUT_MS;
    try {
      for (;;) {
        const isUp = await client.call(methods.range, { key: Buffer.from("x") }).then(
          () => true,
          () => false,
        );
        if (isUp) return;
        if (performance.now() > deadline) throw new Error(`${PROGRAM} did not start`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    } finally {
      client.close();
    }
  }

  /** Sends a signal that does not end the process. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(signal);
  }

  /** Ends the process by a signal and waits for its end. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }

  /** Ends the process and removes its data. */
  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
