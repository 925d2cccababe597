/** Recorded runs of etcdctl 2.3.8: reading them, running one, judging what came back. */
import { copyFileSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Outcome, projectRoot, runInside, startBundle } from "./run.ts";
import type { Received, Route, ScriptedServer, TlsFiles } from "./scripted-server.ts";
import type { Templates } from "./template.ts";

type Mode = "exact" | "lines_any_order" | "lines_subset" | "ignore";

export interface ExpectedRequest {
  readonly method: string;
  readonly path: string;
  readonly query?: string;
  readonly body?: string;
  readonly Authorization?: string;
  readonly "Content-Type"?: string;
}

export interface Transcript {
  readonly id: string;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly write?: Readonly<Record<string, string>>;
  readonly copy?: Readonly<Record<string, string>>;
  readonly routes?: readonly Route[];
  readonly interrupt_after_lines?: number;
  readonly interrupt_settle_ms?: number;
  readonly timeout_s?: number;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly stdout_mode?: Mode;
  readonly stderr_mode?: Mode;
  readonly exit: number | readonly number[];
  readonly requests?: readonly ExpectedRequest[];
  readonly requests_mode?: "ignore";
}

export interface TranscriptFile {
  readonly name: string;
  readonly server: "stub" | "none" | "live";
  readonly routes?: readonly Route[];
  readonly tls?: TlsFiles;
  /** In recorded files: the key prefix and the etcd index of the recording. */
  readonly prefix?: string;
  readonly index?: number;
  readonly cases: readonly Transcript[];
}

export const fixtures = join(projectRoot, "test/fixtures");

/** The files of one kind: `scripted`, `recorded`. */
export function transcriptFiles(kind: string): TranscriptFile[] {
  return globSync(join(fixtures, kind, "*.json"))
    .sort()
    .map((path) => JSON.parse(readFileSync(path, "utf8")) as TranscriptFile);
}

/** An address of the loopback nobody listens on. */
export async function closedAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}

function placeFiles(transcript: Transcript, templates: Templates, directory: string): void {
  for (const [name, text] of Object.entries(transcript.write ?? {})) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), templates.fill(text));
  }
  for (const [name, source] of Object.entries(transcript.copy ?? {})) {
    copyFileSync(join(fixtures, source), join(directory, basename(name)));
  }
}

function filledRoutes(routes: readonly Route[], templates: Templates): Route[] {
  return routes.map((route) => ({
    ...route,
    path: templates.fill(route.path),
    ...(route.body === undefined ? {} : { body: templates.fill(route.body) }),
    headers: Object.fromEntries(
      Object.entries(route.headers ?? {}).map(([name, value]) => [name, templates.fill(value)]),
    ),
  }));
}

/**
 * The words of a transcript; unless it is about timeouts, with one that a machine which stands still
 * for seconds does not reach.
 */
function patiently({ argv, stderr = "" }: Transcript): readonly string[] {
  const isAboutTimeouts = [...argv, stderr].some((text) => text.includes("timeout"));
  return isAboutTimeouts || argv.length === 0 ? argv : ["--timeout", "30s", ...argv];
}

/** Runs a transcript: as the bundle, or inside this process when `isInside`. */
export async function runTranscript(
  transcript: Transcript,
  surroundings: {
    readonly file: TranscriptFile;
    readonly templates: Templates;
    readonly server: ScriptedServer | undefined;
    readonly directory: string;
    readonly isInside: boolean;
  },
): Promise<Outcome> {
  const { file, templates, server, directory } = surroundings;
  server?.begin(filledRoutes([...(transcript.routes ?? []), ...(file.routes ?? [])], templates));
  placeFiles(transcript, templates, directory);
  const words = patiently(transcript).map((word) => templates.fill(word));
  const env = Object.fromEntries(
    Object.entries(transcript.env ?? {}).map(([name, value]) => [name, templates.fill(value)]),
  );
  const lines = transcript.interrupt_after_lines;
  if (surroundings.isInside && lines === undefined && words[0] !== "exec-watch") {
    return runInside(words, { env, stdin: templates.fill(transcript.stdin ?? "") });
  }
  const running = startBundle(words, { env, cwd: directory });
  running.child.stdin.end(templates.fill(transcript.stdin ?? ""));
  if (lines !== undefined) {
    await running.outputFits((text) => text.split("\n").length > lines);
    // The recording says how long the program must stay as it is before it is interrupted.
    await delay(transcript.interrupt_settle_ms ?? 300);
    running.child.kill("SIGINT");
  }
  return running.outcome((transcript.timeout_s ?? 25) * 1000);
}

function takeLine(left: string[], template: string, templates: Templates): boolean {
  const at = left.findIndex((line) => templates.fits(template, line));
  if (at >= 0) left.splice(at, 1);
  return at >= 0;
}

function fitsText(mode: Mode, want: string, got: string, templates: Templates): boolean {
  const left = got.split("\n");
  const lines = want.split("\n");
  switch (mode) {
    case "ignore":
      return true;
    case "exact":
      return templates.fits(want, got);
    case "lines_any_order":
      return left.length === lines.length && lines.every((l) => takeLine(left, l, templates));
    case "lines_subset":
      return lines.every((l) => takeLine(left, l, templates));
  }
}

/** Pairs of a query or a form, in one order. */
function pairs(text: string): string {
  return JSON.stringify([...new URLSearchParams(text)].sort());
}

function sameBody(want: string, got: string): boolean {
  if (want === got) return true;
  if (want.startsWith("{")) return JSON.stringify(JSON.parse(want)) === got;
  return pairs(want) === pairs(got);
}

function sameRequest(want: ExpectedRequest, got: Received, templates: Templates): boolean {
  return (
    want.method === got.method &&
    templates.fill(want.path) === got.path &&
    pairs(templates.fill(want.query ?? "")) === pairs(got.query) &&
    sameBody(templates.fill(want.body ?? ""), got.body) &&
    want.Authorization === got.authorization &&
    (want["Content-Type"] === undefined || want["Content-Type"] === got.contentType)
  );
}

/** Everything in which an outcome differs from the transcript; empty when it is the same. */
export function differences(
  transcript: Transcript,
  outcome: Outcome,
  received: readonly Received[],
  templates: Templates,
): string[] {
  const found: string[] = [];
  const exits: readonly number[] =
    typeof transcript.exit === "number" ? [transcript.exit] : transcript.exit;
  // Where the recording allows several, the first is what a correct program gives.
  if (outcome.exit !== exits[0])
    found.push(`exit: want ${String(exits[0])}, got ${String(outcome.exit)}`);
  const { stdout = "", stderr = "" } = transcript;
  if (!fitsText(transcript.stdout_mode ?? "exact", stdout, outcome.stdout, templates)) {
    found.push(`stdout: want ${JSON.stringify(stdout)}, got ${JSON.stringify(outcome.stdout)}`);
  }
  if (!fitsText(transcript.stderr_mode ?? "exact", stderr, outcome.stderr, templates)) {
    found.push(`stderr: want ${JSON.stringify(stderr)}, got ${JSON.stringify(outcome.stderr)}`);
  }
  if (transcript.requests === undefined || transcript.requests_mode === "ignore") return found;
  const isSame =
    transcript.requests.length === received.length &&
    transcript.requests.every((want, i) => {
      const got = received[i];
      return got !== undefined && sameRequest(want, got, templates);
    });
  if (!isSame) {
    found.push(
      `requests: want ${JSON.stringify(transcript.requests)}, got ${JSON.stringify(received)}`,
    );
  }
  return found;
}
