/** The verify command. */
import type { Command } from "commander";
import { EXIT } from "../cli/exit.ts";
import { startProgress } from "../cli/progress-bar.ts";
import { withInterrupt } from "../cli/signals.ts";
import { comparisonAsJson, comparisonAsText } from "../to-v3/report.ts";
import { verifyV3 } from "../to-v3/verify-v3.ts";
import { describeFinding } from "../verify/finding.ts";
import type { VerifyReport } from "../verify/verify.ts";
import { verifyDirectory } from "../verify/verify.ts";
import { parseOutput, requireDataDir } from "./flags.ts";
import { addSourceOptions, addTargetOptions, parseRows, parseSource, parseV3 } from "./v3-flags.ts";
import type { V3Flags } from "./v3-flags.ts";

interface VerifyFlags extends V3Flags {
  readonly v3: boolean;
  readonly output: string;
}

export function addVerifyCommand(program: Command): void {
  const command = program
    .command("verify")
    .description(
      "check a data directory of this version or an older one from end to end, and report what is wrong",
    )
    .option("--data-dir <dir>", "directory to check (only read)")
    .option("--wal-dir <dir>", "log directory, if it is separate")
    .option(
      "--name <name>",
      "name of the member the directory belongs to, if its files do not contain it",
    )
    .option("--v3", "compare the source with a v3 cluster instead", false);
  addTargetOptions(addSourceOptions(command))
    .option("--output <format>", "text or json", "text")
    .action(async (flags: VerifyFlags) => {
      process.exitCode = flags.v3 ? await compareWithV3(flags) : await verify(flags);
    });
}

/** Status 0 when nothing differs but what v3 programs have written since the copy. */
async function compareWithV3(flags: VerifyFlags): Promise<number> {
  const output = parseOutput(flags.output);
  const progress = await startProgress();
  try {
    const comparison = await withInterrupt((signal) =>
      verifyV3({
        ...parseRows(flags),
        source: parseSource(flags, progress.sink),
        target: parseV3(flags),
        signal,
        log: (text) => {
          progress.stop();
          console.error(`verify: ${text}`);
        },
      }),
    );
    progress.stop();
    if (output === "json") console.log(JSON.stringify(comparisonAsJson(comparison)));
    else for (const line of comparisonAsText(comparison)) console.log(line);
    return comparison.count === 0 ? EXIT.ok : EXIT.failed;
  } finally {
    progress.stop();
  }
}

async function verify(flags: VerifyFlags): Promise<number> {
  const output = parseOutput(flags.output);
  const dataDir = requireDataDir(flags.dataDir);
  const { walDir, name } = flags;
  const progress = await startProgress();
  try {
    const report = await withInterrupt((signal) =>
      verifyDirectory({ dataDir, walDir, name, progress: progress.sink, signal }),
    );
    progress.stop();
    if (output === "json") console.log(JSON.stringify(report));
    else print(report);
    return report.findings.length === 0 ? EXIT.ok : EXIT.failed;
  } finally {
    progress.stop();
  }
}

function print(report: VerifyReport): void {
  for (const finding of report.findings) {
    console.log(`${finding.severity}: ${describeFinding(finding)}`);
  }
  const { store } = report;
  if (store !== undefined) {
    console.log(
      `${store.keys} keys, ${store.directories} directories, index ${store.etcdIndex}, ` +
        `raft index ${store.raftIndex}`,
    );
  }
  console.log(
    report.findings.length === 0 ? "nothing is wrong" : `${report.findings.length} found`,
  );
}
