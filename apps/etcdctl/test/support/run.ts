/** Two ways to run the program: inside this process, and as the bundle that people start. */
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { globSync, statSync } from "node:fs";
import { join } from "node:path";
import { runEtcdctl } from "../../src/program.ts";
import { MemoryTerminal } from "./memory-terminal.ts";

export interface Outcome {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Env = Readonly<Record<string, string>>;

export const projectRoot = import.meta.dirname.replace(/(?:\/dist)?\/test\/support$/, "");

/** Runs the program in this process. */
export async function runInside(
  words: readonly string[],
  options: { readonly env?: Env; readonly stdin?: string; readonly isTerminal?: boolean } = {},
): Promise<Outcome> {
  const terminal = new MemoryTerminal(options.stdin, { isTerminal: options.isTerminal ?? false });
  const exit = await runEtcdctl("etcdctl", words, options.env ?? {}, terminal);
  return { exit, stdout: terminal.written.out, stderr: terminal.written.err };
}

/** The bundle's first file. @throws when the bundle is missing or older than the sources. */
export function bundledProgram(): string {
  const program = join(projectRoot, "bundle/start.cjs");
  const hint = "bundle the program first: node ../../tools/bundle.mjs .";
  const built = statSync(program, { throwIfNoEntry: false });
  assert.ok(built !== undefined, hint);
  for (const source of globSync(join(projectRoot, "src/**/*.ts"))) {
    assert.ok(
      statSync(source).mtimeMs <= built.mtimeMs,
      `${source} is newer than the bundle; ${hint}`,
    );
  }
  return program;
}

/** A running bundle: what it has written so far, and its end. */
export class Running {
  readonly child: ChildProcessWithoutNullStreams;
  stdout = "";
  stderr = "";
  readonly #ended: Promise<number | null>;
  readonly #waiting = new Set<() => void>();

  constructor(command: readonly string[], cwd: string, env: Env) {
    const [program = "", ...args] = command;
    const { PATH = "", HOME = "" } = process.env;
    this.child = spawn(program, args, { cwd, env: { PATH, HOME, TZ: "UTC", ...env } });
    this.child.stdout.on("data", (chunk: Buffer) => {
      this.stdout += chunk.toString("utf8");
      for (const look of this.#waiting) look();
    });
    this.child.stderr.on("data", (chunk: Buffer) => {
      this.stderr += chunk.toString("utf8");
    });
    // A program that does not read its input may be gone before all of it is written.
    this.child.stdin.on("error", () => undefined);
    this.#ended = new Promise((resolve) => this.child.on("close", resolve));
  }

  /** Resolves once the output fits, at the end of the program otherwise. */
  async outputFits(fits: (stdout: string) => boolean): Promise<void> {
    if (fits(this.stdout)) return;
    await Promise.race([
      this.#ended,
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (!fits(this.stdout)) return;
          this.#waiting.delete(look);
          resolve();
        };
        this.#waiting.add(look);
      }),
    ]);
  }

  /** The outcome; the program is killed when it takes longer than the limit. */
  async outcome(limitMs = 30_000): Promise<Outcome> {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), limitMs);
    const exit = await this.#ended;
    clearTimeout(timer);
    return { exit, stdout: this.stdout, stderr: this.stderr };
  }
}

/** Starts the bundle. */
export function startBundle(
  words: readonly string[],
  options: { readonly env?: Env; readonly cwd?: string } = {},
): Running {
  const command = [process.execPath, bundledProgram(), ...words];
  return new Running(command, options.cwd ?? projectRoot, options.env ?? {});
}
