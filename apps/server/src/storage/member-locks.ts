/**
 * Owns the locks that keep other processes out of a member's directories: one in the member directory,
 * which stands for everything in the data directory, and one in the directory of the log, which may
 * lie elsewhere and be named by two servers by mistake. They are taken before anything is written.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { DataDirLayout } from "@etcd2/member-dir";
import { LOCK_NAME, lockDirectory } from "@etcd2/raft";
import type { UndoDirectories } from "@etcd2/store";
import { messageOf } from "../base/message-of.ts";
import { StartError } from "../base/start-error.ts";
import { ensureWritable } from "./data-dir.ts";

interface Lock {
  readonly path: string;
  /** The lock file was made for this lock. */
  readonly isNew: boolean;
  readonly release: () => void;
}

function lock(directory: string): Lock {
  const path = join(directory, LOCK_NAME);
  const isNew = !existsSync(path);
  try {
    return { path, isNew, release: lockDirectory(directory) };
  } catch (error) {
    throw new StartError(messageOf(error), { cause: error });
  }
}

export class MemberLocks {
  readonly #member: Lock;
  readonly #wal: Lock | undefined;
  readonly #undoDirectories: UndoDirectories;

  private constructor(member: Lock, wal: Lock | undefined, undoDirectories: UndoDirectories) {
    this.#member = member;
    this.#wal = wal;
    this.#undoDirectories = undoDirectories;
  }

  /**
   * Makes a new member's directories and locks them.
   * @throws StartError when another process holds one of them, or they cannot be written to; nothing
   * new is left behind then.
   */
  static forNew(layout: DataDirLayout): MemberLocks {
    const undoDataDir = ensureWritable(layout.dataDir);
    let undo = undoDataDir;
    try {
      const undoInside = ensureWritable(layout.memberDir, layout.walDir);
      undo = () => {
        undoInside();
        undoDataDir();
      };
      return MemberLocks.#take(layout, undo);
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** Locks an existing member's directories; that of the log may be missing. @throws StartError */
  static forExisting(layout: DataDirLayout): MemberLocks {
    return MemberLocks.#take(layout, () => undefined);
  }

  static #take(layout: DataDirLayout, undo: UndoDirectories): MemberLocks {
    const member = lock(layout.memberDir);
    try {
      const wal = existsSync(layout.walDir) ? lock(layout.walDir) : undefined;
      return new MemberLocks(member, wal, undo);
    } catch (error) {
      if (member.isNew) rmSync(member.path, { force: true });
      member.release();
      throw error;
    }
  }

  /** For the log: releases the lock on its directory, if that was there to be locked. */
  get unlockWal(): (() => void) | undefined {
    return this.#wal?.release;
  }

  /** Releases what is still held. Idempotent. */
  release(): void {
    this.#wal?.release();
    this.#member.release();
  }

  /** Releases, and takes back what was made for it, as long as nothing else was written. */
  undo(): void {
    for (const held of [this.#wal, this.#member]) {
      // While it is held, so that nobody else can be using it.
      if (held?.isNew === true) rmSync(held.path, { force: true });
      held?.release();
    }
    this.#undoDirectories();
  }
}
