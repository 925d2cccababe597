/** `backup`: an offline copy of a data directory. The declaration only; the format belongs to the store. */
import type { Command } from "../command.ts";

export const backup: Command = {
  name: "backup",
  usage: "backup an etcd directory",
  argsUsage: " ",
  flags: [
    { kind: "string", name: "data-dir", usage: "Path to the etcd data dir" },
    { kind: "string", name: "wal-dir", usage: "Path to the etcd wal dir" },
    { kind: "string", name: "backup-dir", usage: "Path to the backup dir" },
    { kind: "string", name: "backup-wal-dir", usage: "Path to the backup wal dir" },
  ],
};
