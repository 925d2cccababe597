/** Making durable what one path names: the content of a file, or the names in a directory. */
import { closeSync, fsyncSync, openSync } from "node:fs";

/** Waits for the disk. @throws the file system's error; then nobody knows what the disk has. */
export function syncPath(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
