/** `mk`: a key that must not exist, or one in order below a directory. */
import type { Command } from "../../cli/command.ts";
import { keyCommand, printEvent, requiredKey, requiredValue, ttlFlag } from "./key-command.ts";
import { postKey, putKey } from "../../api/keys-api.ts";

export const mk: Command = {
  name: "mk",
  usage: "make a new key with a given value",
  argsUsage: "<key> <value>",
  takes: ["key"],
  flags: [
    { kind: "switch", name: "in-order", usage: "create in-order key under directory <key>" },
    ttlFlag,
  ],
  run: keyCommand(async (session, context) => {
    const { flags } = context;
    const key = requiredKey(context);
    const value = await requiredValue(context);
    const ttl = flags.integer("ttl");
    const response = flags.isSet("in-order")
      ? await postKey(session, key, { value, ttl })
      : await putKey(session, key, { value, ttl, prevExist: false });
    printEvent(context, response);
  }),
};
