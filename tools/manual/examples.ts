/**
 * Runs the examples of a page of the manual as they stand there: blocks marked `console`, in which a line
 * that begins with `$ ` is a command and what follows is what it prints, and blocks marked `ts`, whose last
 * lines of comment say what they print. Owns the ports, processes and folder that the examples of one page share.
 *
 * What differs from run to run is shown as the page shows it: ids, moments and ports. A command that ends
 * in `&` is a server; the next one waits until the servers that were started answer `/health` over http.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { freePort, until } from "@etcd2/test-support";

const root = join(import.meta.dirname, "..", "..");
const DEADLINE_MS = 120_000;

/** One example of a page. */
export interface Example {
  readonly language: "console" | "ts";
  readonly text: string;
  /** Where its text begins in the page. */
  readonly offset: number;
}

/** The examples of a page, in order. Blocks behind `<!-- not run: reason -->` are left out. */
export function examplesOf(page: string): Example[] {
  const pattern = /(<!-- not run: .*? -->\s*)?^```(console|ts)\n([\s\S]*?)^```$/gm;
  const found: Example[] = [];
  for (const match of page.matchAll(pattern)) {
    const [whole, notRun, language, text = ""] = match;
    if (notRun !== undefined || (language !== "console" && language !== "ts")) continue;
    found.push({ language, text, offset: match.index + whole.length - text.length - 3 });
  }
  return found;
}

/** Ids as pages show them, given to the ids of a run in the order in which they appear. */
const SHOWN_IDS = [
  "7e27652122e8b2ae",
  "ce2a822cea30bfca",
  "a8266ecf031671f3",
  "91bc3c398fb3c146",
  "fd422379fda50e48",
  "272e204152ee0b15",
];
const SHOWN_TIME = "2026-12-01T10:00:00.123456789Z";

