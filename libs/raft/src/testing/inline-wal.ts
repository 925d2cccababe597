/**
 * The write-ahead log driven on this thread, from call to return: for the simulator, which must decide
 * between any two operations of the disk, and for tests that would otherwise wait at every step.
 */
import type { Index, SnapshotMetadata } from "../core/model/types.ts";
import { createParts, openParts, prepareInline } from "../wal/open-wal.ts";
import { inline } from "../wal/wal.ts";
import type { CreateWalOptions, OpenedWal, Wal, WalOptions } from "../wal/wal.ts";

/** As Wal.create(). @throws FatalError as it does. */
export function createInline(directory: string, options: CreateWalOptions): Wal {
  return inline.created(prepareInline(options, createParts(directory, options)));
}

/** As Wal.open(). @throws FatalError as it does. */
export function openInline(directory: string, options: WalOptions = {}): OpenedWal {
  return inline.opened(prepareInline(options, openParts(directory, options)));
}

/** As compact(); the segments that are not needed any more are gone when it returns. */
export function compactInline(wal: Wal, snapshot: SnapshotMetadata, keepFrom: Index): void {
  inline.compact(wal, snapshot, keepFrom);
}

/** As close(); no other work may be under way. */
export function closeInline(wal: Wal): void {
  inline.close(wal);
}
