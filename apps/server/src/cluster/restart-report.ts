/**
 * What a member says of its cluster when it starts on its own disk. Tools wait for these lines at
 * every start, so they are those of etcd 2.3.8: while the log is whole etcd 2.3.8 reads
 * everything from there, afterwards from a snapshot. Decides nothing.
 */
import { formatId } from "@etcd2/member-dir";
import type { Cluster } from "./cluster.ts";
import type { MemberStorage } from "../storage/member-storage.ts";

/** The lines, in order; none when the state is still empty. */
export function restartReport(
  storage: Pick<MemberStorage, "memberId" | "clusterId" | "machine" | "wal">,
  cluster: Pick<Cluster, "members" | "version">,
): readonly string[] {
  if (storage.machine.appliedIndex === 0) return [];
  const lines: string[] = [];
  const isWhole = storage.wal.log.firstIndex() === 1;
  if (!isWhole) {
    lines.push(`recovered store from snapshot at index ${storage.machine.appliedIndex}`);
  }
  const to = `to cluster ${formatId(storage.clusterId)}${isWhole ? "" : " from store"}`;
  for (const { id, peerURLs } of cluster.members) {
    const local = isWhole && id === storage.memberId ? "local " : "";
    lines.push(`added ${local}member ${formatId(id)} [${peerURLs.join(" ")}] ${to}`);
  }
  const version = cluster.version.split(".").slice(0, 2).join(".");
  if (version !== "") {
    lines.push(
      isWhole
        ? `set the initial cluster version to ${version}`
        : `set the cluster version to ${version} from store`,
      `enabled capabilities for version ${version}`,
    );
  }
  return lines;
}
