/** The commands scripts are made of. Each returns the lines to print below it. */
import { isVoter } from "../../src/core/membership/confchange.ts";
import type { Message } from "../../src/core/model/types.ts";
import { RaftError } from "../../src/core/model/errors.ts";
import type { Cluster } from "../core/cluster.ts";
import { confState, encodeChange, Host, type HostOptions, logOf } from "../core/host.ts";
import { describeConf, describeEntry, describeMessage, describeReady } from "./describe.ts";

/** A command line: words, and name=value settings. */
export interface Line {
  readonly words: readonly string[];
  readonly settings: ReadonlyMap<string, string>;
}

type Command = (cluster: Cluster, line: Line) => string[];

const NUMBER_SETTINGS = [
  ["election-ticks", "electionTicks"],
  ["message-bytes", "messageBytesMax"],
  ["inflight-messages", "inflightMessagesMax"],
  ["uncommitted-bytes", "uncommittedBytesMax"],
  ["committed-bytes", "committedBytesMax"],
] as const;

function word(line: Line, position: number): string {
  const found = line.words[position];
  if (found === undefined) throw new Error(`missing argument ${position + 1}`);
  return found;
}

function hostOf(cluster: Cluster, line: Line, position = 0): Host {
  return cluster.host(word(line, position));
}

function list(line: Line, name: string): readonly string[] {
  return (line.settings.get(name) ?? "").split(",").filter(Boolean);
}

/** add-members 1 2 3 [voters=1,2] [learners=3] [log=1,1,2] [commit=2] [pre-vote=off] … */
function addMembers(cluster: Cluster, line: Line): string[] {
  const { words, settings } = line;
  const learners = list(line, "learners");
  const voters = settings.has("voters")
    ? list(line, "voters")
    : words.filter((id) => !learners.includes(id));
  const numbers = NUMBER_SETTINGS.filter(([name]) => settings.has(name)).map(
    ([name, field]) => [field, Number(settings.get(name))] as const,
  );
  for (const id of words) {
    const options: HostOptions = {
      ...Object.fromEntries(numbers),
      id,
      draw: Number(settings.get("draw") ?? 0),
      conf: confState(voters, { learners }),
      entries: logOf(list(line, "log").map(Number)),
      hardState: { commit: Number(settings.get("commit") ?? 0) },
      preVote: settings.get("pre-vote") !== "off",
      checkQuorum: settings.get("check-quorum") !== "off",
      readOnly: settings.get("read-only") === "lease" ? "lease" : "safe",
    };
    cluster.hosts.set(id, new Host(options));
  }
  return [`members ${words.join(" ")}: ${describeConf(confState(voters, { learners }))}`];
}

/** Does one Ready and puts its messages on their way. */
function workOnce(cluster: Cluster, host: Host): string[] {
  const ready = host.workOnce();
  cluster.post([...ready.messages, ...ready.messagesAfterPersist]);
  const lines = describeReady(ready);
  return [`ready ${host.id}`, ...lines.map((line) => `  ${line}`)];
}

function deliverTo(host: Host, messages: readonly Message[]): string[] {
  const lines = messages.length === 0 ? [] : [`deliver to ${host.id}`];
  for (const message of messages) {
    lines.push(`  ${describeMessage(message)}`);
    host.step(message);
  }
  return lines;
}

/** stabilize [1 2]: the members named, or all, work and receive until nothing moves any more. */
function stabilize(cluster: Cluster, line: Line): string[] {
  const named = line.words.length > 0 ? line.words : [...cluster.hosts.keys()];
  const lines: string[] = [];
  for (let wasQuiet = false; !wasQuiet;) {
    const before = lines.length;
    for (const id of named) {
      const host = cluster.host(id);
      while (host.raw.hasReady()) lines.push(...workOnce(cluster, host));
    }
    for (const id of named) {
      lines.push(
        ...deliverTo(
          cluster.host(id),
          cluster.take(({ to }) => to === id),
        ),
      );
    }
    wasQuiet = lines.length === before;
  }
  return lines;
}

/** Which messages a line means: all "to 2", or all "1>2"; the last word may narrow the type. */
function selection(line: Line): (message: Message) => boolean {
  const [from, to] = word(line, 0).includes(">") ? word(line, 0).split(">") : ["", word(line, 0)];
  const type = line.words[1];
  return (message) =>
    message.to === to &&
    (from === "" || message.from === from) &&
    (type === undefined || message.type === type);
}

function dropped(run: () => void): string[] {
  try {
    run();
    return [];
  } catch (error) {
    if (!(error instanceof RaftError)) throw error;
    return [`${error.code}: ${error.message}`];
  }
}

