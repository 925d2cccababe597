/**
 * Owns what is said about a cluster version this program cannot live with. It only goes up, and a
 * later release may have written what this one would misread. Knows not where it is kept.
 */
import { StartError } from "../base/start-error.ts";
import { compatClusterVersion, compatVersion } from "../base/version.ts";

/** The refusal of a version beyond this program's own, or of none; undefined when it can be served. */
export function refuseDowngrade(clusterVersion: string): StartError | undefined {
  if (clusterVersion !== "" && !/^\d+\.\d+/.test(clusterVersion)) {
    return new StartError(
      "the cluster version in the store is damaged: replace this member, or restore it from a backup",
    );
  }
  const [major, minor] = numbers(clusterVersion);
  const [ownMajor, ownMinor] = numbers(compatClusterVersion);
  if (major < ownMajor || (major === ownMajor && minor <= ownMinor)) return undefined;
  return new StartError(
    `cluster cannot be downgraded (current version: ${compatVersion} is lower than determined ` +
      `cluster version: ${major}.${minor}): start this member with the release it ran before`,
  );
}

/** Major and minor number; before a version was decided, 0.0. */
function numbers(version: string): readonly [number, number] {
  const [, major = "0", minor = "0"] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  return [Number(major), Number(minor)];
}
