// Installs what is missing: for a start what a start needs, for everything else all of it. As a command
// (`node tools/ensure-installed.mjs`) all of it. Plain JavaScript on purpose: it runs on whatever Node
// the machine has, before the pinned runtime is there.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Root of the workspace. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const bin = join(root, "node_modules", ".bin");
/** The pinned Node, whose package npm chooses by processor. */
export const runtime = join(bin, "node");
/** Without a terminal, one line of progress in this time. */
const LINE_EVERY_MS = 10_000;
/** Oldest Node that can run these tools; the programs run on the pinned one. */
const OLDEST_NODE = 20;

const mtime = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function fail(...lines) {
  for (const line of lines) console.error(line);
  process.exit(1);
}

/** Runs a command with the pinned runtime first on the path; exits with its status on failure. */
export function run(command, args, options = {}) {
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH ?? ""}`, ...options.env };
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options, env });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
  return result;
}

function runQuietly(command, args) {
  const child = spawn(command, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PATH: `${bin}:${process.env.PATH ?? ""}` },
  });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => said.push(part));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve({ command, status, said: Buffer.concat(said) }));
  });
}

/**
 * Runs commands at the same time and shows on standard error that they work: a line that changes on a
 * terminal, else a line now and then. What a command says is shown only when it fails, and then this
 * process ends. `detail` tells how far they are.
 */
export async function runWithProgress(title, commands, detail = () => "") {
  const started = Date.now();
  const { isTTY } = process.stderr;
  const seconds = () => Math.round((Date.now() - started) / 1000);
  const line = () => `${title} ... ${[detail(), `${seconds()} s`].filter(Boolean).join(", ")}`;
  const show = () => process.stderr.write(isTTY ? `\r\u001b[K${line()}` : `${line()}\n`);
  if (!isTTY) console.error(`${title} ...`);
  const ticker = setInterval(show, isTTY ? 500 : LINE_EVERY_MS);
  const results = await Promise.all(
    commands.map(([command, ...args]) => runQuietly(command, args)),
  );
  clearInterval(ticker);
  const failed = results.find(({ status }) => status !== 0);
  if (failed !== undefined) {
    if (isTTY) process.stderr.write("\n");
    process.stderr.write(failed.said);
    fail(`${title}: failed after ${seconds()} s (${failed.command} ended with ${failed.status})`);
  }
  process.stderr.write(`${isTTY ? "\r\u001b[K" : ""}${title} ... done, ${seconds()} s\n`);
}

/** Folders of the packages that an installation puts here, by the lock file. */
function expectedFolders(withTools) {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const suits = (allowed, here) => allowed === undefined || [allowed].flat().includes(here);
  return Object.entries(packages)
    .filter(
      ([path, { dev, link, os, cpu }]) =>
        path.includes("node_modules/") &&
        link !== true &&
        (withTools || dev !== true) &&
        suits(os, process.platform) &&
        suits(cpu, process.arch),
    )
    .map(([path]) => join(root, path, "package.json"));
}

/** Ends the process, with what to do about it, where the pinned runtime cannot run. */
function checkRuntime() {
  if (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch)) {
    fail(
      `etcd2 runs on Linux on x64 or arm64 processors, not on ${process.platform}-${process.arch}`,
    );
  }
  if (!existsSync(runtime)) {
    fail(
      `the runtime is missing: npm did not install node-linux-${process.arch}, an optional dependency;`,
      "run `npm ci` without --omit=optional",
    );
  }
  const { status, stderr, error } = spawnSync(runtime, ["--version"], { encoding: "utf8" });
  if (status === 0) return;
  if (stderr?.includes("libatomic.so.1")) {
    fail(
      "the runtime needs the library libatomic.so.1, which this machine does not have; install it:",
      "  Debian, Ubuntu: apt-get install libatomic1    Fedora, RHEL, openSUSE: libatomic (libatomic1)",
      "the release archive (npm run release) brings it along",
    );
  }
  if (error?.code === "ENOENT") {
    fail("the runtime needs glibc 2.34 or newer; this system has another C library (musl?)");
  }
  fail(
    `the runtime ${realpathSync(runtime)} does not start: ${(stderr || error?.message || "").trim()}`,
  );
}

/**
 * `npm ci` unless node_modules matches the lock file and what is needed is in place.
 * With `forStart`, the tools of development and the scripts of packages are left out.
 */
export async function ensureInstalled({ forStart = false } = {}) {
  if (Number(process.versions.node.split(".")[0]) < OLDEST_NODE) {
    fail(`Node ${OLDEST_NODE} or newer is needed to install etcd2; this is ${process.version}`);
  }
  const installed = mtime(join(root, "node_modules", ".package-lock.json"));
  const isCurrent = installed >= mtime(join(root, "package-lock.json"));
  const hasAll = forStart || existsSync(join(bin, "nx"));
  if (!isCurrent || !hasAll || !existsSync(runtime)) {
    const folders = expectedFolders(!forStart);
    const words = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
    if (forStart) words.push("--omit=dev", "--ignore-scripts");
    const title = forStart
      ? "installing the runtime and the packages of the server (once)"
      : "installing the packages of the server and the tools of development (once)";
    await runWithProgress(title, [["npm", ...words]], () => {
      const there = folders.filter((folder) => existsSync(folder)).length;
      return `${there} of ${folders.length} packages`;
    });
  }
  checkRuntime();
}

if (
  process.argv[1] !== undefined &&
  realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)
) {
  await ensureInstalled();
}
