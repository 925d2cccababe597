/**
 * What is done to a simulated cluster, and when: a list drawn from the seed before the run, each item
 * complete in itself, so that a failing run can be repeated with fewer of them.
 */
import type { PowerLoss } from "@etcd2/raft/testing";
import type { Random } from "./runtime.ts";

export type Fault = { readonly at: number } & FaultKind;

type FaultKind =
  /** The process is gone, with its machine's memory unless `loss` says otherwise. */
  | {
      readonly kind: "crash";
      readonly member: number;
      readonly loss: PowerLoss | "process";
      readonly downMs: number;
    }
  /** As crash, in the middle of a change of the disk. */
  | {
      readonly kind: "crashAtDisk";
      readonly member: number;
      readonly operations: number;
      readonly loss: PowerLoss | "process";
      readonly downMs: number;
    }
  | { readonly kind: "stop"; readonly member: number; readonly downMs: number }
  | {
      readonly kind: "reboot";
      readonly member: number;
      readonly loss: PowerLoss;
      readonly downMs: number;
      readonly wallMs: number;
    }
  | {
      readonly kind: "diskFails";
      readonly member: number;
      readonly on: "write" | "sync";
      readonly path: "wal" | "store";
      readonly after: number;
      readonly downMs: number;
    }
  | {
      readonly kind: "slowDisk";
      readonly member: number;
      readonly syncMs: number;
      readonly forMs: number;
    }
  | {
      readonly kind: "partition";
      readonly shape: "isolate" | "bridge" | "ring" | "oneWay" | "split";
      readonly member: number;
      readonly forMs: number;
    }
  | {
      readonly kind: "weather";
      readonly loss: number;
      readonly duplicates: number;
      readonly delayMs: number;
      readonly forMs: number;
    }
  | { readonly kind: "pause"; readonly member: number; readonly forMs: number }
  | {
      readonly kind: "clock";
      readonly member: number;
      readonly wallMs: number;
      readonly rate: number;
    }
  /** The data directory is lost, or replaced by what it was `agoMs` before. */
  | { readonly kind: "wipe"; readonly member: number }
  | { readonly kind: "restore"; readonly member: number; readonly afterMs: number }
  | { readonly kind: "addMember" }
  | { readonly kind: "removeMember"; readonly member: number };

const LOSSES: readonly (PowerLoss | "process")[] = [
  "process",
  "none",
  "all",
  "prefix",
  "subset",
  "garbage",
];
const POWER: readonly PowerLoss[] = ["none", "all", "prefix", "subset", "garbage"];
const SHAPES = ["isolate", "bridge", "ring", "oneWay", "split"] as const;

/** How fast clocks may go, relative to true time. */
export const RATE_MAX = 1.05;

/** What a run is made of. */
export interface Plan {
  readonly seed: number;
  readonly members: number;
  readonly durationMs: number;
  readonly snapshotCount: number;
  readonly catchUpEntries: number;
  readonly watchHistory: number;
  readonly pauseMs: number;
  readonly faults: readonly Fault[];
}

/** Draws a plan. */
export function drawPlan(seed: number, random: Random): Plan {
  const pick = <T>(list: readonly [T, ...T[]] | readonly T[]): T => {
    const [first] = list;
    return list[Math.floor(random() * list.length)] ?? first;
  };
  const members = pick([1, 3, 3, 3, 3, 5]);
  const durationMs = pick([6000, 10_000, 15_000]);
  const gapMs = pick([400, 800, 1500, 3000]);
  const hasWalks = random() < 0.4;
  const faults: Fault[] = [];
  let isLost = members < 3;
  for (let at = 1500; at < durationMs; at += random() * 2 * gapMs) {
    const member = Math.floor(random() * members);
    const what = random();
    const downMs = random() * 2500;
    const forMs = random() * 4000;
    if (what < 0.2) faults.push({ at, kind: "crash", member, loss: pick(LOSSES), downMs });
    else if (what < 0.34) {
      const operations = Math.floor(random() * 30);
      faults.push({ at, kind: "crashAtDisk", member, operations, loss: pick(LOSSES), downMs });
    } else if (what < 0.38) faults.push({ at, kind: "stop", member, downMs });
    else if (what < 0.42) {
      const wallMs = (random() - 0.5) * 20_000;
      faults.push({ at, kind: "reboot", member, loss: pick(POWER), downMs, wallMs });
    } else if (what < 0.47) {
      const path = pick(["wal", "store"] as const);
      const after = Math.floor(random() * 6);
      faults.push({
        at,
        kind: "diskFails",
        member,
        on: pick(["write", "sync"] as const),
        path,
        after,
        downMs,
      });
    } else if (what < 0.52) {
      faults.push({ at, kind: "slowDisk", member, syncMs: random() * 400, forMs });
    } else if (what < 0.7)
      faults.push({ at, kind: "partition", shape: pick(SHAPES), member, forMs });
    else if (what < 0.78) {
      const loss = pick([0, 0.05, 0.2]);
      faults.push({
        at,
        kind: "weather",
        loss,
        duplicates: pick([0, 0.1]),
        delayMs: pick([3, 30, 300]),
        forMs,
      });
    } else if (what < 0.84) faults.push({ at, kind: "pause", member, forMs: forMs / 1.5 });
    else if (what < 0.9) {
      const rate = 1 + (random() - 0.5) * 2 * (RATE_MAX - 1);
      faults.push({ at, kind: "clock", member, wallMs: (random() - 0.5) * 100_000, rate });
    } else if (what < 0.94 && !isLost) {
      isLost = true;
      if (random() < 0.5) faults.push({ at, kind: "wipe", member });
      else faults.push({ at, kind: "restore", member, afterMs: 500 + random() * 3000 });
    } else if (hasWalks) {
      if (random() < 0.6) faults.push({ at, kind: "addMember" });
      else faults.push({ at, kind: "removeMember", member });
    }
  }
  // Whoever removes members while another has lost its data may be left without a majority for good.
  const hasLoss = faults.some(({ kind }) => kind === "wipe" || kind === "restore");
  return {
    ...{ seed, members, durationMs },
    faults: hasLoss ? faults.filter(({ kind }) => kind !== "removeMember") : faults,
    snapshotCount: pick([20, 50, 200, 10_000]),
    catchUpEntries: pick([2, 10, 50]),
    watchHistory: pick([20, 1000, 1000]),
    pauseMs: pick([20, 50, 100]),
  };
}
