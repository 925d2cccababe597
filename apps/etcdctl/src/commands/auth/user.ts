/** `user`: the people who may use the cluster. */
import { adminCommand, noArguments, refuse } from "../admin-command.ts";
import {
  addUser,
  changeUser,
  getUser,
  hasUser,
  listUsers,
  removeUser,
} from "../../api/auth-api.ts";
import { authSession, oneArgument } from "./auth-command.ts";
import type { Command } from "../../cli/command.ts";

const oneName = oneArgument("Please provide a username");
const newPassword = "New password: ";

const add: Command = {
  name: "add",
  usage: "add a new user for the etcd cluster",
  argsUsage: "<user>",
  run: adminCommand(
    oneName,
    authSession(async (session, { args: [given = ""], terminal }) => {
      const colon = given.indexOf(":");
      const name = colon < 0 ? given : given.slice(0, colon);
      const password = colon < 0 ? await terminal.readSecret(newPassword) : given.slice(colon + 1);
      if (await hasUser(session, name)) throw refuse(`User ${name} already exists`);
      await addUser(session, name, password);
      terminal.out(`User ${name} created\n`);
    }),
  ),
};

const get: Command = {
  name: "get",
  usage: "get details for a user",
  argsUsage: "<user>",
  takes: ["user"],
  run: adminCommand(
    oneName,
    authSession(async (session, { args: [name = ""], terminal }) => {
      const user = await getUser(session, name);
      terminal.out(`User: ${user.name}\nRoles: ${user.roles.join(" ")}\n`);
    }),
  ),
};

const list: Command = {
  name: "list",
  usage: "list all current users",
  argsUsage: "<user>",
  run: adminCommand(
    noArguments,
    authSession(async (session, { terminal }) => {
      const names = await listUsers(session);
      terminal.out(names.map((name) => `${name}\n`).join(""));
    }),
  ),
};

const remove: Command = {
  name: "remove",
  usage: "remove a user for the etcd cluster",
  argsUsage: "<user>",
  takes: ["user"],
  run: adminCommand(
    oneName,
    authSession(async (session, { args: [name = ""], terminal }) => {
      await removeUser(session, name);
      terminal.out(`User ${name} removed\n`);
    }),
  ),
};

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.toSorted().every((item, i) => item === b.toSorted()[i]);
}

function rolesCommand(change: "grant" | "revoke", usage: string, done: string): Command {
  return {
    name: change,
    usage,
    argsUsage: "<user>",
    takes: ["user"],
    flags: [
      { kind: "strings", name: "roles", holds: "role", usage: "List of roles to grant or revoke" },
    ],
    run: adminCommand(
      (context) => {
        if (context.flags.strings("roles").length === 0) {
          throw refuse("No roles specified; please use `-roles`");
        }
        oneName(context);
      },
      authSession(async (session, { args: [name = ""], flags, terminal }) => {
        const roles = flags.strings("roles");
        const before = await getUser(session, name);
        const after = await changeUser(
          session,
          name,
          change === "grant" ? { grant: roles } : { revoke: roles },
        );
        const unchanged = isSameList(before.roles, after.roles)
          ? `User unchanged; roles already ${done}`
          : "";
        terminal.out(`${unchanged}User ${name} updated\n`);
      }),
    ),
  };
}

const passwd: Command = {
  name: "passwd",
  usage: "change password for a user",
  argsUsage: "<user>",
  takes: ["user"],
  run: adminCommand(
    oneName,
    authSession(async (session, { args: [name = ""], terminal }) => {
      await getUser(session, name);
      const password = await terminal.readSecret(newPassword);
      session.renewDeadline();
      await changeUser(session, name, { password });
      terminal.out("Password updated\n");
    }),
  ),
};

export const user: Command = {
  name: "user",
  usage: "user add, grant and revoke subcommands",
  subcommands: [
    add,
    get,
    list,
    remove,
    rolesCommand("grant", "grant roles to an etcd user", "granted"),
    rolesCommand("revoke", "revoke roles for an etcd user", "revoked"),
    passwd,
  ],
};
