/** What a repair keeps of a file before it cuts it. */
import { constants, copyFileSync, existsSync } from "node:fs";
import { dirname } from "node:path";
import { syncPath } from "@etcd2/store";

/** Copies the file, durably, to the first free "<file>.broken". @returns the copy's name. */
export function copyAside(file: string): string {
  let copy = `${file}.broken`;
  for (let i = 1; existsSync(copy); i++) copy = `${file}.${i}.broken`;
  copyFileSync(file, copy, constants.COPYFILE_EXCL);
  syncPath(copy);
  syncPath(dirname(file));
  return copy;
}
