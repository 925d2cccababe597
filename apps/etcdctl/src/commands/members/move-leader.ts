/** `move-leader`: hands the leadership to another member. */
import { adminCommand, refuse } from "../admin-command.ts";
import type { Command } from "../../cli/command.ts";
import { listMembers, requestMemberAction } from "../../api/members-api.ts";
import { explainRefusal, isUnknownAction, reasonOf } from "./member-action.ts";
import type { Member } from "../../api/wire.ts";

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
  takes: ["member"],
  isHidden: true,
  run: adminCommand(
    ({ args }) => {
      if (args.length !== 1) throw refuse("Provide a single member ID");
    },
    async (session, { args: [id = ""], terminal }) => {
      const result = await requestMemberAction(session, id, "move-leader");
      if (result.isDone) {
        terminal.out(`Leadership moved to member ${id}\n`);
        return;
      }
      const members = await listMembers(session);
      const commands = isUnknownAction(result) ? [] : helpfulCommands(id, members);
      throw explainRefusal(
        `Cannot move the leadership to ${id}`,
        reasonOf(result),
        members,
        commands,
      );
    },
  ),
};
