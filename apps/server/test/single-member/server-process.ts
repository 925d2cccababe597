/** One real server process for tests: started on free loopback ports, ended by its pid. */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const program = join(import.meta.dirname, "..", "..", "bin", "etcd");
export const etcdctl = join(import.meta.dirname, "..", "..", "..", "etcdctl", "bin", "etcdctl");

/** Where this process looks for its next port: below the range the system gives to clients. */
let nextPort = 10_000 + (process.pid % 220) * 100;

function canBind(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => {
      resolve(false);
    });
    server.listen(port, "127.0.0.1", () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

/**
 * A port nothing listens on, never given twice by this process. Test files run as processes with
 * neighbouring ids, so each has a hundred ports to itself before it meets another's.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    nextPort = nextPort >= 32_000 ? 10_000 : nextPort + 1;
    const port = nextPort;
    if (await canBind(port)) return port;
  }
}

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

/** Polls until the condition holds. */
export async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within 15 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
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

  static async start(extra: readonly string[] = []): Promise<ServerProcess> {
    const server = new ServerProcess();
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
    const child = spawn(program, this.flags, { stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    child.stderr.setEncoding("utf8");
    child.stderr.on("data", (part: string) => (this.log += part));
    this.#exit = new Promise((resolve) => {
      child.once("exit", (status, signal) => {
        resolve({ status, signal });
      });
    });
    await until("the server answers", async () => {
      if (child.exitCode !== null) throw new Error(`the server ended:\n${this.log}`);
      return ask("GET", `${this.clientUrl}/version`).then(
        () => true,
        () => false,
      );
    });
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
    await this.kill("SIGKILL");
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
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], timeout: 15_000 });
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
