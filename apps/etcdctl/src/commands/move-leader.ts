/** `move-leader`: hands the leadership to another member. */
import { adminCommand, refuse } from "../admin-command.ts";
import type { Command } from "../command.ts";
import { listMembers, orderMember } from "../members-api.ts";
import { explainRefusal, isUnknownOrder, reasonOf } from "../orders.ts";
import type { Member } from "../wire.ts";

/** What may help someone whom `id` was refused as the new leader. */
function helpfulCommands(id: string, members: readonly Member[]): readonly string[] {
  const named = members.find((member) => member.id === id);
  if (named === undefined) {
    const voters = members.filter(({ isLearner }) => !isLearner);
    return voters.map((voter) => `etcdctl move-leader ${voter.id}`);
  }
  if (named.isLearner) return [`etcdctl member promote ${id}`, `etcdctl move-leader ${id}`];
  return ["etcdctl endpoint status -w table", `etcdctl move-leader ${id}`];
}

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
      const commands = isUnknownOrder(verdict) ? [] : helpfulCommands(id, members);
      throw explainRefusal(
        `Cannot move the leadership to ${id}`,
        reasonOf(verdict),
        members,
        commands,
      );
    },
  ),
};
