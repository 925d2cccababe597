/** `member promote`: gives a learner its vote. */
import { adminCommand, refuse } from "../admin-command.ts";
import type { Command } from "../../cli/command.ts";
import { listMembers, requestMemberAction } from "../../api/members-api.ts";
import { explainRefusal, isUnknownAction, reasonOf } from "./member-action.ts";
import type { Member } from "../../api/wire.ts";

/** What may help someone whose promotion of `id` was refused. */
function helpfulCommands(id: string, members: readonly Member[]): readonly string[] {
  if (members.some((member) => member.id === id)) {
    return ["etcdctl endpoint status -w table", `etcdctl member promote ${id}`];
  }
  const learners = members.filter(({ isLearner }) => isLearner);
  if (learners.length === 0) return ["etcdctl member add --learner <name> <peerURL>"];
  return learners.map((learner) => `etcdctl member promote ${learner.id}`);
}

export const memberPromote: Command = {
  name: "promote",
  usage: "give a learner that has caught up its vote",
  argsUsage: "<memberID>",
  takes: ["member"],
  isHidden: true,
  run: adminCommand(
    ({ args }) => {
      if (args.length !== 1) throw refuse("Provide a single member ID");
    },
    async (session, { args: [id = ""], terminal }) => {
      const result = await requestMemberAction(session, id, "promote");
      if (result.isDone) {
        terminal.out(`Promoted member ${id}\n`);
        return;
      }
      const members = await listMembers(session);
      const commands = isUnknownAction(result) ? [] : helpfulCommands(id, members);
      throw explainRefusal(`Cannot promote ${id}`, reasonOf(result), members, commands);
    },
  ),
};
