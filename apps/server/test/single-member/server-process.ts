/** One real server process for tests: started on free loopback ports, ended by its pid. */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, until } from "@etcd2/test-support";

export const program = join(import.meta.dirname, "..", "..", "bin", "etcd");
export const etcdctl = join(import.meta.dirname, "..", "..", "..", "etcdctl", "bin", "etcdctl");

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

export function ask(method: string, url: string, form = ""): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = form === "" ? {} : { "Content-Type": "application/x-www-form-urlencoded" };
    const call = request(url, { method, headers }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (body += part));
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end(form);
  });
}

export interface Exit {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A server on a directory of its own that survives restarts of the process. */
export class ServerProcess {
  readonly directory = mkdtempSync(join(tmpdir(), "etcd2-single-"));
  readonly dataDir = join(this.directory, "data");
  #child: ChildProcess | undefined;
  #exit: Promise<Exit> | undefined;
  log = "";
  clientUrl = "";
  flags: readonly string[] = [];
  /** In addition to this process's own. */
  env: Readonly<Record<string, string>> = {};

  static async start(
    extra: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<ServerProcess> {
    const server = new ServerProcess();
    server.env = env;
    server.clientUrl = `http://127.0.0.1:${await freePort()}`;
    const peerUrl = `http://127.0.0.1:${await freePort()}`;
    server.flags = [
      ...["--data-dir", server.dataDir],
      ...["--listen-client-urls", server.clientUrl, "--advertise-client-urls", server.clientUrl],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ...["--initial-cluster", `default=${peerUrl}`, ...extra],
    ];
    await server.spawn();
    return server;
  }

  /** Starts the process again on the same directory and ports. */
  async spawn(): Promise<void> {
    this.log = "";
    const env = { ...process.env, ...this.env };
    const child = spawn(program, this.flags, { env, stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    child.stderr.setEncoding("utf8");
    child.stderr.on("data", (part: string) => (this.log += part));
    this.#exit = new Promise((resolve) => {
      child.once("exit", (status, signal) => {
        resolve({ status, signal });
      });
    });
    let isOver = false;
    const ended = this.#exit.then(() => {
      isOver = true;
      throw new Error(`the server ended:\n${this.log}`);
    });
    const answers = until("the server answers", async () => {
      return isOver || (await ask("GET", `${this.clientUrl}/version`).then(() => true));
    });
    await Promise.race([answers, ended]);
  }

  get pid(): number {
    return this.#child?.pid ?? -1;
  }

  async kill(signal: NodeJS.Signals): Promise<Exit> {
    this.#child?.kill(signal);
    return this.exited();
  }

  exited(): Promise<Exit> {
    if (this.#exit === undefined) throw new Error("the server was never started");
    return this.#exit;
  }

  async dispose(): Promise<void> {
    if (this.#exit !== undefined) await this.kill("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Runs a program to its end; for starts that must fail. */
export function runToEnd(
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<Exit & { readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8");
    child.stderr.setEncoding("utf8");
    child.stdout.on("data", (part: string) => (stdout += part));
    child.stderr.on("data", (part: string) => (stderr += part));
    child.once("close", (status, signal) => {
      resolve({ status, signal, stdout, stderr });
    });
  });
}
