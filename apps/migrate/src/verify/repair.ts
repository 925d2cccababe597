/**
 * Cuts what a crash left at the end of an old log, after making a copy beside it. The only part of
 * this program that changes a source, and only where the damage is of that kind.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync } from "node:fs";
import type { DetectedSource, Source04, Source2 } from "../detect.ts";
import { detectSource } from "../detect.ts";
import { MigrateError } from "../errors.ts";
import { Log04Reader } from "../etcd04/log.ts";
import { listSegments } from "../etcd2/segments.ts";
import { WalReader } from "../etcd2/wal.ts";
import { FileCursor } from "../io/file-cursor.ts";
import { holdSource } from "../locks.ts";
import type { TailDamage } from "../tail.ts";
import { copyAside } from "./copy-aside.ts";
import { repairOwn } from "./repair-own.ts";
import type { Repair } from "./repair-result.ts";

/** @throws MigrateError when the damage is of another kind; nothing is changed then. */
export async function repairDirectory(dataDir: string, walDir?: string): Promise<Repair> {
  const source = detectSource(dataDir, { walDir, notice: () => undefined });
  const release = holdSource(source, "repair");
  try {
    if (source.kind === "own") return await repairOwn(source);
    const cut = findTail(source);
    if (cut === undefined) return { cut, copies: [] };
    return { cut, copies: [cutAt(cut)] };
  } finally {
    release();
  }
}

function findTail(source: Exclude<DetectedSource, { kind: "own" }>): TailDamage | undefined {
  return source.kind === "etcd04" ? findTail04(source) : findTail2(source);
}

function findTail04(source: Source04): TailDamage | undefined {
  const cursor = new FileCursor(source.logPath);
  try {
    const reader = new Log04Reader(cursor);
    while (reader.next() !== undefined);
    return reader.tail;
  } finally {
    cursor.close();
  }
}

function findTail2(source: Source2): TailDamage | undefined {
  const segments = listSegments(source.walDir, () => undefined);
  if (segments.length === 0) {
    throw new MigrateError("missing", "there is no log file here", { file: source.walDir });
  }
  const reader = new WalReader(segments, { verify: true });
  try {
    while (reader.next() !== undefined);
    return reader.tail;
  } finally {
    reader.close();
  }
}

/** Copies the file, then cuts it. @returns the copy's name. */
function cutAt(cut: TailDamage): string {
  const copy = copyAside(cut.file);
  const fd = openSync(cut.file, "r+");
  try {
    ftruncateSync(fd, cut.offset);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return copy;
}
