/** Options of the commands that have a v2 source on one side and a v3 cluster on the other. */
import { toByteString } from "@etcd2/store";
import type { Command } from "commander";
import { KeySpace } from "@etcd2/v3";
import { printNotice } from "../cli/print.ts";
import { MigrateError } from "../errors.ts";
import { parseEndpoints } from "../mirror/endpoints.ts";
import type { ProgressSink } from "../sources/source.ts";
import { PathMap } from "../to-v3/mapping/path-map.ts";
import type { DirectoryMode, RowOptions } from "../to-v3/mapping/rows.ts";
import type { Source } from "../to-v3/run-to-v3.ts";
import { parseTarget } from "../to-v3/target/v3-target.ts";
import type { V3Target } from "../to-v3/target/v3-target.ts";

export interface V3Flags {
  readonly dataDir?: string;
  readonly walDir?: string;
  readonly name?: string;
  readonly snapshot?: string;
  readonly skipCorrupt?: boolean;
  readonly from?: string;
  readonly hidden?: readonly string[];
  readonly fromCa?: string;
  readonly fromCert?: string;
  readonly fromKey?: string;
  readonly endpoints?: string;
  readonly cacert?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly user?: string;
  readonly passwordFile?: string;
  readonly prefix?: string;
  readonly only?: readonly string[];
  readonly strip?: string;
  readonly map?: readonly string[];
  readonly directories?: string;
}

/** Sources beside a data directory. */
export function addSourceOptions(command: Command): Command {
  return command
    .option("--snapshot <file>", "file of etcdctl snapshot save, a .snap of 2.x or an .ss of 0.4")
    .option("--from <urls>", "running v2 server, as http://[user:password@]host:port,...")
    .option("--hidden <path...>", "hidden subtrees of a running server to include as well")
    .option("--from-ca <file>", "certificate authority of that server")
    .option("--from-cert <file>", "client certificate for it")
    .option("--from-key <file>", "key of that certificate");
}

export function addTargetOptions(command: Command): Command {
  return command
    .option("--endpoints <urls>", "members of the v3 cluster, as http://host:port,...")
    .option("--cacert <file>", "certificate authority of the v3 cluster")
    .option("--cert <file>", "client certificate for it")
    .option("--key <file>", "key of that certificate")
    .option("--user <name[:password]>", "user of the v3 cluster")
    .option("--password-file <file>", "file with that user's password")
    .option("--prefix <path>", "prefix for every key in v3")
    .option(
      "--only <path...>",
      "include only these keys, or these directories and everything below them",
    )
    .option("--strip <path>", "prefix to remove from the paths that begin with it")
    .option("--map <from=to...>", "rename subtrees, such as /old=/new")
    .option("--directories <mode>", "none, or marker for records that a v2 gateway reads", "none");
}

/** What is to be read. @throws MigrateError "usage" */
export function parseSource(flags: V3Flags, progress: ProgressSink): Source {
  const { dataDir, walDir, name, snapshot, from } = flags;
  const given = [dataDir, snapshot, from].filter((value) => value !== undefined);
  if (given.length !== 1) {
    throw new MigrateError("usage", "name one source: --data-dir, --snapshot or --from");
  }
  if (flags.hidden !== undefined && from === undefined) {
    throw new MigrateError("usage", "--hidden is for --from; files are read with all hidden keys");
  }
  const { fromCa: ca, fromCert: cert, fromKey: key, skipCorrupt = false } = flags;
  return {
    from: from === undefined ? undefined : parseEndpoints(from, { ca, cert, key }),
    hidden: flags.hidden ?? [],
    files: { dataDir, walDir, name, snapshot, skipCorrupt, notice: printNotice, progress },
  };
}

/** The v3 cluster. @throws MigrateError "usage" */
export function parseV3(flags: V3Flags): V3Target {
  const { endpoints } = flags;
  if (endpoints === undefined) {
    throw new MigrateError("usage", "name the v3 cluster with --endpoints");
  }
  return parseTarget({ ...flags, endpoints });
}

/** What becomes of paths. @throws MigrateError "usage" */
export function parseRows(flags: V3Flags): RowOptions {
  const { only = [], strip, map = [], directories = "none", prefix = "" } = flags;
  if (!isMode(directories)) {
    throw new MigrateError("usage", `--directories must be none or marker, not "${directories}"`);
  }
  const space = new KeySpace(toByteString(prefix));
  return { space, paths: new PathMap({ only, strip, map }), directories };
}

function isMode(text: string): text is DirectoryMode {
  return text === "none" || text === "marker";
}