/** The surroundings of the examples of one page. */
export class Session implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "etcd2-manual-"));
  readonly #ports = new Map<string, string>();
  readonly #ids = new Map<string, string>();
  readonly #servers: ChildProcess[] = [];
  #awaited: string[] = [];

  /** Runs an example. @returns its text with what it printed in this run. */
  async run(example: Example): Promise<string> {
    return example.language === "ts"
      ? this.#runProgram(example.text)
      : this.#runShell(example.text);
  }

  /** Starts a server with the page's address of a lone member. */
  async startMember(): Promise<void> {
    await this.#shell(
      "etcd --data-dir lone --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 " +
        "--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 " +
        "--initial-cluster default=http://127.0.0.1:2380 &",
    );
  }

  async #runProgram(text: string): Promise<string> {
    const code = text.replace(/(?:^\/\/ .*\n)+$/m, "");
    const output = await this.#execute(
      process.execPath,
      [
        "--conditions=etcd2-source",
        "--input-type=module-typescript",
        "--eval",
        await this.#inner(code),
      ],
      join(root, "libs", "client"),
    );
    return code + output.trimEnd().replaceAll(/^/gm, "// ") + "\n";
  }

  async #runShell(text: string): Promise<string> {
    // A command goes on in the next line behind a backslash.
    const commands = text.match(/^\$ (?:.*\\\n)*.*$/gm) ?? [];
    let shown = "";
    for (const command of commands) {
      const output = await this.#shell(command.slice(2));
      shown += `${command}\n${output}`;
      if (!shown.endsWith("\n")) shown += "\n";
    }
    return shown;
  }

  async #shell(command: string): Promise<string> {
    const inner = await this.#inner(command);
    if (command.endsWith(" &")) {
      const child = spawn("bash", ["-c", `exec ${inner.slice(0, -2)}`], {
        ...this.#surroundings(this.#folder),
        stdio: "ignore",
      });
      this.#servers.push(child);
      const [, url] = /--advertise-client-urls (http:\S+)/.exec(inner) ?? [];
      if (url !== undefined) this.#awaited.push(url);
      return "";
    }
    await this.#ready();
    return this.#execute("bash", ["-c", inner], this.#folder);
  }

  async #ready(): Promise<void> {
    const urls = this.#awaited;
    this.#awaited = [];
    for (const url of urls) {
      await until(`the server at ${url} is healthy`, async () => {
        const { status } = await fetch(`${url}/health`);
        return status === 200;
      });
    }
  }

  async #execute(program: string, args: readonly string[], cwd: string): Promise<string> {
    await this.#ready();
    const child = spawn(program, args, {
      ...this.#surroundings(cwd),
      stdio: ["ignore", "pipe", "pipe"],
      timeout: DEADLINE_MS,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    }
    await new Promise((resolve) => child.once("close", resolve));
    return this.#outer(output);
  }

  #surroundings(cwd: string): { readonly cwd: string; readonly env: NodeJS.ProcessEnv } {
    const endpoint = this.#ports.get("2379") ?? "2379";
    const path = `${join(root, "node_modules", ".bin")}${delimiter}${process.env["PATH"] ?? ""}`;
    const quiet = { FORCE_COLOR: "0", NO_COLOR: "1", NODE_DISABLE_COLORS: "1" };
    const env = { ...process.env, ...quiet, PATH: path };
    // On a terminal curl shows a progress bar for downloads only; elsewhere it is told not to.
    writeFileSync(join(this.#folder, ".curlrc"), "silent\nshow-error\n");
    const endpoints = `http://127.0.0.1:${endpoint}`;
    return { cwd, env: { ...env, CURL_HOME: this.#folder, ETCDCTL_ENDPOINTS: endpoints } };
  }

  /** Text of the page as it counts in this run. */
  async #inner(text: string): Promise<string> {
    for (const [, port = ""] of text.matchAll(/127\.0\.0\.1:(\d+)/g)) {
      if (!this.#ports.has(port)) this.#ports.set(port, String(await freePort()));
    }
    let inner = text.replaceAll(
      /127\.0\.0\.1:(\d+)/g,
      (_, port: string) => `127.0.0.1:${this.#ports.get(port) ?? port}`,
    );
    for (const [id, shown] of this.#ids) inner = inner.replaceAll(shown, id);
    return inner;
  }

  /** Text of this run as the page shows it. */
  #outer(text: string): string {
    let outer = text
      .replaceAll("\r", "")
      .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g, SHOWN_TIME)
      .replaceAll(/^(Date: ).*$/gm, "$1Tue, 01 Dec 2026 10:00:00 GMT")
      .replaceAll(/"uptime":"[^"]*"/g, '"uptime":"1m30.5s"')
      .replaceAll(/^(X-Raft-Index: )\d+$/gm, "$17")
      .replaceAll(/^(X-Raft-Term: )\d+$/gm, "$12")
      .replaceAll(/\(\d+ bytes\)/g, "(643 bytes)")
      .replaceAll(this.#folder, "/var/lib")
      .replaceAll(/\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{14,16}\b/g, (id) =>
        this.#shownId(id),
      );
    for (const [shown, port] of this.#ports) {
      outer = outer.replaceAll(`127.0.0.1:${port}`, `127.0.0.1:${shown}`);
    }
    return outer;
  }

  #shownId(id: string): string {
    const known = this.#ids.get(id) ?? SHOWN_IDS[this.#ids.size] ?? id;
    this.#ids.set(id, known);
    return known;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#servers.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        await ended;
      }),
    );
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A page with what its examples print in this run. */
export async function runPage(page: string): Promise<string> {
  await using session = new Session();
  if (!page.includes("<!-- examples start their own servers -->")) await session.startMember();
  let shown = "";
  let end = 0;
  for (const example of examplesOf(page)) {
    shown += page.slice(end, example.offset) + (await session.run(example));
    end = example.offset + example.text.length;
  }
  return shown + page.slice(end);
}
