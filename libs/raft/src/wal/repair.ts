/**
 * Cuts a damaged log off before the damage, on the explicit order of an operator: the way out for
 * a member that has neither peers nor a backup. Opening a log repairs torn tails by itself and
 * never does this, because here acknowledged writes are lost.
 */
import type { Index } from "../core/types.ts";
import { FatalError } from "../errors.ts";
import { runInline } from "./file-system.ts";
import type { FileSystem, Steps } from "./file-system.ts";
import { recover, selectSegments } from "./log-reader.ts";
import type { WalDamage } from "./log-reader.ts";
import { nodeFileSystem } from "./node-file-system.ts";
import { readWal } from "./read-wal.ts";
import { copyFile } from "./segment-files.ts";
import { HEAD_OFFSET, listSegments, pathIn } from "./segment.ts";
import type { SegmentName } from "./segment.ts";

/** What was done. */
export interface WalRepair {
  readonly damage: WalDamage;
  /** Files as they were, kept beside the log. */
  readonly kept: readonly string[];
  /** Last entry that is left. */
  readonly lastIndex: Index;
}

/**
 * Cuts the log in a directory off before the first damage and sets later segments aside. The log of
 * a member that runs cannot be repaired.
 * @returns what was done; undefined when the log is undamaged.
 * @throws FatalError when what comes before the damage is no log, or the directory is in use.
 */
export function repairWal(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): WalRepair | undefined {
  const { log } = selectSegments(listSegments(fileSystem, directory));
  if (log.length === 0) throw new FatalError(`repair wal error: there is no log in ${directory}`);
  const unlock = fileSystem.lock(directory);
  try {
    const damage = findDamage(directory, fileSystem);
    if (damage === undefined) return undefined;
    const kept = runInline(fileSystem, cutSteps(fileSystem, directory, log, damage));
    const lastIndex = recover(fileSystem, directory).log.lastIndex();
    return { damage, kept, lastIndex };
  } finally {
    unlock();
  }
}

function findDamage(directory: string, fileSystem: FileSystem): WalDamage | undefined {
  const reading = readWal(directory, fileSystem);
  let damage: WalDamage | undefined;
  for (;;) {
    const step = reading.next();
    if (step.done === true) {
      if (damage !== undefined && step.value === undefined) {
        throw new FatalError(
          `repair wal error: what comes before the damage in ${damage.file} at offset ` +
            `${damage.offset} is not a log by itself: ${damage.problem}`,
        );
      }
      return damage;
    }
    if (step.value.kind === "damage") damage = step.value.damage;
  }
}

/** Later segments go first, newest first, so that a crash leaves the same damage to be found. */
function* cutSteps(
  fileSystem: FileSystem,
  directory: string,
  log: readonly SegmentName[],
  damage: WalDamage,
): Steps<readonly string[]> {
  const kept: string[] = [];
  const at = log.findIndex((segment) => segment.file === damage.file);
  // A segment whose head is damaged has nothing to be kept in the log.
  const keepsHead = damage.batchOffset > HEAD_OFFSET;
  for (const segment of log.slice(keepsHead ? at + 1 : at).reverse()) {
    const path = pathIn(directory, segment.file);
    fileSystem.rename(path, `${path}.broken`);
    yield { kind: "syncDirectory", path: directory };
    kept.push(`${path}.broken`);
  }
  if (!keepsHead) return kept;
  const path = pathIn(directory, damage.file);
  const file = fileSystem.open(path, "readWrite");
  try {
    const size = fileSystem.size(file);
    yield* copyFile(fileSystem, file, `${path}.broken`, size);
    kept.push(`${path}.broken`);
    fileSystem.truncate(file, damage.batchOffset);
    yield { kind: "syncFile", file };
  } finally {
    fileSystem.close(file);
  }
  return kept;
}
