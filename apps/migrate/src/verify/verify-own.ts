/** Checks the log of this project's own directories; the store is checked like any other. */
import { join } from "node:path";
import type { StateMachine } from "@etcd2/store";
import { readWal } from "@etcd2/raft/wal";
import type { SourceOwn } from "../detect.ts";
import type { Finding } from "./finding.ts";
import { ownRemedy } from "./own-remedy.ts";

/** Where the server notes the index of a snapshot it has taken over. */
const META_INSTALLED = "local-installed-index";

/** Reads the whole log and holds it against the store. */
export function checkOwnLog(source: SourceOwn, machine: StateMachine): readonly Finding[] {
  const findings: Finding[] = [];
  const { walDir } = source;
  const reading = readWal(walDir);
  for (;;) {
    const step = reading.next();
    if (step.done === true) {
      if (step.value !== undefined)
        findings.push(...checkAgainstStore(walDir, step.value.log, machine));
      else if (findings.length === 0) findings.push(error("there is no log here", walDir));
      return findings;
    }
    const item = step.value;
    if (item.kind !== "damage") continue;
    const { damage } = item;
    const file = join(walDir, damage.file);
    findings.push(
      damage.kind === "corruption"
        ? { ...error(damage.problem, file, damage), offset: damage.offset }
        : {
            severity: "warning",
            text: `the end is torn: ${damage.problem}`,
            file,
            offset: damage.offset,
            remedy: "the server cuts it at its next start",
          },
    );
  }
}

function checkAgainstStore(
  walDir: string,
  log: { firstIndex(): number; lastIndex(): number },
  machine: StateMachine,
): readonly Finding[] {
  const { appliedIndex } = machine;
  const first = log.firstIndex();
  if (first > appliedIndex + 1) {
    return [error(`it begins at ${first}, but the store stands at ${appliedIndex}`, walDir)];
  }
  const last = log.lastIndex();
  const installed = Buffer.from(machine.readMeta(META_INSTALLED) ?? []).toString("utf8");
  // Behind a snapshot just installed the log may end; the server starts it anew there.
  if (last < appliedIndex && Number(installed) !== appliedIndex) {
    const text = `it ends at ${last}, but the store stands at ${appliedIndex}: a part of the log was lost`;
    return [error(text, walDir)];
  }
  return [];
}

function error(
  text: string,
  file: string,
  damage: { readonly isOtherVersion?: boolean } = {},
): Finding {
  return { severity: "error", text, file, offset: undefined, remedy: ownRemedy(damage) };
}
