/**
 * The file system of this machine behind the write-ahead log's port. Owns errno-level details:
 * modes, partial writes, how a directory is synced. Knows nothing of segments and records.
 */
import {
  close,
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  open,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlink,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";
import { errorCode } from "./file-system.ts";
import type { FileHandle, FileSystem, OpenMode, SlowOperation } from "./file-system.ts";
import { lockDirectory } from "./lock.ts";

const fdatasyncOnPool = promisify(fdatasync);
const fsyncOnPool = promisify(fsync);
const openOnPool = promisify(open);
const closeOnPool = promisify(close);
const unlinkOnPool = promisify(unlink);

const FLAGS: Readonly<Record<OpenMode, string>> = { read: "r", readWrite: "r+", create: "w+" };
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** The real file system. */
export const nodeFileSystem: FileSystem = {
  makeDirectory(path: string): void {
    const target = resolve(path);
    const first = mkdirSync(target, { recursive: true, mode: DIRECTORY_MODE });
    if (first === undefined) return;
    // Each new name is durable once the directory that holds it is synced.
    for (let created = target; ; created = dirname(created)) {
      syncDirectory(dirname(created));
      if (created === first || created === dirname(created)) return;
    }
  },

  readDirectory(path: string): readonly string[] {
    try {
      return readdirSync(path);
    } catch (error) {
      if (errorCode(error) === "ENOENT") return [];
      throw error;
    }
  },

  open: (path: string, mode: OpenMode): FileHandle => openSync(path, FLAGS[mode], FILE_MODE),

  close(file: FileHandle): void {
    closeSync(file);
  },

  size: (file: FileHandle): number => fstatSync(file).size,

  read(file: FileHandle, buffer: Uint8Array, position: number): number {
    let done = 0;
    while (done < buffer.length) {
      const bytes = readSync(file, buffer, done, buffer.length - done, position + done);
      if (bytes === 0) break;
      done += bytes;
    }
    return done;
  },

  write(file: FileHandle, bytes: Uint8Array, position: number): void {
    let done = 0;
    while (done < bytes.length) {
      done += writeSync(file, bytes, done, bytes.length - done, position + done);
    }
  },

  truncate(file: FileHandle, size: number): void {
    ftruncateSync(file, size);
  },

  rename(from: string, to: string): void {
    renameSync(from, to);
  },

  perform(operation: SlowOperation): void {
    switch (operation.kind) {
      case "syncData":
        fdatasyncSync(operation.file);
        return;
      case "syncFile":
        fsyncSync(operation.file);
        return;
      case "syncDirectory":
        syncDirectory(operation.path);
        return;
      case "remove":
        try {
          unlinkSync(operation.path);
        } catch (error) {
          if (errorCode(error) !== "ENOENT") throw error;
        }
        return;
    }
  },

  async performOnPool(operation: SlowOperation): Promise<void> {
    switch (operation.kind) {
      case "syncData":
        return fdatasyncOnPool(operation.file);
      case "syncFile":
        return fsyncOnPool(operation.file);
      case "syncDirectory": {
        const directory = await openOnPool(operation.path, "r");
        try {
          await fsyncOnPool(directory);
        } finally {
          await closeOnPool(directory);
        }
        return;
      }
      case "remove":
        try {
          await unlinkOnPool(operation.path);
        } catch (error) {
          if (errorCode(error) !== "ENOENT") throw error;
        }
        return;
    }
  },

  lock: lockDirectory,
};

function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
