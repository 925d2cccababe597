/** Member actions that etcdctl 2.3.8 does not have: how a refusal is explained. */
import { refuse } from "../admin-command.ts";
import type { Failure } from "../../errors/exit-codes.ts";
import type { MemberActionResult } from "../../api/members-api.ts";
import type { Member } from "../../api/wire.ts";

/** One line per member with what an operator needs to choose one. */
function describeMembers(members: readonly Member[]): string {
  return members
    .map(({ id, name, peerURLs, clientURLs, isLearner }) => {
      const kind = isLearner ? "learner" : "voter";
      // Founders have their names before they have started.
      const hasRun = name !== "" && clientURLs.length > 0;
      const shown = hasRun ? name : `${name} (not started)`.trimStart();
      return `  ${id}  ${shown}  ${kind}  ${peerURLs.join(",")}\n`;
    })
    .join("");
}

/** Statuses with which a server that does not know an action turns it down. */
const unknownActionStatuses = [405, 415, 501];

/** Whether the server turned the action down without understanding it. */
export function isUnknownAction({ message, status }: MemberActionResult): boolean {
  return unknownActionStatuses.includes(status) || (status === 404 && message === "");
}

/** The server's words, or what the status alone says. */
export function reasonOf(result: MemberActionResult): string {
  if (isUnknownAction(result)) return "this server does not know the request";
  return result.message === "" ? `unexpected status code ${result.status}` : result.message;
}

/** A refusal: what was tried, why not, the members it could have meant, the command that helps. */
export function explainRefusal(
  what: string,
  why: string,
  members: readonly Member[],
  commands: readonly string[],
): Failure {
  const list = commands.map((command) => `  ${command}\n`).join("");
  const help = list === "" ? "" : `\nThis helps:\n${list}`;
  return refuse(`${what}: ${why}\n\nMembers:\n${describeMembers(members)}${help}`.trimEnd());
}
