/** `set`: a key with a value, whatever was there. */
import type { Command } from "../../cli/command.ts";
import { keyCommand, printEvent, requiredKey, requiredValue, ttlFlag } from "./key-command.ts";
import { putKey } from "../../api/keys-api.ts";

export const set: Command = {
  name: "set",
  usage: "set the value of a key",
  argsUsage: "<key> <value>",
  takes: ["key"],
  description: `Set sets the value of a key.

   When <value> begins with '-', <value> is interpreted as a flag.
   Insert '--' for workaround:

   $ set -- <key> <value>`,
  flags: [
    ttlFlag,
    { kind: "string", name: "swap-with-value", usage: "previous value" },
    { kind: "integer", name: "swap-with-index", initial: 0, usage: "previous index" },
  ],
  run: keyCommand(async (session, context) => {
    const { flags } = context;
    const key = requiredKey(context);
    const response = await putKey(session, key, {
      value: await requiredValue(context),
      ttl: flags.integer("ttl"),
      prevValue: flags.string("swap-with-value"),
      prevIndex: flags.integer("swap-with-index"),
    });
    printEvent(context, response);
  }),
};
