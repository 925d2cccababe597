/** `rm`: a key, or with options a directory. */
import type { Command } from "../../cli/command.ts";
import { keyCommand, printFileEvent, requiredKey } from "./key-command.ts";
import { deleteKey } from "../../api/keys-api.ts";

export const rm: Command = {
  name: "rm",
  usage: "remove a key or a directory",
  argsUsage: "<key>",
  takes: ["key"],
  flags: [
    {
      kind: "switch",
      name: "dir",
      usage: "removes the key if it is an empty directory or a key-value pair",
    },
    {
      kind: "switch",
      name: "recursive",
      usage: "removes the key and all child keys(if it is a directory)",
    },
    { kind: "string", name: "with-value", usage: "previous value" },
    { kind: "integer", name: "with-index", initial: 0, usage: "previous index" },
  ],
  run: keyCommand(async (session, context) => {
    const { flags } = context;
    const response = await deleteKey(session, requiredKey(context), {
      isDir: flags.isSet("dir"),
      isRecursive: flags.isSet("recursive"),
      prevValue: flags.string("with-value"),
      prevIndex: flags.integer("with-index"),
    });
    printFileEvent(context, response);
  }),
};
