/** Reading a file that `snapshot save` wrote: all of it is checked before anything is said about it. */
import { createReadStream, statSync } from "node:fs";
import { crc32 } from "node:zlib";
import { type SnapshotInfo, verifySnapshot } from "@etcd2/store";

export interface SnapshotReport extends SnapshotInfo {
  /** CRC-32 of the whole file, eight hexadecimal digits. */
  readonly hash: string;
}

/** The bytes of the file. @throws Error in the words of the system when it cannot be read. */
export async function* fileChunks(
  path: string,
  seen: (chunk: Buffer) => void = () => undefined,
): AsyncGenerator<Buffer, void, undefined> {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new Error(`open ${path}: no such file or directory`);
  if (!stat.isFile()) throw new Error(`open ${path}: not a file`);
  for await (const chunk of createReadStream(path, { highWaterMark: 256 << 10 })) {
    seen(chunk as Buffer);
    yield chunk as Buffer;
  }
}

/** What the snapshot holds. @throws StoreError when it is truncated, altered or no snapshot. */
export async function readSnapshotFile(
  path: string,
  progress: (bytes: number) => void = () => undefined,
): Promise<SnapshotReport> {
  let checksum = 0;
  let bytes = 0;
  const chunks = fileChunks(path, (chunk) => {
    checksum = crc32(chunk, checksum);
    bytes += chunk.length;
    progress(bytes);
  });
  const info = await verifySnapshot(chunks);
  return { ...info, hash: checksum.toString(16).padStart(8, "0") };
}
