/** All commands: those of etcdctl 2.3.8 in the order of its help screen, then the further ones. */
import type { Command } from "./cli/command.ts";
import { auth } from "./commands/auth/auth.ts";
import { backup } from "./commands/data/backup.ts";
import { clusterHealth } from "./commands/members/cluster-health.ts";
import { completion } from "./commands/completion.ts";
import { endpoint } from "./commands/members/endpoint.ts";
import { execWatch } from "./commands/keys/exec-watch.ts";
import { get } from "./commands/keys/get.ts";
import { importSnapshot } from "./commands/data/import.ts";
import { ls } from "./commands/keys/ls.ts";
import { member } from "./commands/members/member.ts";
import { mk } from "./commands/keys/mk.ts";
import { mkdir } from "./commands/keys/mkdir.ts";
import { moveLeader } from "./commands/members/move-leader.ts";
import { rm } from "./commands/keys/rm.ts";
import { rmdir } from "./commands/keys/rmdir.ts";
import { role } from "./commands/auth/role.ts";
import { set } from "./commands/keys/set.ts";
import { setdir } from "./commands/keys/setdir.ts";
import { snapshot } from "./commands/data/snapshot.ts";
import { update } from "./commands/keys/update.ts";
import { updatedir } from "./commands/keys/updatedir.ts";
import { user } from "./commands/auth/user.ts";
import { watch } from "./commands/keys/watch.ts";

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
  completion,
  endpoint,
  moveLeader,
  snapshot,
];
