/** `backup`: an offline copy of a data directory, which needs no server. */
import { refuse } from "../admin-command.ts";
import type { Command, CommandContext } from "../../cli/command.ts";
import { messageOf } from "../../errors/errors.ts";
import { exitCodes } from "../../errors/exit-codes.ts";
import { loadOffline } from "../../offline/offline-loader.ts";

async function run({ flags }: CommandContext): Promise<number> {
  const { backupDirectory } = await loadOffline();
  const dataDir = flags.string("data-dir");
  const backupDir = flags.string("backup-dir");
  if (dataDir === "") throw refuse("Provide the directory to copy with --data-dir");
  if (backupDir === "") throw refuse("Provide the directory of the copy with --backup-dir");
  try {
    await backupDirectory({
      dataDir,
      walDir: flags.string("wal-dir"),
      backupDir,
      backupWalDir: flags.string("backup-wal-dir"),
    });
  } catch (error) {
    throw refuse(messageOf(error));
  }
  return exitCodes.success;
}

export const backup: Command = {
  name: "backup",
  usage: "backup an etcd directory",
  argsUsage: " ",
  flags: [
    { kind: "string", name: "data-dir", holds: "directories", usage: "Path to the etcd data dir" },
    { kind: "string", name: "wal-dir", holds: "directories", usage: "Path to the etcd wal dir" },
    { kind: "string", name: "backup-dir", holds: "directories", usage: "Path to the backup dir" },
    {
      kind: "string",
      name: "backup-wal-dir",
      holds: "directories",
      usage: "Path to the backup wal dir",
    },
  ],
  run,
};
