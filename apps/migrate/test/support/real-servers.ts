/** Servers as processes: the system's etcd with its v2 API as the old side, ours as the new one. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { freePort, until } from "@etcd2/test-support";

const SYSTEM_ETCD = "/usr/bin/etcd";
const OWN_SERVER = join(import.meta.dirname, "..", "..", "..", "server", "src", "main.ts");

export type ServerKind = "old" | "own";

/** A one-member cluster that can be killed and started again on its data. */
export class RealServer {
  readonly #kind: ServerKind;
  readonly #directory: string;
  readonly #clientPort: number;
  readonly #peerPort: number;
  #child: ChildProcess | undefined;
  #output = "";

  private constructor(kind: ServerKind, directory: string, ports: readonly [number, number]) {
    this.#kind = kind;
    this.#directory = directory;
    [this.#clientPort, this.#peerPort] = ports;
  }

  /** Where the system has no etcd, ours plays the old side too. */
  static async start(kind: ServerKind, directory: string): Promise<RealServer> {
    const server = new RealServer(kind, directory, [await freePort(), await freePort()]);
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#clientPort}`;
  }

  async start(): Promise<void> {
    const isSystem = this.#kind === "old" && existsSync(SYSTEM_ETCD);
    const peer = `http://127.0.0.1:${this.#peerPort}`;
    const flags = [
      ...["--name", "m", "--data-dir", this.#directory],
      ...["--listen-client-urls", this.url, "--advertise-client-urls", this.url],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", `m=${peer}`],
    ];
    const child = isSystem
      ? spawn(SYSTEM_ETCD, ["--enable-v2", ...flags], { stdio: ["ignore", "pipe", "pipe"] })
      : spawn(process.execPath, ["--conditions=etcd2-source", OWN_SERVER, ...flags], {
          stdio: ["ignore", "pipe", "pipe"],
        });
    child.stdout.on("data", (text) => (this.#output += String(text)));
    child.stderr.on("data", (text) => (this.#output += String(text)));
    this.#child = child;
    const ended = new Promise<never>((_, reject) => {
      child.once("exit", () => {
        reject(new Error(`it ended: ${this.#output.slice(-2000)}`));
      });
    });
    const answers = until(`${this.#kind} server answers`, () => this.#answers(), 60_000);
    await Promise.race([answers, ended]);
  }

  /** Ends it without a chance to tidy up. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const closed = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGKILL");
    await closed;
  }

  async #answers(): Promise<boolean> {
    try {
      const response = await fetch(`${this.url}/health`);
      return response.ok && (await response.text()).includes("true");
    } catch {
      return false;
    }
  }
}
