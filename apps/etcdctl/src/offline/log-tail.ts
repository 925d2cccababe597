/**
 * What a member's log has beyond its store: committed entries that a crash kept from being applied.
 * Reads the log without opening it, so the server may be running.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { confChangeWrites, confStateIn } from "@etcd2/member-dir";
import { type ConfState, decodeConfChange, type Entry, readWal } from "@etcd2/raft/wal";
import { type AppliedEntry, decodeCommand, type StateMachine } from "@etcd2/store";
import { MovingTargetError } from "./store-copy.ts";

/** Entries applied as one batch. */
const RUN_MAX = 1000;

/** Entries and hard state that a log adds up to; a torn end counts as not written. */
function readLog(walDir: string) {
  if (!existsSync(walDir)) throw new Error(`open ${walDir}: no such file or directory`);
  const reading = readWal(walDir);
  for (;;) {
    const step = reading.next();
    if (step.done === true) {
      if (step.value === undefined)
        throw new Error(`${walDir} holds no log: was --wal-dir forgotten?`);
      return step.value;
    }
    const item = step.value;
    if (item.kind !== "damage" || item.damage.kind !== "corruption") continue;
    const { file, offset, problem } = item.damage;
    throw new Error(`walpb: crc mismatch: ${join(walDir, file)} at offset ${offset}: ${problem}`);
  }
}

/** A cluster of one commits what it writes: entries beyond the last commit may be acknowledged. */
function isAlone(confState: ConfState): boolean {
  return confState.voters.length === 1 && confState.votersOutgoing.length === 0;
}

/**
 * Applies to the store what the log has committed beyond it.
 * @returns the number of entries applied.
 */
export function applyLogTail(machine: StateMachine, walDir: string): number {
  const { log, hardState } = readLog(walDir);
  const from = machine.appliedIndex + 1;
  const last = isAlone(confStateIn(machine)) ? log.lastIndex() : hardState.commit;
  if (last < from) return 0;
  if (log.firstIndex() > from) {
    throw new MovingTargetError(
      `the log begins at ${log.firstIndex()}, but the store stands at ${from - 1}`,
    );
  }
  for (let at = from; at <= last; at += RUN_MAX) {
    const end = Math.min(last + 1, at + RUN_MAX);
    applyEntries(machine, log.entries(at, end, Number.MAX_SAFE_INTEGER));
  }
  return last - from + 1;
}

function applyEntries(machine: StateMachine, entries: readonly Entry[]): void {
  let run: AppliedEntry[] = [];
  for (const { index, term, type, data } of entries) {
    if (type === "confChange") {
      machine.apply(run);
      run = [];
      const writes = confChangeWrites(decodeConfChange(data), machine.reader);
      machine.apply([{ index, term, command: { action: "group", writes } }]);
    } else {
      const command = data.length === 0 ? undefined : decodeCommand(data).command;
      run.push({ index, term, command });
    }
  }
  machine.apply(run);
}
