/** `snapshot restore`: the data directory of one member of a new cluster, from a snapshot file. */
import { layoutOf } from "@etcd2/member-dir";
import { importSnapshot } from "@etcd2/store";
import { type ClusterPlan, planCluster, type PlanOptions } from "./cluster-plan.ts";
import { isVacant, NewDirectory } from "./new-directory.ts";
import { buildMember } from "./new-member.ts";
import { fileChunks, readSnapshotFile, type SnapshotReport } from "./snapshot-file.ts";

export interface RestoreOptions extends Omit<PlanOptions, "origin"> {
  readonly file: string;
  readonly dataDir: string;
}

export interface Restored {
  readonly snapshot: SnapshotReport;
  readonly plan: ClusterPlan;
}

/**
 * Restores. Keys with a TTL have the life left that they had when the snapshot was taken.
 * @throws Error when the snapshot is damaged, the plan is wrong or the place is taken; nothing is
 * left behind then.
 */
export async function restoreSnapshot(options: RestoreOptions): Promise<Restored> {
  const { file, dataDir } = options;
  if (!isVacant(dataDir)) throw new Error(`${dataDir} exists and is not empty`);
  const snapshot = await readSnapshotFile(file);
  const plan = planCluster({ ...options, origin: snapshot.hash });
  const target = new NewDirectory(dataDir);
  try {
    await buildMember(layoutOf(target.path, undefined), plan, async (kv) => {
      await importSnapshot(kv, fileChunks(file));
    });
    target.publish();
  } finally {
    target.dispose();
  }
  return { snapshot, plan };
}
