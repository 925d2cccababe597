/** `role`: what users may read and write. */
import { adminCommand, noArguments, refuse } from "../admin-command.ts";
import {
  addRole,
  changeRole,
  getRole,
  hasRole,
  listRoles,
  type Permissions,
  removeRole,
} from "../../api/auth-api.ts";
import { authSession, oneArgument } from "./auth-command.ts";
import type { Command, CommandContext } from "../../cli/command.ts";
import { cleanPath } from "../../text/go-text.ts";

const oneName = oneArgument("Please provide a role name");

const add: Command = {
  name: "add",
  usage: "add a new role for the etcd cluster",
  argsUsage: "<role> ",
  run: adminCommand(
    oneName,
    authSession(async (session, { args: [name = ""], terminal }) => {
      if (await hasRole(session, name)) throw refuse(`Role ${name} already exists`);
      await addRole(session, name);
      terminal.out(`Role ${name} created\n`);
    }),
  ),
};

const get: Command = {
  name: "get",
  usage: "get details for a role",
  argsUsage: "<role>",
  takes: ["role"],
  run: adminCommand(
    oneName,
    authSession(async (session, { args: [name = ""], terminal }) => {
      const role = await getRole(session, name);
      const { read, write } = role.permissions;
      const lines = (paths: readonly string[]): string => paths.map((p) => `\t${p}\n`).join("");
      terminal.out(`Role: ${role.name}\nKV Read:\n${lines(read)}KV Write:\n${lines(write)}`);
    }),
  ),
};

const list: Command = {
  name: "list",
  usage: "list all roles",
  argsUsage: " ",
  run: adminCommand(
    noArguments,
    authSession(async (session, { terminal }) => {
      const names = await listRoles(session);
      terminal.out(names.map((name) => `${name}\n`).join(""));
    }),
  ),
};

const remove: Command = {
  name: "remove",
  usage: "remove a role from the etcd cluster",
  argsUsage: "<role>",
  takes: ["role"],
  run: adminCommand(
    oneName,
    authSession(async (session, { args: [name = ""], terminal }) => {
      await removeRole(session, name);
      terminal.out(`Role ${name} removed\n`);
    }),
  ),
};

/** The checks of grant and revoke, in the order of etcdctl 2.3.8. */
function checkGrant(context: CommandContext): void {
  const { flags } = context;
  const path = flags.string("path");
  if (path === "") throw refuse("No path specified; please use `-path`");
  const canonical = cleanPath(path);
  if (canonical !== path) throw refuse(`Not canonical path; please use \`-path=${canonical}\``);
  if (["read", "write", "readwrite"].filter((name) => flags.isSet(name)).length !== 1) {
    throw refuse("Please specify exactly one of -read, -write or -readwrite");
  }
  oneName(context);
}

function isSame(a: Permissions, b: Permissions): boolean {
  return JSON.stringify([a.read, a.write]) === JSON.stringify([b.read, b.write]);
}

function accessCommand(change: "grant" | "revoke", done: string): Command {
  const access = (kind: string): string => {
    if (change === "grant") return `Grant ${kind === "read-write" ? kind : `${kind}-only`} access`;
    return `Revoke ${kind} access`;
  };
  const isGrant = change === "grant";
  return {
    name: change,
    usage: `${change} path matches ${isGrant ? "to" : "for"} an etcd role`,
    argsUsage: "<role>",
    takes: ["role"],
    flags: [
      { kind: "string", name: "path", holds: "key", usage: `Path ${done} for the role to access` },
      { kind: "switch", name: "read", usage: access("read") },
      { kind: "switch", name: "write", usage: access("write") },
      { kind: "switch", name: "readwrite", usage: access("read-write") },
    ],
    run: adminCommand(
      checkGrant,
      authSession(async (session, { args: [name = ""], flags, terminal }) => {
        const before = await getRole(session, name);
        const isBoth = flags.isSet("readwrite");
        const after = await changeRole(session, name, change, flags.string("path"), {
          read: isBoth || flags.isSet("read"),
          write: isBoth || flags.isSet("write"),
        });
        const unchanged = isSame(before.permissions, after.permissions)
          ? `Role unchanged; already ${done}`
          : "";
        terminal.out(`${unchanged}Role ${name} updated\n`);
      }),
    ),
  };
}

export const role: Command = {
  name: "role",
  usage: "role add, grant and revoke subcommands",
  subcommands: [
    add,
    get,
    list,
    remove,
    accessCommand("grant", "granted"),
    accessCommand("revoke", "revoked"),
  ],
};
