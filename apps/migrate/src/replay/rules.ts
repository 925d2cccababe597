/**
 * How the server that wrote a 2.x or 3.x directory interpreted its log where versions differ. The
 * cluster version (or the layout, where there is none yet) decides for the whole directory: a
 * restarted server replays old entries by its own rules, and so shows them that way.
 */

export interface ReplayRules {
  /** In-order keys are padded to 20 digits (2.2 and later); plain decimals before. */
  readonly padsInOrderNames: boolean;
  /** prevExist=true ignores prevValue and prevIndex (2.0.0 and its candidates). */
  readonly updateIgnoresConditions: boolean;
  /** A recursive delete of the root removes everything (2.0.0-rc.1); refused later. */
  readonly deletesRoot: boolean;
}

export interface WriterFacts {
  /** Text of the newest /0/version; undefined when there is none. */
  readonly clusterVersion: string | undefined;
  /** The flat layout of 2.0.0 and before. */
  readonly isFlatLayout: boolean;
  /** The log has marks of its snapshots, which 2.0.0-rc.1 never wrote. */
  readonly hasSnapshotMarks: boolean;
}

/** The rules of the version that wrote a directory. */
export function rulesFor(facts: WriterFacts): ReplayRules {
  const version = parseVersion(facts.clusterVersion);
  const atLeast22 =
    version !== undefined && (version.major > 2 || (version.major === 2 && version.minor >= 2));
  const isEarly = version === undefined && facts.isFlatLayout;
  return {
    padsInOrderNames: atLeast22,
    updateIgnoresConditions: isEarly,
    deletesRoot: isEarly && !facts.hasSnapshotMarks,
  };
}

/** Major and minor number of a version text, undefined when it is none. */
export function parseVersion(
  text: string | undefined,
): { readonly major: number; readonly minor: number } | undefined {
  const match = /^(\d{1,4})\.(\d{1,4})\./.exec(text ?? "");
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}
