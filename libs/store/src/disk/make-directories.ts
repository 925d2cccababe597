/**
 * Owns the making of directories such that a refused start can take them back. Knows nothing of
 * what they are for.
 */
import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { syncPath } from "./sync.ts";

/** Takes back the directories that are still empty. */
export type UndoDirectories = () => void;

function make(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may have been quicker.
    if (!existsSync(path)) throw error;
  }
}

/**
 * Makes the directory and its missing parents, readable for the own user alone; their names are
 * durable when this returns. One by one, because mkdir's own recursion never ends on a file system
 * that takes no directories, such as /proc.
 */
export function makeDirectories(path: string): UndoDirectories {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at) && at !== dirname(at); at = dirname(at)) {
    missing.unshift(at);
  }
  const undo = (): void => {
    try {
      for (const directory of missing.toReversed()) rmdirSync(directory);
    } catch {
      // Something is in it by now, or it was never made: it stays as it is.
    }
  };
  try {
    for (const directory of missing) {
      make(directory);
      syncPath(dirname(directory));
    }
  } catch (error) {
    undo();
    throw error;
  }
  return undo;
}
