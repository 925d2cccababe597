/**
 * Faults that befall a cluster one after another, chosen by a seeded random source: members killed
 * and started again, stopped and continued, asked to leave and started again, cut off in both
 * directions or in one, now and then two at a time or all of them. Knows processes and signals, nothing of what the cluster is for.
 */
import type { Cluster } from "./cluster.ts";
import type { MemberProcess } from "./member-process.ts";
import { pause } from "@etcd2/test-support";

export interface FaultOptions {
  readonly random: () => number;
  /** Milliseconds without a fault between two of them, at most. */
  readonly restMs: number;
  /** Cuts member `at` (from 1) off from the others, or heals it; without it nothing is cut off. */
  readonly setPeerLink?: (at: number, state: "up" | "down") => void;
  /** Lets member `at` only speak or only hear; without it no link is cut in one direction. */
  readonly setOneWay?: (at: number, state: "deaf" | "mute" | "well") => void;
  /** Now and then all members are killed at once. */
  readonly killsAll?: boolean;
  readonly onFault?: (text: string) => void;
}

type Kind = "SIGKILL" | "SIGSTOP" | "SIGTERM" | "cut off" | "deaf" | "mute";
const KINDS: readonly Kind[] = ["SIGKILL", "SIGSTOP", "SIGTERM", "SIGKILL"];

const KINDS_WITH_LINKS: readonly Kind[] = [...KINDS, "cut off", "cut off", "cut off"];

/** The longest a member is down or stopped, in milliseconds. */
const DOWN_MAX = {
  SIGKILL: 700,
  SIGSTOP: 1500,
  SIGTERM: 500,
  "cut off": 2500,
  deaf: 2500,
  mute: 2500,
} as const;

export class Faults {
  readonly #cluster: Cluster;
  readonly #options: FaultOptions;
  count = 0;

  constructor(cluster: Cluster, options: FaultOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  /** Goes on for this long; every member runs when it returns. */
  async run(durationMs: number): Promise<void> {
    const { random, restMs } = this.#options;
    const end = performance.now() + durationMs;
    while (performance.now() < end) {
      if (this.#options.killsAll === true && random() < 0.1) {
        await this.#killAll();
        continue;
      }
      const victims = await this.#choose();
      await Promise.all(victims.map((victim) => this.#harm(victim)));
      await pause(random() * restMs);
    }
  }

  /** The leader half of the time; one in five times two members at once. */
  async #choose(): Promise<readonly MemberProcess[]> {
    const { random } = this.#options;
    const { members } = this.#cluster;
    const any = (): MemberProcess | undefined => members[Math.floor(random() * members.length)];
    const wantsLeader = random() < 0.5;
    const leader = wantsLeader
      ? await this.#cluster.leader(3000).catch(() => undefined)
      : undefined;
    const first = leader ?? any();
    const second = random() < 0.2 ? any() : undefined;
    return [...new Set([first, second])].filter((member) => member !== undefined);
  }

  async #killAll(): Promise<void> {
    this.count += 1;
    this.#options.onFault?.("SIGKILL to all");
    const { members } = this.#cluster;
    for (const member of members) member.signal("SIGKILL");
    await Promise.all(members.map((member) => member.exited()));
    for (const member of members) this.#cluster.restart(member);
  }

  async #harm(victim: MemberProcess): Promise<void> {
    const { random, onFault, setPeerLink, setOneWay } = this.#options;
    const links = setPeerLink === undefined ? KINDS : KINDS_WITH_LINKS;
    const kinds: readonly Kind[] =
      setOneWay === undefined ? links : [...links, "deaf", "mute", "deaf", "mute"];
    const kind = kinds[Math.floor(random() * kinds.length)] ?? "SIGKILL";
    const downMs = random() * DOWN_MAX[kind];
    this.count += 1;
    onFault?.(`${kind} ${victim.name} for ${downMs.toFixed(0)} ms`);
    if (kind === "SIGSTOP") {
      victim.signal("SIGSTOP");
      await pause(downMs);
      victim.signal("SIGCONT");
      return;
    }
    if (kind === "cut off") {
      const at = this.#cluster.members.indexOf(victim) + 1;
      setPeerLink?.(at, "down");
      await pause(downMs);
      setPeerLink?.(at, "up");
      return;
    }
    if (kind === "deaf" || kind === "mute") {
      const at = this.#cluster.members.indexOf(victim) + 1;
      setOneWay?.(at, kind);
      await pause(downMs);
      setOneWay?.(at, "well");
      return;
    }
    await victim.end(kind);
    await pause(downMs);
    this.#cluster.restart(victim);
  }
}
