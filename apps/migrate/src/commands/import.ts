/** The import command, which is also what the program does without one. */
import type { Command } from "commander";
import { EXIT } from "../cli/exit.ts";
import { printNotice, printReport, reportAsJson } from "../cli/print.ts";
import { startProgress } from "../cli/progress-bar.ts";
import { withInterrupt } from "../cli/signals.ts";
import { runImport } from "../import/run-import.ts";
import { parseOutput, requireDataDir } from "./flags.ts";

interface ImportFlags {
  readonly dataDir?: string;
  readonly walDir?: string;
  readonly target?: string;
  readonly name?: string;
  readonly dryRun: boolean;
  readonly skipCorrupt: boolean;
  readonly output: string;
}

export function addImportCommand(program: Command): void {
  program
    .command("import", { isDefault: true })
    .description("import the data directory of an older etcd server")
    .option("--data-dir <dir>", "directory of the old server (only read)")
    .option(
      "--target <dir>",
      "data directory to write; without it 0.4 and 2.0.0 directories get a member folder next to their own files",
    )
    .option(
      "--name <name>",
      "name of the member the directory belongs to, if its files do not contain it",
    )
    .option("--wal-dir <dir>", "log directory of the old server, if it was separate")
    .option("--dry-run", "go through the whole import, but write nothing", false)
    .option(
      "--skip-corrupt",
      "keep everything before the first damage, and report what was dropped",
      false,
    )
    .option("--output <format>", "summary as text or json", "text")
    .action(async (flags: ImportFlags) => {
      process.exitCode = await importDirectory(flags);
    });
}

async function importDirectory(flags: ImportFlags): Promise<number> {
  const output = parseOutput(flags.output);
  const dataDir = requireDataDir(flags.dataDir);
  const progress = await startProgress();
  try {
    const report = await withInterrupt((signal) =>
      runImport({
        dataDir,
        walDir: flags.walDir,
        target: flags.target,
        name: flags.name,
        dryRun: flags.dryRun,
        skipCorrupt: flags.skipCorrupt,
        notice: (notice) => {
          progress.stop();
          printNotice(notice);
        },
        progress: progress.sink,
        signal,
      }),
    );
    progress.stop();
    if (output === "json") console.log(JSON.stringify(reportAsJson(report)));
    else printReport(report);
    return EXIT.ok;
  } finally {
    progress.stop();
  }
}
