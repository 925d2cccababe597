/**
 * Makes the self-contained executable: the pinned runtime with the bundles of the three programs, the
 * storage engine and compiled code inside. It is made twice: the first one runs the programs once, and
 * what it compiled then goes into the second, so that nothing is compiled at a start.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { freePort, until } from "@etcd2/test-support";

const PROGRAMS = [
  { folder: "server", name: "etcd" },
  { folder: "etcdctl", name: "etcdctl" },
  { folder: "migrate", name: "etcd-migrate" },
] as const;

/** Time for each of the runs that compile. */
const RUN_TIMEOUT_MS = 60_000;

/** Switches of the runtime: no warnings, no debugger by signal. */
const RUNTIME_SWITCHES = ["--no-warnings", "--disable-sigusr1", "--max-semi-space-size=16"];

export interface ExecutableOptions {
  /** The project's folder, with the bundles built. */
  readonly root: string;
  /** An empty folder for what is needed on the way. */
  readonly work: string;
  /** Where the executable goes. */
  readonly target: string;
}

/** @throws Error when something is missing or one of the steps fails. */
export async function buildExecutable(options: ExecutableOptions): Promise<void> {
  const { root, work, target } = options;
  const runtime = join(work, "runtime");
  copyFileSync(join(root, "node_modules", ".bin", "node"), runtime);
  chmodSync(runtime, 0o755);
  // Before, not after: what is added to the file afterwards would not survive it.
  execFileSync("strip", [runtime]);
  const store = join(work, "native-module.node");
  const prebuilt = "prebuilds/linux-x64/@nxtedition+rocksdb.node";
  copyFileSync(join(root, "node_modules", "@nxtedition", "rocksdb", prebuilt), store);
  execFileSync("strip", ["--strip-debug", store]);
  await bundleStore(root, join(work, "rocksdb.cjs"));
  const assets = collectAssets(root, work);
  const first = join(work, "etcd");
  assemble(options, assets, first);
  const compiled = join(work, "compiled");
  mkdirSync(compiled);
  await runOnce(first, work, compiled);
  for (const asset of Object.keys(assets)) {
    const file = join(compiled, `${asset.replace("/", ".")}.cache`);
    if (existsSync(file)) assets[`${asset}.cache`] = file;
  }
  rmSync(target, { force: true });
  assemble(options, assets, target);
}

/** The package that wraps the storage engine, asking for its binary under a name of ours. */
async function bundleStore(root: string, outfile: string): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: ["node_modules/@nxtedition/rocksdb/index.js"],
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node26",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    logLevel: "warning",
    plugins: [
      {
        name: "native-module",
        setup(plugin) {
          plugin.onResolve({ filter: /^\.\/binding$/ }, () => ({
            path: "etcd2:native-module",
            external: true,
          }));
        },
      },
    ],
  });
}

function collectAssets(root: string, work: string): Record<string, string> {
  const assets: Record<string, string> = {
    "native-module.node": join(work, "native-module.node"),
    "rocksdb.cjs": join(work, "rocksdb.cjs"),
  };
  for (const { folder } of PROGRAMS) {
    const bundle = join(root, "apps", folder, "bundle");
    if (!existsSync(join(bundle, "main.cjs"))) throw new Error(`${bundle} has no main.cjs`);
    for (const file of readdirSync(bundle)) {
      if (file.endsWith(".cjs") && file !== "start.cjs") {
        assets[`${folder}/${file}`] = join(bundle, file);
      }
    }
  }
  return assets;
}

function assemble(
  { root, work }: ExecutableOptions,
  assets: Readonly<Record<string, string>>,
  output: string,
): void {
  const config = join(work, "sea.json");
  const content = {
    main: join(import.meta.dirname, "entry.cjs"),
    output,
    executable: join(work, "runtime"),
    disableExperimentalSEAWarning: true,
    useCodeCache: true,
    execArgv: RUNTIME_SWITCHES,
    execArgvExtension: "none",
    assets,
  };
  writeFileSync(config, JSON.stringify(content));
  const node = join(root, "node_modules", ".bin", "node");
  execFileSync(node, ["--build-sea", config], { stdio: ["ignore", "ignore", "inherit"] });
  chmodSync(output, 0o755);
}

/** Runs what people run most, so that it is compiled: a member, and commands against it. */
async function runOnce(executable: string, work: string, compiled: string): Promise<void> {
  const client = `http://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const server = spawn(
    executable,
    [
      ...["--data-dir", join(work, "data"), "--listen-client-urls", client],
      ...["--advertise-client-urls", client, "--listen-peer-urls", peer],
      ...["--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`],
    ],
    { stdio: "ignore", env: { ...process.env, ETCD2_KEEP_COMPILED: compiled } },
  );
  const program = (name: string, words: readonly string[]): string =>
    execFileSync(executable, words, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: RUN_TIMEOUT_MS,
      env: { ...process.env, ETCD2_PROGRAM: name, ETCD2_KEEP_COMPILED: compiled },
    });
  const etcdctl = (...words: readonly string[]): string =>
    program("etcdctl", ["--endpoints", client, ...words]);
  try {
    await until("the member serves", () => etcdctl("set", "/warm", "up") !== "", RUN_TIMEOUT_MS);
    etcdctl("ls", "--recursive", "/");
    etcdctl("member", "list");
    program("etcd-migrate", ["--help"]);
    // Last, because it is what people run most, and each run leaves what it compiled.
    etcdctl("get", "/warm");
    rmSync(join(compiled, "kept"), { force: true });
    server.kill("SIGUSR2");
    await until("the member kept what it compiled", () => existsSync(join(compiled, "kept")));
  } finally {
    await end(server);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
}
