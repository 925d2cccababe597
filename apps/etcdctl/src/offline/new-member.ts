/**
 * The member directory of a new cluster around given data: the store with its membership replaced by
 * the planned one, and a log that begins where the store ends. Members of one plan that are made
 * from the same data are equal but for their own id, as if they had always been one cluster.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type ConfState, encodeConfState, Wal } from "@etcd2/raft/wal";
import {
  type Kv,
  MEMBERS_PATH,
  raftAttributes,
  REMOVED_PATH,
  shortMemberId,
  StateMachine,
  SteadyClock,
  StoreDirectory,
  type WriteCommand,
  writeCommand,
} from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import type { ClusterPlan } from "./cluster-plan.ts";

/** The row of the state machine's host space where the server keeps the membership. */
const META_CONF_STATE = "conf-state";

/** Nothing of the watch history is dropped here; the server keeps to its own limit. */
export const HISTORY_MAX = Number.MAX_SAFE_INTEGER;

export interface NewMemberPlaces {
  /** The folder "member" to be, existing. */
  readonly memberDir: string;
  readonly walDir: string;
}

/** Builds the member; `fill` puts a complete store into the empty kv. */
export async function buildMember(
  { memberDir, walDir }: NewMemberPlaces,
  plan: ClusterPlan,
  fill: (kv: Kv) => Promise<void>,
): Promise<void> {
  mkdirSync(memberDir, { recursive: true, mode: 0o700 });
  const directory = new StoreDirectory(join(memberDir, "store"));
  const path = directory.next();
  const kv = await RocksKv.open(path);
  let position: { readonly index: number; readonly term: number };
  try {
    await fill(kv);
    const clock = SteadyClock.open(kv);
    const machine = await StateMachine.open({ kv, clock, historyMax: HISTORY_MAX });
    position = replaceMembership(machine, plan);
    await machine.close();
  } finally {
    await kv.close();
  }
  directory.switchTo(path);
  await writeLog(walDir, plan, position);
}

/** One more entry's worth of state: the members of the plan, and nobody removed. */
function replaceMembership(
  machine: StateMachine,
  plan: ClusterPlan,
): { index: number; term: number } {
  const writes: WriteCommand[] = [MEMBERS_PATH, REMOVED_PATH]
    .filter((path) => machine.reader.peek(path) !== undefined)
    .map((path) => writeCommand({ action: "delete", path, dir: true, recursive: true }));
  for (const { id, peerURLs, name } of plan.members) {
    const path = `${MEMBERS_PATH}/${shortMemberId(id)}/raftAttributes`;
    const value = raftAttributes({ peerURLs, configuredName: name }, false);
    writes.push(writeCommand({ action: "create", path, value }));
  }
  const index = machine.appliedIndex + 1;
  const term = Math.max(1, machine.appliedTerm);
  machine.apply(
    [{ index, term, command: { action: "group", writes } }],
    new Map([[META_CONF_STATE, encodeConfState(confStateOf(plan))]]),
  );
  machine.flushDurable();
  return { index, term };
}

async function writeLog(
  walDir: string,
  plan: ClusterPlan,
  { index, term }: { readonly index: number; readonly term: number },
): Promise<void> {
  const metadata = { memberId: plan.self.id, clusterId: plan.clusterId };
  const wal = await Wal.create(walDir, { metadata });
  try {
    const snapshot = { index, term, confState: confStateOf(plan) };
    await wal.installSnapshot(snapshot, { term, vote: "", commit: index });
  } finally {
    await wal.close();
  }
}

function confStateOf({ members }: ClusterPlan): ConfState {
  const voters = members.map(({ id }) => id);
  return { voters, learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
}
