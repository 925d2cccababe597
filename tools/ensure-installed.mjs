// Installs the dependencies when they are missing or older than the lock file. Plain JavaScript on
// purpose: it runs on whatever Node the machine has, before the pinned runtime is there.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Root of the workspace. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const mtime = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

/** Runs a command with the pinned runtime first on the path; exits with its status on failure. */
export function run(command, args, options = {}) {
  const bin = join(root, "node_modules", ".bin");
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH ?? ""}`, ...options.env };
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options, env });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
  return result;
}

/** `npm ci` unless node_modules matches the lock file and the pinned runtime is in place. */
export function ensureInstalled() {
  const installed = mtime(join(root, "node_modules", ".package-lock.json"));
  const runtime = join(root, "node_modules", "node", "bin", "node");
  if (existsSync(runtime) && installed >= mtime(join(root, "package-lock.json"))) return;
  console.error("installing dependencies (npm ci)...");
  // Standard output belongs to the program that follows.
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { stdio: ["ignore", 2, 2] });
}
