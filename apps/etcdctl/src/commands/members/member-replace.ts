/**
 * `member replace`: exchanges a member without ever weakening the cluster: the new one joins without
 * a vote, catches up, gets the vote, and only then the old one goes. Every step can be repeated, so
 * an interrupted run is taken up by running the same command again.
 */
import { setTimeout as delay } from "node:timers/promises";
import { adminCommand, refuse } from "../admin-command.ts";
import type { Command, CommandContext } from "../../cli/command.ts";
import {
  ClientError,
  ClusterError,
  DeadlineError,
  messageOf,
  OutcomeUnknownError,
} from "../../errors/errors.ts";
import type { Failure } from "../../errors/exit-codes.ts";
import { quote } from "../../text/go-text.ts";
import {
  addMember,
  listMembers,
  requestMemberAction,
  removeMember,
} from "../../api/members-api.ts";
import { explainRefusal, reasonOf } from "./member-action.ts";
import { parsePeerUrls } from "./peer-urls.ts";
import type { Session } from "../../api/session.ts";
import type { Member } from "../../api/wire.ts";
import { initialCluster } from "./member-add.ts";

const pollMs = 500;

/** Refusals that waiting does not change: not allowed, no such member, no such request. */
const finalStatuses = [400, 401, 403, 404, 405, 410, 415];

interface Plan {
  readonly oldId: string;
  readonly name: string;
  readonly peerUrl: string;
}

/** The new member, added as a learner unless an earlier run has done that. */
async function ensureAdded(
  session: Session,
  { terminal }: CommandContext,
  plan: Plan,
  members: readonly Member[],
): Promise<Member> {
  const present = members.find(({ peerURLs }) => peerURLs.includes(plan.peerUrl));
  if (present === undefined) {
    const added = await addMember(session, plan.peerUrl, { learner: true });
    terminal.out(`Added learner ${added.id} named ${plan.name}\n`);
    return added;
  }
  if (present.id === plan.oldId || (present.name !== "" && present.name !== plan.name)) {
    throw explainRefusal(
      `Cannot add ${plan.peerUrl}`,
      `member ${present.id} has this peer URL`,
      members,
      [`etcdctl member replace ${plan.oldId} ${plan.name} <another peerURL>`],
    );
  }
  terminal.out(`Found member ${present.id} with ${plan.peerUrl}, going on with it\n`);
  return present;
}

/** The command that starts the new member. */
function startCommand(plan: Plan, cluster: string): string {
  return [
    `etcd --name ${quote(plan.name)}`,
    `--initial-advertise-peer-urls ${plan.peerUrl}`,
    `--listen-peer-urls ${plan.peerUrl}`,
    `--initial-cluster ${quote(cluster)}`,
    "--initial-cluster-state existing",
  ].join(" \\\n    ");
}

/** Asks for the promotion until it is granted. @throws Failure when the time is up. */
async function promoteWhenReady(
  session: Session,
  { terminal, flags }: CommandContext,
  id: string,
): Promise<void> {
  const end = performance.now() + flags.durationMs("wait");
  let said = "";
  for (;;) {
    session.renewDeadline();
    const result = await requestMemberAction(session, id, "promote");
    if (result.isDone) return;
    const reason = reasonOf(result);
    if (finalStatuses.includes(result.status) || performance.now() >= end) {
      throw explainRefusal(`Cannot promote ${id}`, reason, await listMembers(session), [
        "etcdctl endpoint status -w table",
        `etcdctl member promote ${id}`,
        `etcdctl member remove ${id}`,
      ]);
    }
    if (reason !== said) terminal.err(`Waiting for ${id}: ${reason}\n`);
    said = reason;
    await delay(pollMs);
  }
}

/** What an operator can do when no member takes requests, because too few of them reach each other. */
function explainSilence(
  { oldId, name, peerUrl }: Plan,
  error: Error,
  members: readonly Member[],
): Failure {
  const voters = members.filter(({ isLearner }) => !isLearner).length;
  const causes = error instanceof ClusterError ? error.causes.map(messageOf) : [];
  const why = [
    [error.message, ...causes].join("\n  "),
    "",
    `A change of members needs ${Math.floor(voters / 2) + 1} of the ${voters} voters up and connected. Start those that`,
    "stand still, then give the command again: it goes on where it ended. Where too many are lost for",
    "good, save what a survivor has and make a new cluster of it.",
  ];
  return explainRefusal(`Cannot replace ${oldId}`, why.join("\n"), members, [
    "etcdctl endpoint status -w table",
    `etcdctl member replace ${oldId} ${name} ${peerUrl}`,
    "etcdctl --no-sync --endpoints <survivor> snapshot save <file>",
    "etcdctl snapshot restore <file>",
  ]);
}

async function replace(session: Session, context: CommandContext): Promise<void> {
  const [oldId = "", name = "", url = ""] = context.args;
  const [peerUrl = ""] = parsePeerUrls([url]);
  const plan: Plan = { oldId, name, peerUrl };
  const members = await listMembers(session);
  try {
    await exchange(session, context, plan, members);
  } catch (thrown) {
    const error = thrown instanceof OutcomeUnknownError ? thrown.fault : thrown;
    if (!(error instanceof ClusterError || error instanceof DeadlineError)) throw thrown;
    throw explainSilence(plan, error, members);
  }
}

async function exchange(
  session: Session,
  context: CommandContext,
  plan: Plan,
  members: readonly Member[],
): Promise<void> {
  const { terminal } = context;
  const { oldId, name, peerUrl } = plan;
  if (!members.some(({ id }) => id === oldId)) {
    const successor = members.find(({ peerURLs }) => peerURLs.includes(peerUrl));
    if (successor?.name === name && !successor.isLearner) {
      terminal.out(`Member ${oldId} is gone, and ${successor.id} votes: nothing is left to do\n`);
      return;
    }
    const commands = members.map(({ id }) => `etcdctl member replace ${id} ${name} ${peerUrl}`);
    throw explainRefusal(`Cannot replace ${oldId}`, "no such member", members, commands);
  }
  const added = await ensureAdded(session, context, plan, members);
  const known = await listMembers(session);
  const current = known.find(({ id }) => id === added.id);
  if (current?.isLearner !== false || current.name === "") {
    const cluster = initialCluster(known, added.id, name);
    terminal.out(`\nStart it now, if it is not running:\n\n  ${startCommand(plan, cluster)}\n\n`);
  }
  if (current?.isLearner !== false) {
    await promoteWhenReady(session, context, added.id);
    terminal.out(`Promoted member ${added.id}\n`);
  }
  session.renewDeadline();
  try {
    await removeMember(session, oldId);
  } catch (error) {
    const isSilence = error instanceof ClusterError || error instanceof OutcomeUnknownError;
    if (!(error instanceof ClientError) || isSilence) throw error;
    throw explainRefusal(`Cannot remove ${oldId}`, error.message, known, [
      `etcdctl move-leader ${added.id}`,
      `etcdctl member remove ${oldId}`,
    ]);
  }
  terminal.out(`Removed member ${oldId} from cluster\n`);
}

export const memberReplace: Command = {
  name: "replace",
  usage: "exchange a member for a new one without losing redundancy",
  argsUsage: "<old memberID> <new name> <new peerURL>",
  takes: ["member"],
  isHidden: true,
  flags: [
    {
      kind: "duration",
      name: "wait",
      initial: "10m0s",
      usage: "how long the new member may take to start and to catch up",
    },
  ],
  run: adminCommand(({ args }) => {
    if (args.length !== 3)
      throw refuse("Provide the ID of the old member, a new name and a peerURL");
  }, replace),
};
