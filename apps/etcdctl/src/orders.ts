/** Orders about members that the original does not know: how a refusal is explained. */
import { refuse } from "./admin-command.ts";
import type { Failure } from "./exit-codes.ts";
import type { Verdict } from "./members-api.ts";
import type { Member } from "./wire.ts";

/** One line per member with what an operator needs to choose one. */
export function describeMembers(members: readonly Member[]): string {
  return members
    .map(({ id, name, peerURLs, isLearner }) => {
      const kind = isLearner ? "learner" : "voter";
      return `  ${id}  ${name === "" ? "(not started)" : name}  ${kind}  ${peerURLs.join(",")}\n`;
    })
    .join("");
}

/** The server's words, or what the status alone says. */
export function reasonOf({ message, status }: Verdict): string {
  if (message !== "") return message;
  if (status === 404 || status === 405) return "this server does not know the request";
  return `unexpected status code ${status}`;
}

/** A refusal: what was tried, why not, the members it could have meant, the command that helps. */
export function explainRefusal(
  what: string,
  why: string,
  members: readonly Member[],
  commands: readonly string[],
): Failure {
  const help = commands.map((command) => `  ${command}\n`).join("");
  return refuse(
    `${what}: ${why}\n\nMembers:\n${describeMembers(members)}\nThis helps:\n${help}`.trimEnd(),
  );
}
