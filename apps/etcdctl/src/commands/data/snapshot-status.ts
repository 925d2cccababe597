/** `snapshot status`: whether a snapshot file is whole, and what is in it. */
import { refuse } from "../admin-command.ts";
import type { Command, CommandContext } from "../../cli/command.ts";
import { messageOf } from "../../errors/errors.ts";
import { exitCodes } from "../../errors/exit-codes.ts";
import { loadOffline } from "../../offline/offline-loader.ts";

const formats = ["simple", "table", "json"];

async function run({ args, flags, terminal }: CommandContext): Promise<number> {
  const [file = ""] = args;
  if (args.length !== 1) throw refuse("Provide a single file name");
  const format = flags.string("write-out");
  if (!formats.includes(format)) {
    throw refuse(`Unsupported output format: ${format} (${formats.join(", ")})`);
  }
  const { readSnapshotFile } = await loadOffline();
  const report = await readSnapshotFile(file).catch((error: unknown) => {
    throw refuse(`Cannot use the snapshot ${file}: ${messageOf(error)}`);
  });
  const { hash, etcdIndex, raftIndex, raftTerm, keys, nodes, events, bytes } = report;
  if (format === "json") {
    const fields = { hash, etcdIndex, raftIndex, raftTerm, keys, nodes, events, bytes };
    terminal.out(`${JSON.stringify(fields)}\n`);
  } else if (format === "table") {
    const { renderTable } = await import("../../output/table.ts");
    const head = ["HASH", "ETCD INDEX", "RAFT INDEX", "KEYS", "BYTES"];
    terminal.out(renderTable(head, [[hash, ...[etcdIndex, raftIndex, keys, bytes].map(String)]]));
  } else {
    terminal.out(`${[hash, etcdIndex, raftIndex, keys, bytes].join(", ")}\n`);
  }
  return exitCodes.success;
}

export const snapshotStatus: Command = {
  name: "status",
  usage: "check a snapshot file and show what is in it: hash, etcd index, raft index, keys, bytes",
  argsUsage: "<file>",
  takes: ["files"],
  flags: [
    {
      kind: "string",
      name: "write-out",
      holds: ["simple", "table", "json"],
      alias: "w",
      initial: "simple",
      usage: "output format (`simple`, `table` or `json`)",
    },
  ],
  run,
};
