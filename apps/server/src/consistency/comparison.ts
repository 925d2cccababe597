/** What follows from the digests of several members at one applied index. Pure. */

/** What one member said, or why it said nothing. */
export interface MemberDigest {
  /** Hexadecimal, as people see it. */
  readonly id: string;
  readonly name: string;
  readonly isSelf: boolean;
  /** Term and digest of the state; undefined without an answer for the index. */
  readonly digest?: string;
  /** The member is down, of a release that cannot be asked, or was not at the index in time. */
  readonly problem?: "down" | "old" | "late";
}

export interface Comparison {
  readonly raftIndex: number;
  readonly members: readonly MemberDigest[];
  /**
   * - same: all digests are equal, and there are at least two;
   * - minority: a majority of all members agrees on another state than this member's;
   * - majority: this member is of the majority, and others hold another state;
   * - divided: states differ and no majority agrees;
   * - unknown: nobody else could be compared with.
   */
  readonly verdict: "same" | "minority" | "majority" | "divided" | "unknown";
  /** Members that hold another state than the majority, or than this one where there is none. */
  readonly different: readonly MemberDigest[];
}

/** Compares the digests of the members of a cluster, all of them listed, at one index. */
export function compare(raftIndex: number, members: readonly MemberDigest[]): Comparison {
  const own = members.find(({ isSelf }) => isSelf)?.digest;
  const given = members.filter(({ digest }) => digest !== undefined);
  const result = { raftIndex, members };
  if (own === undefined || given.length < 2)
    return { ...result, verdict: "unknown", different: [] };
  const counts = new Map<string, number>();
  for (const { digest = "" } of given) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  if (counts.size === 1) return { ...result, verdict: "same", different: [] };
  const majority = Math.floor(members.length / 2) + 1;
  const [agreed] = [...counts].find(([, count]) => count >= majority) ?? [];
  const reference = agreed ?? own;
  const different = given.filter(({ digest }) => digest !== reference);
  if (agreed === undefined) return { ...result, verdict: "divided", different };
  return { ...result, verdict: agreed === own ? "majority" : "minority", different };
}

/** The members as a line names them. */
export function named(members: readonly MemberDigest[]): string {
  return members.map(({ id, name }) => (name === "" ? id : `${name} (${id})`)).join(", ");
}
