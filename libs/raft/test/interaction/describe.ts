/** How scripts show records: an entry is term/index and its data, a message one line. */
import type { Ready } from "../../src/core/ready.ts";
import type { ConfState, Entry, Message, SnapshotMetadata } from "../../src/core/model/types.ts";
import { text } from "../core/host.ts";

function ids(of: readonly string[]): string {
  return of.length === 0 ? "nobody" : of.join(" ");
}

export function describeConf(conf: ConfState): string {
  const parts = [`voters ${ids(conf.voters)}`];
  if (conf.votersOutgoing.length > 0) parts.push(`outgoing ${ids(conf.votersOutgoing)}`);
  if (conf.learners.length > 0) parts.push(`learners ${ids(conf.learners)}`);
  if (conf.learnersNext.length > 0) parts.push(`learners next ${ids(conf.learnersNext)}`);
  if (conf.autoLeave) parts.push("leaves by itself");
  return parts.join(", ");
}

export function describeEntry({ term, index, type, data }: Entry): string {
  if (type === "confChange") return `${term}/${index} <${text(data) || "leave joint"}>`;
  return data.length === 0 ? `${term}/${index} -` : `${term}/${index} "${text(data)}"`;
}

function describeEntries(entries: readonly Entry[]): string {
  return entries.map(describeEntry).join(", ");
}

function describeSnapshot({ index, term, confState }: SnapshotMetadata): string {
  return `${term}/${index}, ${describeConf(confState)}`;
}

export function describeMessage(message: Message): string {
  return `${message.from}>${message.to} ${message.type} ${describeBody(message)}`.trimEnd();
}

function describeBody(message: Message): string {
  const term = `term ${message.term}`;
  switch (message.type) {
    case "append": {
      const { prevTerm, prevIndex, entries, commit } = message;
      const what = `after ${prevTerm}/${prevIndex} [${describeEntries(entries)}]`;
      return `${term} ${what} commit ${commit}`;
    }
    case "appendResponse": {
      const { index, reject, rejectHint, rejectTerm } = message;
      return reject
        ? `${term} rejects ${index}, try ${rejectTerm}/${rejectHint}`
        : `${term} holds ${index}`;
    }
    case "heartbeat":
      return `${term} commit ${message.commit}${round(message.context)}`;
    case "heartbeatResponse":
      return `${term}${round(message.context)}`;
    case "vote":
    case "preVote": {
      const { lastTerm, lastIndex, force } = message;
      return `${term} last ${lastTerm}/${lastIndex}${force ? " forced" : ""}`;
    }
    case "voteResponse":
    case "preVoteResponse":
      return `${term} ${message.reject ? "refused" : "granted"}`;
    case "snapshot":
      return `${term} ${describeSnapshot(message.snapshot)}`;
    case "readIndex":
      return message.context;
    case "readIndexResponse":
      return `${term} ${message.context} at ${message.index}`;
    case "propose": {
      const of = message.entries.map(({ type, data }) =>
        type === "normal" ? `"${text(data)}"` : `<${text(data)}>`,
      );
      return `${term} ${of.join(", ")}`;
    }
    case "transferLeader":
      return `${term} to ${message.transferee}`;
    case "timeoutNow":
      return term;
  }
}

function round(context: string): string {
  return context === "" ? "" : ` round ${context}`;
}

/** One line per thing a Ready asks for, in the order the host does them. */
export function describeReady(ready: Ready): string[] {
  const lines: string[] = [];
  const { softState, hardState, snapshot, entries, committedEntries } = ready;
  if (softState !== undefined) {
    lines.push(`is ${softState.role}, leader ${softState.leader || "unknown"}`);
  }
  for (const message of ready.messages) lines.push(`send ${describeMessage(message)}`);
  if (snapshot !== undefined) lines.push(`install snapshot ${describeSnapshot(snapshot)}`);
  if (entries.length > 0) lines.push(`store ${describeEntries(entries)}`);
  if (hardState !== undefined) {
    const { term, vote, commit } = hardState;
    lines.push(`store term ${term}, vote ${vote || "none"}, commit ${commit}`);
  }
  if (ready.mustSync) lines.push("sync");
  for (const message of ready.messagesAfterPersist) lines.push(`send ${describeMessage(message)}`);
  if (committedEntries.length > 0) lines.push(`apply ${describeEntries(committedEntries)}`);
  for (const { context, index } of ready.readStates) lines.push(`read ${context} at ${index}`);
  return lines;
}
