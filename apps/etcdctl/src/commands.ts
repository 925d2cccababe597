/** All commands: those of the original in the order of its help screen, then the further ones. */
import type { Command } from "./command.ts";
import { auth } from "./commands/auth.ts";
import { backup } from "./commands/backup.ts";
import { clusterHealth } from "./commands/cluster-health.ts";
import { completionCommand } from "./commands/completion.ts";
import { endpoint } from "./commands/endpoint.ts";
import { execWatch } from "./commands/exec-watch.ts";
import { get } from "./commands/get.ts";
import { importSnapshot } from "./commands/import.ts";
import { ls } from "./commands/ls.ts";
import { member } from "./commands/member.ts";
import { mk } from "./commands/mk.ts";
import { mkdir } from "./commands/mkdir.ts";
import { moveLeader } from "./commands/move-leader.ts";
import { rm } from "./commands/rm.ts";
import { rmdir } from "./commands/rmdir.ts";
import { role } from "./commands/role.ts";
import { set } from "./commands/set.ts";
import { setdir } from "./commands/setdir.ts";
import { snapshot } from "./commands/snapshot.ts";
import { update } from "./commands/update.ts";
import { updatedir } from "./commands/updatedir.ts";
import { user } from "./commands/user.ts";
import { watch } from "./commands/watch.ts";

export const commands: readonly Command[] = [
  backup,
  clusterHealth,
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
  member,
  importSnapshot,
  user,
  role,
  auth,
  completionCommand(() => commands),
  endpoint,
  moveLeader,
  snapshot,
];
