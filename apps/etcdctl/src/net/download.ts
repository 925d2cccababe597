/**
 * A stream saved to a file whole or not at all: written beside the target, synced, then renamed. A
 * failure leaves the target as it was and nothing beside it.
 */
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Synced so often, the file does not hold up the disk, which the server may share, all at once. */
const SYNC_BYTES = 4 << 20;

/** Told after each piece how many bytes have been written. */
export type Progress = (bytes: number) => void;

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Saves the stream; resolves to its length. `verify` reads along and refuses content that is not
 * what it should be; `check` may refuse the length. Both come before the rename.
 */
export async function saveStream(
  stream: AsyncIterable<Uint8Array>,
  path: string,
  verify: (chunks: AsyncIterable<Uint8Array>) => Promise<unknown>,
  check: (bytes: number) => void,
  progress: Progress,
): Promise<number> {
  const partPath = `${path}.part`;
  const file = await open(partPath, "w", 0o600);
  let bytes = 0;
  const written = async function* (): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of stream) {
      await file.writeFile(chunk);
      if ((bytes + chunk.length) % SYNC_BYTES < chunk.length) await file.datasync();
      bytes += chunk.length;
      progress(bytes);
      yield chunk;
    }
    check(bytes);
  };
  try {
    try {
      await verify(written());
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partPath, path);
  } catch (error) {
    await rm(partPath, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
  return bytes;
}
