/**
 * How a member comes to life: as one of a new cluster, as an addition to a running one, from its
 * own disk, or forced to go on alone. Everything is decided before anything is written. Produces
 * opened storage with the log entries that found the cluster; starts nothing.
 */
import type { Logger } from "@etcd2/observability";
import type { MemberRecord } from "@etcd2/member-dir";
import { DEFAULT_PEER_URLS, encodeMemberChange, formatId } from "@etcd2/member-dir";
import type { Entry, HardState, NodeId } from "@etcd2/raft";
import { encodeConfChange } from "@etcd2/raft";
import type { MemberStorage } from "../storage/member-storage.ts";
import { StartError } from "../base/start-error.ts";

/** What a member must know before it can have storage. */
export interface Identity {
  readonly memberId: NodeId;
  readonly clusterId: NodeId;
  /** Founding members, written to the log of a new cluster; empty when joining. */
  readonly founders: readonly MemberRecord[];
  /** When joining: the members of the cluster, to be reached before the log names them. */
  readonly hosts: readonly MemberRecord[];
}

/** What a member remembers of its bootstrap until its log tells it more. */
export interface BootstrapRecord extends Pick<Identity, "founders" | "hosts"> {
  /** Of the data directory; absent where an earlier version made it. */
  readonly incarnation?: string;
}

/** What was recorded when the storage was made. */
export function bootstrapRecord(storage: MemberStorage): BootstrapRecord {
  const document = storage.bootstrapDocument;
  if (document === undefined) return { founders: [], hosts: [] };
  return JSON.parse(document) as BootstrapRecord;
}

/** Identity of a member of a new cluster. */
export function foundingIdentity(
  name: string,
  cluster: ReadonlyMap<string, readonly string[]>,
  ids: {
    memberId: (peerURLs: readonly string[]) => NodeId;
    clusterId: (memberIds: readonly NodeId[]) => NodeId;
  },
): Identity {
  const founders: MemberRecord[] = [];
  for (const [memberName, peerURLs] of cluster) {
    founders.push({
      id: ids.memberId(peerURLs),
      peerURLs: [...peerURLs].sort(),
      // Published by the member itself, once it runs.
      name: "",
      configuredName: memberName,
      clientURLs: [],
      isLearner: false,
    });
  }
  founders.sort((a, b) => (a.id < b.id ? -1 : 1));
  const own = founders.find((member) => member.configuredName === name);
  if (own === undefined) {
    throw new StartError(`couldn't find local name "${name}" in the initial cluster configuration`);
  }
  const memberIds = founders.map((member) => member.id);
  return { memberId: own.id, clusterId: ids.clusterId(memberIds), founders, hosts: [] };
}

/** The log entries every founder writes alike: one conf change per member, at term 1. */
function foundingEntries(founders: readonly MemberRecord[]): readonly Entry[] {
  return founders.map((member, at) => ({
    term: 1,
    index: at + 1,
    type: "confChange",
    data: encodeConfChange({
      transition: "auto",
      changes: [{ type: "addVoter", nodeId: member.id }],
      context: encodeMemberChange({ requestId: { session: 0, sequence: 0 }, member }),
    }),
  }));
}

/** Writes the founding entries unless the log has them; also after a crash half way. */
export async function writeFoundingEntries(storage: MemberStorage): Promise<HardState> {
  const { log } = storage.wal;
  if (log.lastIndex() > 0 || storage.machine.appliedIndex > 0) return storage.hardState;
  const { founders } = bootstrapRecord(storage);
  if (founders.length === 0) return storage.hardState;
  const entries = foundingEntries(founders);
  const hardState = { term: 1, vote: "", commit: entries.length };
  await storage.wal.save(entries, hardState, true);
  return hardState;
}

/**
 * --force-new-cluster: appends and commits conf changes that leave this member alone. Entries that
 * were not known committed are dropped, unless this member was alone before: then they may have
 * been acknowledged.
 */
export async function forceNewCluster(
  storage: MemberStorage,
  hardState: HardState,
  members: readonly MemberRecord[],
  log: Logger,
): Promise<HardState> {
  const { wal, memberId, clusterId } = storage;
  const wasAlone = members.length === 1 && members[0]?.id === memberId;
  const last = wal.log.lastIndex();
  const commit = wasAlone ? last : hardState.commit;
  if (commit < last) log.info(`discarding ${last - commit} uncommitted WAL entries`);
  const changes: { type: "remove" | "addVoter"; member: MemberRecord }[] = members
    .filter((member) => member.id !== memberId)
    .map((member) => ({ type: "remove", member }));
  if (!members.some((member) => member.id === memberId)) {
    const member = {
      id: memberId,
      peerURLs: DEFAULT_PEER_URLS,
      name: "",
      clientURLs: [],
      isLearner: false,
    };
    changes.unshift({ type: "addVoter", member });
  }
  const entries = changes.map(({ type, member }, at): Entry => ({
    term: hardState.term,
    index: commit + at + 1,
    type: "confChange",
    data: encodeConfChange({
      transition: "auto",
      changes: [{ type, nodeId: member.id }],
      context: encodeMemberChange({ requestId: { session: 0, sequence: 0 }, member }),
    }),
  }));
  const forced = { term: hardState.term, vote: "", commit: commit + entries.length };
  // An overwriting append drops the uncommitted rest of the log; with nothing to append a no-op
  // entry does it.
  if (entries.length === 0 && commit < last) {
    const noop: Entry = {
      term: hardState.term,
      index: commit + 1,
      type: "normal",
      data: new Uint8Array(),
    };
    entries.push(noop);
    forced.commit += 1;
  }
  await wal.save(entries, forced, true);
  log.info(
    `forcing restart of member ${formatId(memberId)} in cluster ${formatId(clusterId)} at commit index ${forced.commit}`,
  );
  return forced;
}
