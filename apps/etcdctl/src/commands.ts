/** All commands, in the order of the help screen. */
import type { Command } from "./command.ts";
import { execWatch } from "./commands/exec-watch.ts";
import { get } from "./commands/get.ts";
import { ls } from "./commands/ls.ts";
import { mk } from "./commands/mk.ts";
import { mkdir } from "./commands/mkdir.ts";
import { rm } from "./commands/rm.ts";
import { rmdir } from "./commands/rmdir.ts";
import { set } from "./commands/set.ts";
import { setdir } from "./commands/setdir.ts";
import { update } from "./commands/update.ts";
import { updatedir } from "./commands/updatedir.ts";
import { watch } from "./commands/watch.ts";

export const commands: readonly Command[] = [
  mk,
  mkdir,
  rm,
  rmdir,
  get,
  ls,
  set,
  setdir,
  update,
  updatedir,
  watch,
  execWatch,
];
