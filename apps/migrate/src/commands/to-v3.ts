/** The to-v3 command: options, signals, lines for the user. */
import type { Command } from "commander";
import { EXIT } from "../cli/exit.ts";
import { startProgress } from "../cli/progress-bar.ts";
import { MigrateError } from "../errors.ts";
import { startNodeProgress } from "../to-v3/node-progress.ts";
import { reportAsJson, reportAsText } from "../to-v3/report.ts";
import type { ConflictPolicy } from "../to-v3/reconcile.ts";
import { runToV3 } from "../to-v3/run-to-v3.ts";
import type { ToV3Report } from "../to-v3/run-to-v3.ts";
import { parseOutput } from "./flags.ts";
import { addSourceOptions, addTargetOptions, parseRows, parseSource, parseV3 } from "./v3-flags.ts";
import type { V3Flags } from "./v3-flags.ts";

interface ToV3Flags extends V3Flags {
  readonly auth: boolean;
  readonly overwrite: boolean;
  readonly resume: boolean;
  readonly dryRun: boolean;
  readonly follow: boolean;
  readonly conflicts: string;
  readonly report: string;
  readonly output: string;
}

export function addToV3Command(program: Command): void {
  const command = program
    .command("to-v3")
    .description("copy v2 keys into a v3 cluster, and follow a running v2 server into it")
    .option(
      "--data-dir <dir>",
      "data directory of a server of this version or an older one (only read)",
    )
    .option("--wal-dir <dir>", "log directory, if it is separate")
    .option(
      "--name <name>",
      "name of the member the directory belongs to, if its files do not contain it",
    )
    .option(
      "--skip-corrupt",
      "keep everything before the first damage, and report what was dropped",
      false,
    );
  addTargetOptions(addSourceOptions(command))
    .option("--no-auth", "do not copy users and roles")
    .option("--overwrite", "make a target that is not empty equal to the source", false)
    .option("--resume", "continue an earlier run that was interrupted", false)
    .option("--dry-run", "read both sides and write nothing", false)
    .option("--follow", "keep copying the changes of a running server until interrupted", false)
    .option("--conflicts <policy>", "keep or overwrite what v3 programs have written", "keep")
    .option("--report <seconds>", "how often --follow tells how far behind it is", "10")
    .option("--output <format>", "summary as text or json", "text")
    .action(async (flags: ToV3Flags) => {
      process.exitCode = await toV3(flags);
    });
}

async function toV3(flags: ToV3Flags): Promise<number> {
  const output = parseOutput(flags.output);
  const reportMs = Number(flags.report) * 1000;
  if (!(reportMs > 0)) throw new MigrateError("usage", "--report must be a number of seconds");
  if (flags.overwrite && flags.resume) {
    throw new MigrateError("usage", "--overwrite begins again, --resume goes on: choose one");
  }
  if (flags.follow && (flags.from === undefined || flags.dryRun)) {
    throw new MigrateError("usage", "--follow needs a running server (--from), and no --dry-run");
  }
  const policy = parsePolicy(flags.conflicts);
  const reading = await startProgress();
  const copying = await startNodeProgress();
  const stop = new AbortController();
  const abort = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) abort.abort();
    stop.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    const report = await runToV3({
      ...parseRows(flags),
      source: parseSource(flags, reading.sink),
      target: parseV3(flags),
      policy,
      withAuth: flags.auth,
      overwrite: flags.overwrite,
      resume: flags.resume,
      dryRun: flags.dryRun,
      follow: flags.follow,
      reportMs,
      log: (text) => {
        copying.stop();
        console.error(`to-v3: ${text}`);
      },
      progress: (done, total) => {
        reading.stop();
        copying.update(done, total);
      },
      stop: stop.signal,
      abort: abort.signal,
    });
    copying.stop();
    if (output === "json") console.log(JSON.stringify(reportAsJson(report)));
    else for (const line of reportAsText(report)) console.log(line);
    return statusOf(report);
  } finally {
    reading.stop();
    copying.stop();
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

function parsePolicy(text: string): ConflictPolicy {
  if (text === "keep" || text === "overwrite") return text;
  throw new MigrateError("usage", `--conflicts must be keep or overwrite, not "${text}"`);
}

function statusOf({ followed }: ToV3Report): number {
  return (followed?.comparison.count ?? 0) === 0 ? EXIT.ok : EXIT.failed;
}
