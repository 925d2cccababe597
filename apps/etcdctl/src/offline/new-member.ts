/**
 * The member directory of a new cluster around given data: the store with its membership replaced by
 * the planned one, and a log that begins where the store ends. Members of one plan that are made
 * from the same data are equal but for their own id, as if they had always been one cluster.
 */
import { join } from "node:path";
import {
  formatId,
  MEMBERS_PATH,
  NewStore,
  raftAttributes,
  REMOVED_PATH,
  simpleConfState,
  writeLogStart,
} from "@etcd2/member-dir";
import {
  type AppliedEntry,
  type Kv,
  StateMachine,
  SteadyClock,
  type WriteCommand,
  writeCommand,
} from "@etcd2/store";
import type { ClusterPlan } from "./cluster-plan.ts";

/** Nothing of the watch history is dropped here; the server keeps to its own limit. */
export const HISTORY_MAX = Number.MAX_SAFE_INTEGER;

export interface NewMemberPlaces {
  /** The folder "member" to be. */
  readonly memberDir: string;
  readonly walDir: string;
}

/** Builds the member; `fill` puts a complete store into the empty kv. */
export async function buildMember(
  { memberDir, walDir }: NewMemberPlaces,
  plan: ClusterPlan,
  fill: (kv: Kv) => Promise<void>,
): Promise<void> {
  const confState = simpleConfState(plan.members.map(({ id }) => id));
  const store = await NewStore.create(join(memberDir, "store"));
  let last: AppliedEntry;
  try {
    await fill(store.kv);
    const clock = SteadyClock.open(store.kv);
    const machine = await StateMachine.open({ kv: store.kv, clock, historyMax: HISTORY_MAX });
    last = replaceMembership(machine, plan);
    await store.finish(machine, confState, [last]);
  } finally {
    await store.kv.close();
  }
  const { index, term } = last;
  const { clusterId, self } = plan;
  await writeLogStart(walDir, { memberId: self.id, clusterId, index, term, confState });
}

/** One more entry than the data had: the members of the plan, and nobody removed. */
function replaceMembership(machine: StateMachine, plan: ClusterPlan): AppliedEntry {
  const writes: WriteCommand[] = [MEMBERS_PATH, REMOVED_PATH]
    .filter((path) => machine.reader.peek(path) !== undefined)
    .map((path) => writeCommand({ action: "delete", path, dir: true, recursive: true }));
  for (const { id, peerURLs, name } of plan.members) {
    const path = `${MEMBERS_PATH}/${formatId(id)}/raftAttributes`;
    const value = raftAttributes({ peerURLs, configuredName: name }, false);
    writes.push(writeCommand({ action: "create", path, value }));
  }
  const index = machine.appliedIndex + 1;
  const term = Math.max(1, machine.appliedTerm);
  return { index, term, command: { action: "group", writes } };
}
