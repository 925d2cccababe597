/** `update`: a key that must exist. */
import type { Command } from "../../cli/command.ts";
import { keyCommand, printEvent, requiredKey, requiredValue, ttlFlag } from "./key-command.ts";
import { putKey } from "../../api/keys-api.ts";

export const update: Command = {
  name: "update",
  usage: "update an existing key with a given value",
  argsUsage: "<key> <value>",
  takes: ["key"],
  flags: [ttlFlag],
  run: keyCommand(async (session, context) => {
    const key = requiredKey(context);
    const value = await requiredValue(context);
    const ttl = context.flags.integer("ttl");
    printEvent(context, await putKey(session, key, { value, ttl, prevExist: true }));
  }),
};
