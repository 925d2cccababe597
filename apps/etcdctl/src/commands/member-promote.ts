/** `member promote`: gives a learner its vote. */
import { adminCommand, refuse } from "../admin-command.ts";
import type { Command } from "../command.ts";
import { listMembers, orderMember } from "../members-api.ts";
import { explainRefusal, reasonOf } from "../orders.ts";

export const memberPromote: Command = {
  name: "promote",
  usage: "give a learner that has caught up its vote",
  argsUsage: "<memberID>",
  isHidden: true,
  run: adminCommand(
    ({ args }) => {
      if (args.length !== 1) throw refuse("Provide a single member ID");
    },
    async (session, { args: [id = ""], terminal }) => {
      const verdict = await orderMember(session, id, "promote");
      if (verdict.isDone) {
        terminal.out(`Promoted member ${id}\n`);
        return;
      }
      const members = await listMembers(session);
      const named = members.find((member) => member.id === id);
      const learners = members.filter((member) => member.isLearner && member.id !== id);
      const commands =
        named === undefined
          ? learners.map((learner) => `etcdctl member promote ${learner.id}`)
          : ["etcdctl endpoint status -w table", `etcdctl member promote ${id}`];
      if (commands.length === 0) commands.push("etcdctl member add --learner <name> <peerURL>");
      throw explainRefusal(`Cannot promote ${id}`, reasonOf(verdict), members, commands);
    },
  ),
};
