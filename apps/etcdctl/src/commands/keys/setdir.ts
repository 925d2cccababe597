/** `setdir`: a directory, created or in place of a file. */
import type { Command } from "../../cli/command.ts";
import { keyCommand, requiredKey, ttlFlag } from "./key-command.ts";
import { putKey } from "../../api/keys-api.ts";

export const setdir: Command = {
  name: "setdir",
  usage: "create a new directory or update an existing directory TTL",
  argsUsage: "<key>",
  takes: ["key directory"],
  flags: [ttlFlag],
  run: keyCommand(async (session, context) => {
    const ttl = context.flags.integer("ttl");
    await putKey(session, requiredKey(context), { value: undefined, ttl });
  }),
};