function describeHost({ id, raw }: Host): string {
  const { term, vote, commit, applied, role, leader, transferee, confState: conf } = raw.status();
  const member = isVoter(conf, id) ? "" : conf.learners.includes(id) ? " (learner)" : " (outside)";
  const transfer = transferee === "" ? "" : `, handing over to ${transferee}`;
  const who = `${id}: ${role}${member} of term ${term}, leader ${leader || "unknown"}`;
  return `${who}, vote ${vote || "none"}, commit ${commit}, applied ${applied}${transfer}`;
}

function describeProgress({ raw }: Host): string[] {
  return [...raw.status().progress].map(([id, progress]) => {
    const { state, match, next, isLearner, pendingSnapshot, recentActive } = progress;
    const notes = [isLearner ? ", learner" : "", recentActive ? "" : ", silent"].join("");
    const pending = pendingSnapshot > 0 ? `, snapshot ${pendingSnapshot} under way` : "";
    return `${id}: ${state}, match ${match}, next ${next}${pending}${notes}`;
  });
}

export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["add-members", addMembers],
  ["stabilize", stabilize],
  ["ready", (cluster, line) => workOnce(cluster, hostOf(cluster, line))],
  [
    "deliver",
    (cluster, line) => {
      const matches = selection(line);
      const to = word(line, 0).split(">").at(-1) ?? "";
      return deliverTo(cluster.host(to), cluster.take(matches));
    },
  ],
  ["drop", (cluster, line) => cluster.take(selection(line)).map(describeMessage)],
  [
    "duplicate",
    (cluster, line) => {
      const copies = cluster.inFlight.filter(selection(line));
      cluster.post(copies);
      return copies.map(describeMessage);
    },
  ],
  [
    "isolate",
    (cluster, line) => {
      for (const id of line.words) cluster.isolate(id);
      return [];
    },
  ],
  [
    "cut",
    (cluster, line) => {
      for (const pair of line.words) {
        const [from = "", to = ""] = pair.split(">");
        cluster.cutOneWay(from, to);
      }
      return [];
    },
  ],
  [
    "heal",
    (cluster) => {
      cluster.heal();
      return [];
    },
  ],
  [
    "draw",
    (cluster, line) => {
      hostOf(cluster, line).draw = Number(word(line, 1));
      return [];
    },
  ],
  [
    "tick",
    (cluster, line) => {
      hostOf(cluster, line).tick(Number(line.words[1] ?? 1));
      return [];
    },
  ],
  [
    "campaign",
    (cluster, line) => {
      hostOf(cluster, line).raw.campaign();
      return [];
    },
  ],
  [
    "propose",
    (cluster, line) =>
      dropped(() => {
        hostOf(cluster, line).propose(...line.words.slice(1));
      }),
  ],
  [
    "conf-change",
    (cluster, line) =>
      dropped(() => {
        const data = encodeChange(line.words.slice(1).join(" "));
        hostOf(cluster, line).raw.proposeConfChange(data);
      }),
  ],
  [
    "read-index",
    (cluster, line) => {
      for (const context of line.words.slice(1)) hostOf(cluster, line).raw.readIndex(context);
      return [];
    },
  ],
  [
    "transfer",
    (cluster, line) => {
      hostOf(cluster, line).raw.transferLeader(word(line, 1));
      return [];
    },
  ],
  [
    "connection-lost",
    (cluster, line) => {
      hostOf(cluster, line).raw.connectionLost(word(line, 1));
      return [];
    },
  ],
  [
    "unreachable",
    (cluster, line) => {
      hostOf(cluster, line).raw.reportUnreachable(word(line, 1));
      return [];
    },
  ],
  [
    "snapshot-sent",
    (cluster, line) => {
      hostOf(cluster, line).raw.reportSnapshot(word(line, 1), word(line, 2) === "ok");
      return [];
    },
  ],
  [
    "compact",
    (cluster, line) => {
      const { storage } = hostOf(cluster, line);
      storage.compact(Number(word(line, 1)));
      return [`log ${storage.firstIndex()}..${storage.lastIndex()}`];
    },
  ],
  [
    "restart",
    (cluster, line) => {
      hostOf(cluster, line).restart();
      return [];
    },
  ],
  [
    "status",
    (cluster, line) => {
      const named = line.words.length > 0 ? line.words : [...cluster.hosts.keys()];
      return named.map((id) => describeHost(cluster.host(id)));
    },
  ],
  ["progress", (cluster, line) => describeProgress(hostOf(cluster, line))],
  ["log", (cluster, line) => hostOf(cluster, line).log().map(describeEntry)],
  ["conf", (cluster, line) => [describeConf(hostOf(cluster, line).raw.status().confState)]],
]);
