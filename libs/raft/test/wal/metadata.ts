/** Whose log the tests of the log write. Apart, so that the processes they start print nothing else. */
export const MEMBER = "00000000000000a1";
export const METADATA = { memberId: MEMBER, clusterId: "00000000000000c1" };
