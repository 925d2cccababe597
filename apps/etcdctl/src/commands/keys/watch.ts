/** `watch`: waits for changes and prints them. */
import type { Command } from "../../cli/command.ts";
import { keyCommand, printEvent, requiredKey } from "./key-command.ts";
import { watchKey } from "../../api/keys-api.ts";

export const watch: Command = {
  name: "watch",
  usage: "watch a key for changes",
  argsUsage: "<key>",
  takes: ["key"],
  flags: [
    { kind: "switch", name: "forever", usage: "forever watch a key until CTRL+C" },
    { kind: "integer", name: "after-index", initial: 0, usage: "watch after the given index" },
    {
      kind: "switch",
      name: "recursive",
      usage: "returns all values for key and child keys",
    },
  ],
  run: keyCommand(async (session, context) => {
    const { flags, terminal } = context;
    const key = requiredKey(context);
    const recursive = flags.isSet("recursive");
    terminal.endOnInterrupt();
    const events = watchKey(session, key, { afterIndex: flags.integer("after-index"), recursive });
    for await (const response of events) {
      const { action, node } = response;
      if (node.isDir) continue;
      if (recursive) terminal.out(`[${action}] ${node.key}\n`);
      printEvent(context, response);
      if (!flags.isSet("forever")) return;
    }
  }),
};
