/** `ls`: the names in a directory. */
import type { Command } from "../../cli/command.ts";
import { keyCommand, quorumFlag, sortFlag } from "./key-command.ts";
import { getKey } from "../../api/keys-api.ts";
import type { StoreNode } from "../../api/wire.ts";

/** Full names, depth first, each on a line; directories below the given one may get a slash. */
function* listedNames(nodes: readonly StoreNode[], appendSlash: boolean): Generator<string, void> {
  for (const node of nodes) {
    yield `${node.key}${appendSlash && node.isDir ? "/" : ""}\n`;
    yield* listedNames(node.nodes ?? [], appendSlash);
  }
}

/** Characters collected before a write, so that a long list is neither one text nor many writes. */
const chunkLength = 65_536;

export const ls: Command = {
  name: "ls",
  usage: "retrieve a directory",
  argsUsage: "[key]",
  takes: ["key directory"],
  flags: [
    sortFlag,
    {
      kind: "switch",
      name: "recursive",
      usage: "returns all key names recursively for the given path",
    },
    { kind: "switch", name: "p", usage: "append slash (/) to directories" },
    quorumFlag,
  ],
  run: keyCommand(async (session, { args, flags, terminal }) => {
    const { node } = await getKey(session, args[0] ?? "/", {
      quorum: flags.isSet("quorum"),
      recursive: flags.isSet("recursive"),
      sorted: flags.isSet("sort"),
    });
    let text = node.isDir ? "" : `${node.key}\n`;
    for (const line of listedNames(node.nodes ?? [], flags.isSet("p"))) {
      text += line;
      if (text.length < chunkLength) continue;
      terminal.out(text);
      text = "";
    }
    if (text !== "") terminal.out(text);
  }),
};
