/** What a migration says in the end: lines for people, one object for programs. */
import { fromByteString } from "@etcd2/store";
import { oneLine } from "../errors.ts";
import type { Comparison } from "./target-side.ts";
import type { ToV3Report } from "./run-to-v3.ts";

/** Of each list. */
const SHOWN_MAX = 20;

const KINDS = {
  missing: "is missing in v3",
  extra: "is not in the source",
  value: "has another value",
  noLease: "never expires in v3",
  lease: "expires in v3 only",
  early: "expires earlier in v3",
} as const;

/** Plain data for --output json. */
export function reportAsJson(report: ToV3Report): object {
  const { plan, auth, followed } = report;
  return {
    source: report.source,
    etcdIndex: report.etcdIndex,
    dryRun: report.dryRun,
    keys: plan.keys,
    directories: plan.directories,
    hidden: plan.hidden,
    ttlKeys: plan.withTtl,
    bytes: plan.bytes,
    expired: plan.expired,
    written: report.written,
    unchanged: report.unchanged,
    removed: report.removed,
    leases: report.leases,
    auth:
      auth === undefined
        ? null
        : {
            users: auth.users.map(({ name }) => fromByteString(name)),
            roles: auth.roles.map(({ name }) => fromByteString(name)),
            passwordsToSet: auth.passwordsToSet.map(fromByteString),
          },
    losses: report.losses,
    conflicts: report.conflicts,
    followed:
      followed === undefined
        ? null
        : {
            events: followed.events,
            copies: followed.copies,
            ...comparisonAsJson(followed.comparison),
          },
    seconds: Number(report.seconds.toFixed(3)),
  };
}

export function comparisonAsJson(comparison: Comparison): object {
  return {
    inAgreement: comparison.count === 0,
    equal: comparison.equal,
    differing: comparison.count,
    differences: comparison.differences,
    writtenByV3: comparison.foreign,
    writtenByV3Count: comparison.foreignCount,
    livesLonger: comparison.late,
  };
}

export function reportAsText(report: ToV3Report): readonly string[] {
  const { plan, auth, conflicts, followed, losses, seconds } = report;
  const rate = Math.round(report.written / Math.max(seconds, 0.001));
  const lines = [
    `source   ${report.source}, index ${report.etcdIndex}`,
    `keys     ${plan.keys} keys and ${plan.directories} directories, ${plan.bytes} bytes; ` +
      `${plan.hidden} hidden, ${plan.withTtl} with a TTL, ${plan.expired} whose life is over`,
    report.dryRun
      ? "target   nothing written (dry run)"
      : `target   ${report.written} written, ${report.unchanged} right already, ` +
        `${report.removed} removed, ${report.leases} leases; ${seconds.toFixed(2)} s (${rate}/s)`,
  ];
  if (auth !== undefined) {
    lines.push(`auth     ${auth.users.length} users, ${auth.roles.length} roles`);
    for (const user of auth.passwordsToSet.map(fromByteString)) {
      lines.push(`  set a password for ${user}: etcdctl user passwd ${user}`);
    }
  }
  if (losses.length > 0) {
    lines.push(`not carried over: ${losses.length}`, ...some(losses));
  }
  if (conflicts.length > 0) {
    lines.push(
      `written by v3 programs meanwhile: ${conflicts.length}`,
      ...some(conflicts.map(({ key, kept }) => `${key} (${kept ? "kept" : "overwritten"})`)),
    );
  }
  if (followed !== undefined) {
    lines.push(
      `followed ${followed.events} changes, ${followed.copies} looks at everything`,
      ...comparisonAsText(followed.comparison),
    );
  }
  return lines.map(oneLine);
}

export function comparisonAsText(comparison: Comparison): readonly string[] {
  const { count, differences, equal, foreign, foreignCount, late } = comparison;
  const lines = [
    count === 0 ? `both sides agree on ${equal} keys` : `${count} keys differ, ${equal} are equal`,
    ...some(differences.map(({ key, kind }) => `${key} ${KINDS[kind]}`)),
  ];
  if (foreignCount > 0) {
    lines.push(`${foreignCount} keys are as v3 programs left them`, ...some(foreign));
  }
  if (late > 0) lines.push(`${late} keys live longer in v3 than in the source`);
  return lines.map(oneLine);
}

function some(list: readonly string[]): readonly string[] {
  const shown = list.slice(0, SHOWN_MAX).map((text) => `  ${text}`);
  return list.length > SHOWN_MAX ? [...shown, `  and ${list.length - SHOWN_MAX} more`] : shown;
}
