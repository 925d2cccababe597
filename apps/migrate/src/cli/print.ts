/** What the commands print: notices as they come, summaries at the end. */
import { formatId } from "@etcd2/member-dir";
import { oneLine } from "../errors.ts";
import type { ImportReport } from "../import/run-import.ts";
import type { Notice } from "../notices.ts";

/** One line on standard error. */
export function printNotice(notice: Notice): void {
  const { file, offset, text } = notice;
  const place =
    file === undefined ? "" : offset === undefined ? `${file}: ` : `${file}: offset ${offset}: `;
  console.error(oneLine(`etcd-migrate: ${place}${text}`));
}

/** The report as plain data for --output json. */
export function reportAsJson(report: ImportReport): object {
  const { result, store, v3 } = report;
  return {
    source: report.source,
    format: report.format,
    target: report.target ?? null,
    keys: store.keys,
    directories: store.directories,
    hidden: store.hidden,
    ttlKeys: store.withTtl,
    bytes: store.bytes,
    auth: { enabled: store.authEnabled, users: store.users, roles: store.roles },
    etcdIndex: report.etcdIndex,
    historyFirstIndex: report.historyFirstIndex,
    raftIndex: result.raftIndex,
    raftTerm: result.raftTerm,
    snapshotIndex: report.snapshotIndex,
    clusterId: formatId(result.clusterId),
    memberId: formatId(result.memberId),
    members: result.members.map((member) => ({
      id: formatId(member.id),
      name: member.name,
      peerURLs: member.peerUrls,
      clientURLs: member.clientUrls,
      ...(member.isLearner ? { isLearner: true } : {}),
    })),
    entries: {
      applied: result.entriesApplied,
      uncommitted: result.entriesUncommitted,
      v3: result.v3Entries,
    },
    v3: v3 ?? null,
    notices: report.notices,
    seconds: Number(report.seconds.toFixed(3)),
  };
}

/** The report for people. */
export function printReport(report: ImportReport): void {
  const { result, store } = report;
  const rate = Math.round(result.entriesApplied / Math.max(report.seconds, 0.001));
  const history =
    report.historyFirstIndex <= report.etcdIndex
      ? `watches can start from index ${report.historyFirstIndex}`
      : "no history of events";
  const lines = [
    `source   ${report.source} (${report.format})`,
    `keys     ${store.keys} keys and ${store.directories} directories, ${store.bytes} bytes; ` +
      `${store.hidden} hidden, ${store.withTtl} with a TTL`,
    `auth     ${store.authEnabled ? "on" : "off"}, ${store.users} users, ${store.roles} roles`,
    `index    ${report.etcdIndex}; ${history}`,
    `raft     index ${result.raftIndex}, term ${result.raftTerm}` +
      (report.snapshotIndex === 0 ? "" : `, snapshot at ${report.snapshotIndex}`),
    `cluster  ${formatId(result.clusterId)}, this member ${formatId(result.memberId)}`,
    ...result.members.map(
      (member) =>
        `member   ${formatId(member.id)} ${member.name === "" ? "(never started)" : member.name} ` +
        `${member.peerUrls.join(",")}${member.isLearner ? " (learner)" : ""}`,
    ),
    `log      ${result.entriesApplied} entries applied in ${report.seconds.toFixed(2)} s (${rate}/s)`,
    `skipped  ${describeSkipped(report)}`,
    report.target === undefined
      ? "target   nothing written (dry run)"
      : `target   ${report.target}: written`,
    ...(report.target === undefined ? [] : [`next     ${nextStep(report, report.target)}`]),
  ];
  for (const line of lines) console.log(line);
}

/** A word as a shell takes it. */
function shellWord(text: string): string {
  return /^[\w./:=,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** The command that starts the member, and what a cluster of several needs besides. */
function nextStep({ result }: ImportReport, target: string): string {
  const { members, memberId } = result;
  const own = members.find(({ id }) => id === memberId);
  const name = own === undefined || own.name === "" ? [] : ["--name", own.name];
  const command = ["etcd", ...name, "--data-dir", target].map(shellWord).join(" ");
  const start = `${command}, with the listen and advertise flags that it had`;
  if (members.length < 2) return start;
  return (
    `${start}; it serves once a majority of the ${members.length} members is imported and started, ` +
    "or alone with --force-new-cluster once"
  );
}

function describeSkipped(report: ImportReport): string {
  const parts: string[] = [];
  if (report.result.entriesUncommitted > 0) {
    parts.push(`${report.result.entriesUncommitted} uncommitted entries`);
  }
  if (report.result.v3Entries > 0) parts.push(`${report.result.v3Entries} v3 entries`);
  if (report.v3 !== undefined && report.v3.keys > 0) parts.push(`${report.v3.keys} v3 keys`);
  for (const { code, text } of report.notices) {
    if (code === "tornTail" || code === "zeroTail" || code === "dropped") parts.push(text);
  }
  return parts.length === 0 ? "nothing" : parts.join("; ");
}
