/** Identifiers for the machines of a 0.4 cluster, as the original migration assigned them. */
import { createHash } from "node:crypto";

/** Every migrated cluster got this one. */
export const CLUSTER_ID_04 = "000000000004add5";

const TOKEN = "etcd-cluster";

/** The id of a machine: from its peer URL alone. */
export function memberId04(raftUrl: string): string {
  return createHash("sha1")
    .update(raftUrl + TOKEN)
    .digest("hex")
    .slice(0, 16);
}
