/**
 * Looking over a source before anything is written: how much there is, what has no name or no room in v3,
 * and whether two nodes would get the same name.
 */
import { fromByteString } from "@etcd2/store";
import { MigrateError } from "../errors.ts";
import { Pacer } from "../pacer.ts";
import type { PathMap } from "./mapping/path-map.ts";
import type { SourceView } from "./source-view.ts";

/** Sentences kept of each kind. */
const SHOWN_MAX = 1000;

export interface Plan {
  /** Values to carry over. */
  readonly keys: number;
  readonly directories: number;
  /** Of both: those whose names begin with "_" somewhere on the way. */
  readonly hidden: number;
  /** Of both: those that expire. */
  readonly withTtl: number;
  /** Of keys and values. */
  readonly bytes: number;
  /** Nodes that are left out because their lives are over. */
  readonly expired: number;
  readonly losses: readonly string[];
}

/** @throws MigrateError when two nodes would get the same name. */
export async function makePlan(
  view: SourceView,
  paths: PathMap,
  signal: AbortSignal,
): Promise<Plan> {
  const counts = { keys: 0, directories: 0, hidden: 0, withTtl: 0, bytes: 0, expired: 0 };
  const losses: string[] = [];
  const contested = new Map<string, string>();
  const pacer = new Pacer(signal);
  const now = Date.now();
  for (const { path, dir, value, expirationMs } of view.nodes()) {
    if (pacer.due()) await pacer.pause();
    if (!paths.takes(path)) continue;
    if (expirationMs !== undefined && expirationMs <= now) {
      counts.expired++;
      continue;
    }
    if (dir) counts.directories++;
    else {
      const target = paths.target(path);
      if (target === "") {
        if (losses.length < SHOWN_MAX)
          losses.push(`${fromByteString(path)}: nothing is left of its name`);
        continue;
      }
      if (paths.rivals(path).length > 0) refuseSecond(contested, path, target);
      counts.keys++;
      counts.bytes += target.length + value.length;
    }
    if (path.includes("/_")) counts.hidden++;
    if (expirationMs !== undefined) counts.withTtl++;
  }
  return { ...counts, losses };
}

function refuseSecond(contested: Map<string, string>, path: string, target: string): void {
  const first = contested.get(target);
  if (first === undefined) {
    contested.set(target, path);
    return;
  }
  throw new MigrateError(
    "usage",
    `${fromByteString(first)} and ${fromByteString(path)} would both become ${fromByteString(target)}`,
    { remedy: "choose other --map and --strip rules" },
  );
}
