/** `member`: the group. */
import type { Command } from "../../cli/command.ts";
import { memberAdd } from "./member-add.ts";
import { memberList } from "./member-list.ts";
import { memberPromote } from "./member-promote.ts";
import { memberRemove } from "./member-remove.ts";
import { memberReplace } from "./member-replace.ts";
import { memberUpdate } from "./member-update.ts";

export const member: Command = {
  name: "member",
  usage: "member add, remove and list subcommands",
  subcommands: [memberList, memberAdd, memberRemove, memberUpdate, memberPromote, memberReplace],
};
