/**
 * Replays the transcripts in `fixtures/live` with the bundle against a running server:
 *
 *     node --conditions=etcd2-source test/replay-live.ts http://127.0.0.1:2379 [file ...]
 *
 * The server must be a fresh single member that advertises exactly this URL, with auth off, and
 * nobody else may write to it: etcd indexes are compared. Prints each difference and the totals; the
 * status is 1 when there was any.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { deviations } from "./support/deviations.ts";
import { bundledProgram, type Outcome, Running } from "./support/run.ts";
import { Templates } from "./support/template.ts";
import {
  differences,
  fixtures,
  runTranscript,
  type Transcript,
  type TranscriptFile,
  transcriptFiles,
} from "./support/transcripts.ts";

interface Step {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  /** Lines of output to wait for first. */
  readonly wait_lines?: number;
}

interface LiveTranscript extends Transcript {
  readonly before?: readonly Step[];
  /** Done once the server has one more watcher. */
  readonly trigger?: readonly Step[];
  /** On a pseudo terminal, each text typed once the output has what comes before it. */
  readonly tty?: boolean;
  readonly type?: readonly { readonly after: string; readonly text: string }[];
  readonly stderr_ignore?: readonly string[];
}

interface LiveFile extends TranscriptFile {
  readonly auth?: { readonly root_passwords?: readonly string[] };
  readonly cleanup?: readonly string[];
}

class Replay {
  readonly #url: string;
  readonly #file: LiveFile;
  readonly #prefix: string;
  readonly #directory: string;
  readonly #templates: Templates;

  constructor(url: string, file: LiveFile) {
    this.#url = url;
    this.#file = file;
    this.#prefix = `/replay-${file.name}-${process.pid}`;
    this.#directory = mkdtempSync(join(tmpdir(), "etcdctl-"));
    this.#templates = new Templates({
      BASE: url,
      BASEHOST: url.replace(/^\w+:\/\//, ""),
      P: this.#prefix,
      PBARE: this.#prefix.slice(1),
      TMP: this.#directory,
      FIX: fixtures,
    });
  }

  /** Runs all cases; resolves to the ids that passed and what the others differ in. */
  async run(): Promise<{ passed: number; failed: string[] }> {
    const root = await fetch(`${this.#url}/v2/keys/`);
    this.#templates.remember("i0", root.headers.get("X-Etcd-Index") ?? "0");
    await this.#switchAuthOff();
    const failed: string[] = [];
    let passed = 0;
    for (const recorded of this.#file.cases) {
      const transcript: LiveTranscript = { ...recorded, ...deviations[recorded.id] };
      const outcome = await this.#case(transcript);
      const found = differences(
        transcript,
        this.#cleaned(transcript, outcome),
        [],
        this.#templates,
      );
      if (found.length === 0) passed++;
      else failed.push([transcript.id, ...found].join("\n    "));
    }
    await this.#cleanUp();
    return { passed, failed };
  }

  async #step({ method, path, body }: Step): Promise<void> {
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const text = body === undefined ? {} : { body: this.#templates.fill(body), headers };
    const url = `${this.#url}${encodeURI(this.#templates.fill(path))}`;
    await (await fetch(url, { method, ...text })).arrayBuffer();
  }

  async #case(transcript: LiveTranscript): Promise<Outcome> {
    for (const step of transcript.before ?? []) await this.#step(step);
    if (transcript.tty === true) return this.#onTerminal(transcript);
    if (transcript.trigger === undefined) {
      return runTranscript(transcript, {
        file: this.#file,
        templates: this.#templates,
        server: undefined,
        directory: this.#directory,
        isInside: false,
      });
    }
    return this.#triggered(transcript, transcript.trigger);
  }

  async #triggered(transcript: LiveTranscript, steps: readonly Step[]): Promise<Outcome> {
    const before = await this.#watchers();
    const running = this.#start([process.execPath, bundledProgram(), ...transcript.argv]);
    running.child.stdin.end();
    const end = Date.now() + 10_000;
    while ((await this.#watchers()) <= before && Date.now() < end) await delay(20);
    for (const step of steps) {
      const { wait_lines: lines = 0 } = step;
      await running.outputFits((text) => text.split("\n").length > lines);
      // The next wait of the program begins only after it has printed.
      if (lines > 0) await delay(150);
      await this.#step(step);
    }
    const { interrupt_after_lines: lines } = transcript;
    if (lines !== undefined) {
      await running.outputFits((text) => text.split("\n").length > lines);
      await delay(transcript.interrupt_settle_ms ?? 300);
      running.child.kill("SIGINT");
    }
    return running.outcome((transcript.timeout_s ?? 25) * 1000);
  }

  async #onTerminal(transcript: LiveTranscript): Promise<Outcome> {
    const command = [process.execPath, bundledProgram(), ...transcript.argv]
      .map((word) => `'${this.#templates.fill(word)}'`)
      .join(" ");
    const running = this.#start(["script", "-qec", command, "/dev/null"]);
    for (const { after, text } of transcript.type ?? []) {
      await running.outputFits((shown) => shown.includes(after));
      running.child.stdin.write(this.#templates.fill(text));
    }
    const outcome = await running.outcome();
    return { ...outcome, stdout: outcome.stdout.replaceAll("\r\n", "\n") };
  }

  #start(words: readonly string[]): Running {
    const filled = words.map((word) => this.#templates.fill(word));
    return new Running(filled, this.#directory, {});
  }

  /** What a terminal shows is one stream; some lines on stderr are noise of etcdctl 2.3.8. */
  #cleaned({ tty, stderr_ignore: noise = [] }: LiveTranscript, outcome: Outcome): Outcome {
    if (tty === true) return { ...outcome, stderr: "" };
    const lines = outcome.stderr.split("\n");
    const kept = lines.filter((line) => !noise.some((pattern) => new RegExp(pattern).test(line)));
    return { ...outcome, stderr: kept.join("\n") };
  }

  async #watchers(): Promise<number> {
    const answer = await fetch(`${this.#url}/v2/stats/store`);
    return ((await answer.json()) as { watchers: number }).watchers;
  }

  async #switchAuthOff(): Promise<void> {
    for (const password of this.#file.auth?.root_passwords ?? []) {
      const authorization = `Basic ${Buffer.from(`root:${password}`).toString("base64")}`;
      const headers = { Authorization: authorization };
      await fetch(`${this.#url}/v2/auth/enable`, { method: "DELETE", headers });
    }
  }

  async #cleanUp(): Promise<void> {
    await this.#switchAuthOff();
    for (const key of [this.#prefix, ...(this.#file.cleanup ?? [])]) {
      await this.#step({ method: "DELETE", path: `/v2/keys${key}?recursive=true` });
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

const [url, ...names] = process.argv.slice(2);
if (url === undefined) throw new Error("give the URL of a running server");
let passed = 0;
let failed = 0;
for (const file of transcriptFiles("live")) {
  if (names.length > 0 && !names.includes(file.name)) continue;
  const result = await new Replay(url, file).run();
  for (const text of result.failed) console.log(`FAIL ${text}`);
  console.log(`${file.name}: ${result.passed} passed, ${result.failed.length} failed`);
  passed += result.passed;
  failed += result.failed.length;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
