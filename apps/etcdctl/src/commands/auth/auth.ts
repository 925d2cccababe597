/** `auth`: switches authentication on and off. */
import { adminCommand, noArguments } from "../admin-command.ts";
import { switchAuth } from "../../api/auth-api.ts";
import { authSession } from "./auth-command.ts";
import type { Command } from "../../cli/command.ts";

function switchCommand(name: string, usage: string, on: boolean, done: string): Command {
  return {
    name,
    usage,
    argsUsage: " ",
    run: adminCommand(
      noArguments,
      authSession(async (session, { terminal }) => {
        await switchAuth(session, on);
        terminal.out(`${done}\n`);
      }),
    ),
  };
}

export const auth: Command = {
  name: "auth",
  usage: "overall auth controls",
  subcommands: [
    switchCommand("enable", "enable auth access controls", true, "Authentication Enabled"),
    switchCommand("disable", "disable auth access controls", false, "Authentication Disabled"),
  ],
};
