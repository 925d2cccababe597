/** From samples to the lines of charts: one x axis of ages for all members, whatever their clocks say. */
import { type HealthSample, type MemberHealth, WINDOW_MS } from "./health.ts";

/** How far apart samples are. */
const STEP_MS = 5000;

const POINTS = WINDOW_MS / STEP_MS;

export interface Line {
  readonly label: string;
  /** One value for each of `seconds`; null where there is none. */
  readonly values: readonly (number | null)[];
}

/** The x axis: seconds before now, oldest first. */
export const seconds: readonly number[] = Array.from(
  { length: POINTS },
  (_, at) => ((at - POINTS + 1) * STEP_MS) / 1000,
);

/** Places of the samples on the axis; the newest of a member is at the end. */
function placed(
  samples: readonly HealthSample[],
  valueOf: (sample: HealthSample) => number | null,
): (number | null)[] {
  const values: (number | null)[] = Array.from({ length: POINTS }, () => null);
  const newest = samples.at(-1)?.atMs ?? 0;
  for (const sample of samples) {
    const at = POINTS - 1 - Math.round((newest - sample.atMs) / STEP_MS);
    if (at >= 0) values[at] = valueOf(sample);
  }
  return values;
}

/** A line for each member. */
export function byMember(
  members: readonly MemberHealth[],
  valueOf: (sample: HealthSample) => number | null,
): Line[] {
  return members.map(({ id, name, samples }) => ({
    label: name || id,
    values: placed(samples, valueOf),
  }));
}

function combined(
  lines: readonly (readonly (number | null)[])[],
  combine: (values: readonly number[]) => number,
): (number | null)[] {
  return seconds.map((_, at) => {
    const values = lines.map((line) => line[at] ?? null).filter((value) => value !== null);
    return values.length === 0 ? null : combine(values);
  });
}

/** A line for each method, from all members together. */
export function byMethod(
  members: readonly MemberHealth[],
  field: "perSecond" | "p99Seconds",
): Line[] {
  const methods = new Set(
    members.flatMap(({ samples }) => samples.flatMap((s) => s.methods.map(({ method }) => method))),
  );
  const combine = (values: readonly number[]): number =>
    field === "perSecond" ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values);
  return [...methods].sort().map((method) => {
    const lines = members.map(({ samples }) =>
      placed(samples, (sample) => {
        const value = sample.methods.find((each) => each.method === method)?.[field];
        // A percentile of nothing is none.
        return value === undefined || (field === "p99Seconds" && value === 0) ? null : value;
      }),
    );
    return { label: method, values: combined(lines, combine) };
  });
}

/** A line for each member and each that it has a connection to. */
export function byPair(members: readonly MemberHealth[]): Line[] {
  const nameOf = (id: string): string => members.find((each) => each.id === id)?.name || id;
  return members.flatMap(({ id, name, samples }) => {
    const others = new Set(samples.flatMap((s) => s.roundTrips.map(({ memberId }) => memberId)));
    return [...others].map((other) => ({
      label: `${name || id} → ${nameOf(other)}`,
      values: placed(
        samples,
        (sample) => sample.roundTrips.find(({ memberId }) => memberId === other)?.seconds ?? null,
      ),
    }));
  });
}

/** The newest value of a line; null when it has none. */
export function newestOf({ values }: Line): number | null {
  return values.findLast((value) => value !== null) ?? null;
}
