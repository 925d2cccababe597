/**
 * One `etcd` process of a test cluster: its ports, its data directory, its console output, and
 * the ways to end or stop it. Knows the built server as an executable only.
 */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { freePort, until } from "@etcd2/test-support";
import { send } from "./http.ts";
import type { Answer, RequestOptions } from "./http.ts";

const root = join(import.meta.dirname, "..", "..");

/** The built server; another build may be measured by naming it. */
const BINARY = process.env["CLUSTER_BINARY"] ?? join(root, "apps", "server", "bin", "etcd");

/** Where a member runs, when not plainly on loopback. */
export interface Place {
  readonly clientUrl: string;
  readonly peerUrl: string;
  /** Words to put in front of the command. */
  readonly command: readonly string[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface SelfStats {
  readonly id: string;
  readonly state: string;
  readonly leaderInfo: { readonly leader: string };
}

export class MemberProcess {
  readonly name: string;
  /** Another directory may be named between two starts. */
  dataDir: string;
  /** The server to run; another build may be named between two starts. */
  binary = BINARY;
  readonly clientUrl: string;
  readonly peerUrl: string;
  /** Everything the process wrote to its console, over all its starts. */
  log = "";
  #child: ChildProcess | undefined;
  #exit: Promise<Exit> | undefined;

  readonly #command: readonly string[];

  private constructor(name: string, directory: string, place: Place) {
    this.name = name;
    this.dataDir = join(directory, name);
    this.clientUrl = place.clientUrl;
    this.peerUrl = place.peerUrl;
    this.#command = place.command;
  }

  static async reserve(name: string, directory: string, place?: Place): Promise<MemberProcess> {
    if (place !== undefined) return new MemberProcess(name, directory, place);
    const [client, peer] = [await freePort(), await freePort()];
    return new MemberProcess(name, directory, {
      clientUrl: `http://127.0.0.1:${String(client)}`,
      peerUrl: `http://127.0.0.1:${String(peer)}`,
      command: [],
    });
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get isRunning(): boolean {
    return (
      this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
    );
  }

  /** Starts the process; `flags` come after those every member has. */
  start(flags: readonly string[]): void {
    const own = [
      ["--name", this.name],
      ["--data-dir", this.dataDir],
      ["--listen-client-urls", this.clientUrl],
      ["--advertise-client-urls", this.clientUrl],
      ["--listen-peer-urls", this.peerUrl],
      ["--initial-advertise-peer-urls", this.peerUrl],
    ].flat();
    const words = [...this.#command, this.binary, ...own, ...flags];
    const child = spawn(words[0] ?? this.binary, words.slice(1), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => (this.log += text));
    }
    this.#child = child;
    this.#exit = new Promise((resolve) => {
      child.on("close", (code, signal) => {
        resolve({ code, signal });
      });
    });
  }

  /** Resolves when the process has ended. */
  exited(): Promise<Exit> {
    return this.#exit ?? Promise.resolve({ code: 0, signal: null });
  }

  /** Sends the signal and waits for the end. */
  async end(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<Exit> {
    this.#child?.kill("SIGCONT");
    this.#child?.kill(signal);
    return this.exited();
  }

  /** Sends the signal without waiting. */
  signal(signal: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): void {
    if (this.isRunning) process.kill(this.pid, signal);
  }

  /** @throws NoAnswer */
  send(path: string, options?: RequestOptions): Promise<Answer> {
    return send(this.clientUrl + path, options);
  }

  async selfStats(): Promise<SelfStats> {
    const answer = await this.send("/v2/stats/self", { timeoutMs: 1000 });
    return JSON.parse(answer.body) as SelfStats;
  }

  /** Resolves once the console shows the text. */
  async logged(text: string | RegExp, deadlineMs = 10_000): Promise<void> {
    const isThere = (): boolean =>
      typeof text === "string" ? this.log.includes(text) : text.test(this.log);
    await until(`${this.name} logs ${String(text)}`, isThere, deadlineMs).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}\n${this.log}`);
      },
    );
  }
}
