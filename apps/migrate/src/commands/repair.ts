/** The repair command. */
import type { Command } from "commander";
import { EXIT } from "../cli/exit.ts";
import { describeTail } from "../tail.ts";
import { repairDirectory } from "../verify/repair.ts";
import { requireDataDir } from "./flags.ts";

interface RepairFlags {
  readonly dataDir?: string;
  readonly walDir?: string;
}

export function addRepairCommand(program: Command): void {
  program
    .command("repair")
    .description("copy a log aside, and cut off its torn or zero-filled end")
    .option("--data-dir <dir>", "directory to repair (changed)")
    .option("--wal-dir <dir>", "log directory, if it is separate")
    .action(async (flags: RepairFlags) => {
      process.exitCode = await repair(flags);
    });
}

async function repair(flags: RepairFlags): Promise<number> {
  const { cut, copies } = await repairDirectory(requireDataDir(flags.dataDir), flags.walDir);
  if (cut === undefined) {
    console.log("nothing to repair: no torn end (etcd-migrate verify checks the rest too)");
    return EXIT.ok;
  }
  console.log(`${cut.file}: ${describeTail(cut)}`);
  for (const copy of copies) console.log(`kept as it was: ${copy}`);
  return EXIT.ok;
}
