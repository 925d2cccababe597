/** `member list`: all members, and which one leads. */
import { adminCommand, noArguments } from "../admin-command.ts";
import type { Command } from "../../cli/command.ts";
import { ClientError, plainFailure } from "../../errors/errors.ts";
import { exitCodes } from "../../errors/exit-codes.ts";
import { getLeader, listMembers } from "../../api/members-api.ts";
import type { Session } from "../../api/session.ts";
import type { Member } from "../../api/wire.ts";

/** One line of the list. A learner, which etcdctl 2.3.8 does not know, says so at the end. */
function memberLine(member: Member, leaderId: string): string {
  const { id, name, peerURLs, clientURLs } = member;
  const learner = member.isLearner ? " isLearner=true" : "";
  if (name === "") return `${id}[unstarted]: peerURLs=${peerURLs.join(",")}${learner}\n`;
  return (
    `${id}: name=${name} peerURLs=${peerURLs.join(",")} clientURLs=${clientURLs.join(",")} ` +
    `isLeader=${String(id === leaderId)}${learner}\n`
  );
}

async function requiredLeader(session: Session): Promise<Member> {
  try {
    return await getLeader(session);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    throw plainFailure(exitCodes.badArguments, error, "Failed to get leader:  ");
  }
}

export const memberList: Command = {
  name: "list",
  usage: "enumerate existing cluster members",
  argsUsage: " ",
  run: adminCommand(noArguments, async (session, { terminal }) => {
    const members = await listMembers(session);
    const leader = await requiredLeader(session);
    terminal.out(members.map((member) => memberLine(member, leader.id)).join(""));
  }),
};
