/** The processor time of a process and of its main thread, as the kernel counts it. Linux only. */
import { readdirSync, readFileSync } from "node:fs";

/** USER_HZ of every Linux in use. */
const TICKS_PER_SECOND = 100;

/** Seconds of processor time since the start of a process. */
export interface ProcessorSeconds {
  /** All threads that there are. */
  readonly total: number;
  readonly main: number;
}

/** Ticks of one thread, in user and in kernel mode. */
function ticksOf(stat: string): number {
  // The second field is a name in parentheses and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** @throws when the process does not exist. */
export function processorSeconds(pid: number): ProcessorSeconds {
  let [total, main] = [0, 0];
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    let ticks = 0;
    try {
      ticks = ticksOf(readFileSync(`/proc/${pid}/task/${task}/stat`, "utf8"));
    } catch {
      // A thread that has just ended.
    }
    total += ticks;
    if (task === String(pid)) main = ticks;
  }
  return { total: total / TICKS_PER_SECOND, main: main / TICKS_PER_SECOND };
}
