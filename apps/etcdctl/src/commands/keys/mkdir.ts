/** `mkdir`: a directory that must not exist. */
import type { Command } from "../../cli/command.ts";
import { keyCommand, requiredKey, ttlFlag } from "./key-command.ts";
import { putKey } from "../../api/keys-api.ts";

export const mkdir: Command = {
  name: "mkdir",
  usage: "make a new directory",
  argsUsage: "<key>",
  takes: ["key directory"],
  flags: [ttlFlag],
  run: keyCommand(async (session, context) => {
    const ttl = context.flags.integer("ttl");
    await putKey(session, requiredKey(context), { value: undefined, prevExist: false, ttl });
  }),
};
