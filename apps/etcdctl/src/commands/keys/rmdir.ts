/** `rmdir`: an empty directory, or a key. */
import type { Command } from "../../cli/command.ts";
import { keyCommand, printFileEvent, requiredKey } from "./key-command.ts";
import { deleteKey } from "../../api/keys-api.ts";

export const rmdir: Command = {
  name: "rmdir",
  usage: "removes the key if it is an empty directory or a key-value pair",
  argsUsage: "<key>",
  takes: ["key directory"],
  run: keyCommand(async (session, context) => {
    printFileEvent(context, await deleteKey(session, requiredKey(context), { isDir: true }));
  }),
};
