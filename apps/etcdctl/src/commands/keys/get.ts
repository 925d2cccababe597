/** `get`: the value of a key. */
import type { Command } from "../../cli/command.ts";
import { exitCodes, Failure } from "../../errors/exit-codes.ts";
import { keyCommand, printEvent, quorumFlag, requiredKey, sortFlag } from "./key-command.ts";
import { getKey } from "../../api/keys-api.ts";

export const get: Command = {
  name: "get",
  usage: "retrieve the value of a key",
  argsUsage: "<key>",
  takes: ["key"],
  flags: [
    sortFlag,
    quorumFlag,
    {
      kind: "switch",
      name: "consistent",
      usage: "send the request to the leader; the same as --quorum",
      isHidden: true,
    },
  ],
  run: keyCommand(async (session, context) => {
    const { flags } = context;
    const response = await getKey(session, requiredKey(context), {
      quorum: flags.isSet("quorum") || flags.isSet("consistent"),
      recursive: false,
      sorted: flags.isSet("sort"),
    });
    if (response.node.isDir) {
      throw new Failure(exitCodes.badArguments, `${response.node.key}: is a directory\n`);
    }
    printEvent(context, response);
  }),
};
