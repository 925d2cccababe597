/** Orders about members that the original does not know: how a refusal is explained. */
import { refuse } from "./admin-command.ts";
import type { Failure } from "./exit-codes.ts";
import type { Verdict } from "./members-api.ts";
import type { Member } from "./wire.ts";

/** One line per member with what an operator needs to choose one. */
export function describeMembers(members: readonly Member[]): string {
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

/** Statuses with which a server that does not know an order turns it down. */
const unknownOrderStatuses = [405, 415, 501];

/** Whether the server turned the order down without understanding it. */
export function isUnknownOrder({ message, status }: Verdict): boolean {
  return unknownOrderStatuses.includes(status) || (status === 404 && message === "");
}

/** The server's words, or what the status alone says. */
export function reasonOf(verdict: Verdict): string {
  if (isUnknownOrder(verdict)) return "this server does not know the request";
  return verdict.message === "" ? `unexpected status code ${verdict.status}` : verdict.message;
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
