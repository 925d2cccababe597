/** The verify command. */
import type { Command } from "commander";
import { EXIT } from "../cli/exit.ts";
import { startProgress } from "../cli/progress-bar.ts";
import { withInterrupt } from "../cli/signals.ts";
import { describeFinding } from "../verify/finding.ts";
import type { VerifyReport } from "../verify/verify.ts";
import { verifyDirectory } from "../verify/verify.ts";
import { parseOutput, requireDataDir } from "./flags.ts";

interface VerifyFlags {
  readonly dataDir?: string;
  readonly walDir?: string;
  readonly name?: string;
  readonly output: string;
}

export function addVerifyCommand(program: Command): void {
  program
    .command("verify")
    .description("read a directory, ours or an old one, from end to end and say what is wrong")
    .option("--data-dir <dir>", "directory to check (only read)")
    .option("--wal-dir <dir>", "log directory, if it is separate")
    .option("--name <name>", "member the directory belongs to, where its files do not tell")
    .option("--output <format>", "text or json", "text")
    .action(async (flags: VerifyFlags) => {
      process.exitCode = await verify(flags);
    });
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
