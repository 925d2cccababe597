/** `snapshot restore`: a data directory of a new cluster from a snapshot file. */
import { refuse } from "../admin-command.ts";
import type { Command, CommandContext } from "../../cli/command.ts";
import { messageOf } from "../../errors/errors.ts";
import { exitCodes } from "../../errors/exit-codes.ts";
import { loadOffline } from "../../offline/offline-loader.ts";

async function run({ args, flags, terminal }: CommandContext): Promise<number> {
  const [file = ""] = args;
  if (args.length !== 1) throw refuse("Provide a single file name");
  const name = flags.string("name");
  const dataDir = flags.string("data-dir") === "" ? `${name}.etcd` : flags.string("data-dir");
  const { restoreSnapshot } = await loadOffline();
  const restored = await restoreSnapshot({
    file,
    dataDir,
    name,
    initialCluster: flags.string("initial-cluster"),
    advertisePeerUrls: flags.string("initial-advertise-peer-urls"),
    token: flags.string("initial-cluster-token"),
  }).catch((error: unknown) => {
    throw refuse(`Cannot restore the snapshot ${file}: ${messageOf(error)}`);
  });
  const { snapshot, plan } = restored;
  const { self, members } = plan;
  const size = members.length === 1 ? "one member" : `${members.length} members`;
  terminal.out(
    `Restored ${snapshot.keys} keys at index ${snapshot.etcdIndex} into ${dataDir}: ` +
      `member ${self.id.replace(/^0+/, "")} of a new cluster of ${size}\n`,
  );
  const others = members.filter(({ id }) => id !== self.id).map((member) => member.name);
  if (others.length > 0) {
    terminal.out(`Restore the same file with the same options for --name ${others.join(", ")}\n`);
  }
  return exitCodes.success;
}

export const snapshotRestore: Command = {
  name: "restore",
  usage: "make the data directory of a new cluster's member from a snapshot file",
  argsUsage: "<file>",
  takes: ["files"],
  flags: [
    {
      kind: "string",
      name: "data-dir",
      holds: "directories",
      usage: "Path to the data directory to make (default: the name and `.etcd`)",
    },
    { kind: "string", name: "name", initial: "default", usage: "Name of the member" },
    {
      kind: "string",
      name: "initial-cluster",
      usage: "All members of the new cluster as `name=peerURL,...` (default: this one alone)",
    },
    {
      kind: "string",
      name: "initial-advertise-peer-urls",
      usage: "This member's peer URLs (default: as --initial-cluster says)",
    },
    {
      kind: "string",
      name: "initial-cluster-token",
      initial: "etcd-cluster",
      usage: "Tells clusters with the same peer URLs apart",
    },
  ],
  run,
};
