/** What is said when a member's data must not be used any more: what is wrong, and what to do. */
import { formatId } from "@etcd2/member-dir";
import type { CommittedEntry, NodeId } from "@etcd2/raft";

function replacing(id: NodeId, name: string, peerUrls: readonly string[]): string {
  return (
    `replace this member: run "etcdctl member remove ${formatId(id)}", then "etcdctl member add ${name} ${peerUrls.join(",")}", ` +
    `and start it with an empty data directory and --initial-cluster-state existing`
  );
}

/** The others turn this member away. */
export function disownedText(
  reason: string,
  self: { readonly id: NodeId; readonly name: string; readonly peerUrls: readonly string[] },
): string {
  return (
    `refused by the cluster: ${reason}. It has forgotten what it had promised, and must not take part any more. ` +
    `If its latest data directory is there still, start with that; otherwise ${replacing(self.id, self.name, self.peerUrls)}`
  );
}

/** Two committed logs differ. */
export function divergedText(
  { index, term }: CommittedEntry,
  other: { readonly id: NodeId; readonly term: number },
  self: { readonly id: NodeId; readonly name: string; readonly peerUrls: readonly string[] },
): string {
  return (
    `the data of this member contradicts the cluster's: entry ${index} was committed here in term ${term}, ` +
    `by member ${formatId(other.id)} in term ${other.term}. This member serves nothing any more. ` +
    `Keep a copy of its data directory, it may hold writes that the others have lost; then ${replacing(self.id, self.name, self.peerUrls)}`
  );
}
