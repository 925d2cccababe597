/** `member remove`: takes a member out of the cluster. */
import { adminCommand, refuse } from "../admin-command.ts";
import type { Command } from "../../cli/command.ts";
import { ClientError, messageOf } from "../../errors/errors.ts";
import { exitCodes, Failure } from "../../errors/exit-codes.ts";
import { listMembers, removeMember } from "../../api/members-api.ts";
import type { Session } from "../../api/session.ts";
import type { Member } from "../../api/wire.ts";

const documentation =
  "https://github.com/coreos/etcd/blob/master/Documentation/runtime-configuration.md#remove-a-member";

async function knownMembers(session: Session): Promise<readonly Member[]> {
  try {
    return await listMembers(session);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    throw refuse(`Error while verifying ID against known members: ${error.message}`);
  }
}

/** What is said about a word that is no member's ID. */
function unknownId(word: string, members: readonly Member[]): Failure {
  const advice = members
    .filter(({ name }) => name === word)
    .map(
      ({ id, name }) =>
        `Found a member named ${name}; if this is correct, please use its ID, eg:\n` +
        `\tetcdctl member remove ${id}\n` +
        `For more details, read the documentation at ${documentation}\n\n`,
    )
    .join("");
  return refuse(`${advice}Couldn't find a member in the cluster with an ID of ${word}.`);
}

export const memberRemove: Command = {
  name: "remove",
  usage: "remove an existing member from the etcd cluster",
  argsUsage: "<memberID>",
  takes: ["member"],
  run: adminCommand(
    ({ args }) => {
      if (args.length !== 1) throw refuse("Provide a single member ID");
    },
    async (session, { args: [id = ""], terminal }) => {
      const members = await knownMembers(session);
      if (!members.some((member) => member.id === id)) throw unknownId(id, members);
      try {
        await removeMember(session, id);
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        const text = `Received an error trying to remove member ${id}: ${messageOf(error)}`;
        throw new Failure(exitCodes.badArguments, text, { cause: error });
      }
      terminal.out(`Removed member ${id} from cluster\n`);
    },
  ),
};
