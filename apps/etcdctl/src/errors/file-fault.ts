/** Errors of the file system in a person's words instead of those of the runtime. */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { getSystemErrorMap } from "node:util";
import { messageOf } from "./errors.ts";

/** What went wrong, without the name of the call and of the file, such as "permission denied". */
export function fileFault(error: unknown): string {
  const { errno } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  const words = errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1];
  return words ?? messageOf(error);
}

/** Why no file can be written there, as far as that shows beforehand; undefined when it may work. */
export function reasonNotWritable(path: string): string | undefined {
  const target = statSync(path, { throwIfNoEntry: false });
  if (target?.isDirectory() === true) return "it is a directory; name a file in it";
  try {
    const parent = statSync(dirname(path), { throwIfNoEntry: false });
    if (parent === undefined) return `there is no directory ${dirname(path)}`;
    return parent.isDirectory() ? undefined : `${dirname(path)} is not a directory`;
  } catch (error) {
    return fileFault(error);
  }
}
