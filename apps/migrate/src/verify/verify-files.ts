/**
 * Checks of files that an import would not need, since newer ones replace them: older snapshots and
 * older log files. Damage there is worth knowing before the newer ones are needed no more.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Source04, Source2 } from "../detect.ts";
import { isDamage } from "../errors.ts";
import { checkSnapshot04, listSnapshots04 } from "../etcd04/snapshot.ts";
import { listSegments } from "../etcd2/segments.ts";
import { checkSnapshot } from "../etcd2/snapshot.ts";
import { WalReader } from "../etcd2/wal.ts";
import type { Pacer } from "../pacer.ts";
import type { ProgressSink } from "../sources/source.ts";
import type { Finding } from "./finding.ts";
import { findingOfError } from "./finding.ts";

export async function checkSnapshots(
  source: Source04 | Source2,
  pacer: Pacer,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const path of snapshotPaths(source)) {
    try {
      if (source.kind === "etcd04") checkSnapshot04(path);
      else checkSnapshot(path);
    } catch (error) {
      if (!isDamage(error)) throw error;
      const remedy = "move the file away; an older snapshot and the log may make up for it";
      findings.push({ ...findingOfError(error), remedy });
    }
    await pacer.pause();
  }
  return findings;
}

function snapshotPaths(source: Source04 | Source2): readonly string[] {
  if (source.kind === "etcd04") {
    return source.snapshotDir === undefined ? [] : listSnapshots04(source.snapshotDir);
  }
  const { snapDir } = source;
  if (snapDir === undefined) return [];
  return readdirSync(snapDir)
    .filter((name) => name.endsWith(".snap"))
    .sort()
    .map((name) => join(snapDir, name));
}

/** Follows the checksum chain over every log file; undefined when it holds. */
export async function checkLogChain(
  source: Source2,
  pacer: Pacer,
  progress: ProgressSink,
): Promise<Finding | undefined> {
  const segments = listSegments(source.walDir, () => undefined);
  const total = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
  const reader = new WalReader(segments, { verify: true });
  try {
    while (reader.next() !== undefined) {
      if (!pacer.due()) continue;
      progress("check", reader.bytesRead, total);
      await pacer.pause();
    }
    return undefined;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return findingOfError(error);
  } finally {
    reader.close();
  }
}
