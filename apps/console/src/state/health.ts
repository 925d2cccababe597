/**
 * The health of the members as the page has gathered it: the last ten minutes of samples, asked for
 * every five seconds while the page is open, whichever view is shown.
 */
import { signal } from "@preact/signals";
import { client } from "./api.ts";

export interface MethodSample {
  readonly method: string;
  readonly perSecond: number;
  readonly p99Seconds: number;
}

export interface HealthSample {
  /** Unix milliseconds by the member's own clock. */
  readonly atMs: number;
  readonly methods: readonly MethodSample[];
  readonly fsyncP99Seconds: number;
  readonly loopDelaySeconds: number;
  readonly storeBytes: number;
  readonly proposalsPerSecond: number;
  readonly pendingProposals: number;
  readonly roundTrips: readonly { readonly memberId: string; readonly seconds: number }[];
}

export interface MemberHealth {
  readonly id: string;
  readonly name: string;
  readonly problem?: "down" | "old";
  readonly samples: readonly HealthSample[];
}

export const WINDOW_MS = 600_000;
const EVERY_MS = 5000;

export const health = signal<readonly MemberHealth[]>([]);

/** Why the newest question had no answer; "" when it had. */
export const healthProblem = signal("");

/** What was known with what is new, without what is older than ten minutes of the member's clock. */
export function merged(
  before: readonly MemberHealth[],
  fresh: readonly MemberHealth[],
): readonly MemberHealth[] {
  return fresh.map((member) => {
    const known = before.find(({ id }) => id === member.id)?.samples ?? [];
    const last = known.at(-1)?.atMs ?? 0;
    const all = [...known, ...member.samples.filter(({ atMs }) => atMs > last)];
    const newest = all.at(-1)?.atMs ?? 0;
    return { ...member, samples: all.filter(({ atMs }) => atMs > newest - WINDOW_MS) };
  });
}

/** The moment after which not all samples are known of every member that answers. */
export function knownUntil(members: readonly MemberHealth[]): number {
  const up = members.filter(({ problem }) => problem === undefined);
  const last = up.map(({ samples }) => samples.at(-1)?.atMs ?? 0);
  return last.length === 0 ? 0 : Math.min(...last);
}

async function ask(signal: AbortSignal): Promise<void> {
  const path = `/console/health?since=${Math.floor(knownUntil(health.value))}`;
  const answer = await client.value.request({ method: "GET", path }, { signal });
  if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.body}`);
  const { members } = JSON.parse(answer.body) as { readonly members: readonly MemberHealth[] };
  health.value = merged(health.value, members);
}

/** Begins to gather. @returns Ends it. */
export function gatherHealth(): () => void {
  const stop = new AbortController();
  let timer = 0;
  const turn = async (): Promise<void> => {
    try {
      await ask(stop.signal);
      healthProblem.value = "";
    } catch (error) {
      healthProblem.value = error instanceof Error ? error.message : String(error);
    }
    if (!stop.signal.aborted) timer = window.setTimeout(() => void turn(), EVERY_MS);
  };
  void turn();
  return () => {
    stop.abort();
    clearTimeout(timer);
  };
}
