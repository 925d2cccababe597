/** `updatedir`: the time-to-live of a directory that must exist. */
import type { Command } from "../../cli/command.ts";
import { keyCommand, requiredKey, ttlFlag } from "./key-command.ts";
import { putKey } from "../../api/keys-api.ts";

export const updatedir: Command = {
  name: "updatedir",
  usage: "update an existing directory",
  argsUsage: "<key> <value>",
  takes: ["key directory"],
  flags: [ttlFlag],
  run: keyCommand(async (session, context) => {
    const ttl = context.flags.integer("ttl");
    await putKey(session, requiredKey(context), { value: undefined, prevExist: true, ttl });
  }),
};
