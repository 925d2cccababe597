/** `move-leader`: hands the leadership to another member. */
import { adminCommand, refuse } from "../admin-command.ts";
import type { Command } from "../command.ts";
import { listMembers, orderMember } from "../members-api.ts";
import { explainRefusal, reasonOf } from "../orders.ts";

export const moveLeader: Command = {
  name: "move-leader",
  usage: "hand the leadership to another member",
  argsUsage: "<memberID>",
  isHidden: true,
  run: adminCommand(
    ({ args }) => {
      if (args.length !== 1) throw refuse("Provide a single member ID");
    },
    async (session, { args: [id = ""], terminal }) => {
      const verdict = await orderMember(session, id, "move-leader");
      if (verdict.isDone) {
        terminal.out(`Leadership moved to member ${id}\n`);
        return;
      }
      const members = await listMembers(session);
      const named = members.find((member) => member.id === id);
      const commands =
        named?.isLearner === true
          ? [`etcdctl member promote ${id}`]
          : named === undefined
            ? members.filter((m) => !m.isLearner).map((m) => `etcdctl move-leader ${m.id}`)
            : ["etcdctl endpoint status -w table", `etcdctl move-leader ${id}`];
      throw explainRefusal(`Cannot move the leadership to ${id}`, reasonOf(verdict), members, commands);
    },
  ),
};
