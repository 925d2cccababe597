/**
 * A copy of a member's store that may be in use: files in an order that makes the copy either whole,
 * as of some moment, or impossible to open. Changes nothing in the source.
 *
 * First the engine's logs, oldest first, then the manifest, then the sorted files it may name. What
 * left a log before it was copied is in the sorted files of a manifest copied later; what entered
 * afterwards is in neither, or in both.
 */
import { copyFileSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/** The source changed while it was being copied: try again. */
export class MovingTargetError extends Error {
  override readonly name = "MovingTargetError";
}

function copy(from: string, to: string, name: string): void {
  try {
    copyFileSync(join(from, name), join(to, name));
  } catch (error) {
    throw moved(name, error);
  }
}

/** Sorted files are never changed once written, so a second name will do for as long as we read. */
function copySorted(from: string, to: string, name: string): void {
  try {
    linkSync(join(from, name), join(to, name));
  } catch {
    copy(from, to, name);
  }
}

function moved(name: string, cause: unknown): Error {
  const isGone = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
  if (!isGone) return cause instanceof Error ? cause : new Error(String(cause));
  return new MovingTargetError(`${name} went away while it was being copied`, { cause });
}

/** @throws MovingTargetError */
export function copyStore(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true, mode: 0o700 });
  const logs = readdirSync(from).filter((name) => /^\d+\.log$/.test(name));
  for (const name of logs.sort((a, b) => parseInt(a, 10) - parseInt(b, 10))) copy(from, to, name);
  copy(from, to, "CURRENT");
  const manifest = readFileSync(join(to, "CURRENT"), "utf8").trim();
  copy(from, to, manifest);
  const names = readdirSync(from);
  for (const name of names.filter((name) => name.endsWith(".sst"))) copySorted(from, to, name);
  for (const name of names.filter((name) => name.startsWith("OPTIONS-"))) copy(from, to, name);
  if (names.includes("IDENTITY")) copy(from, to, "IDENTITY");
  if (readFileSync(join(from, "CURRENT"), "utf8").trim() !== manifest) {
    throw new MovingTargetError("the manifest was replaced while it was being copied");
  }
}
