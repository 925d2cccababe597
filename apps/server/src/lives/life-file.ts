/**
 * What makes a data directory known to the other members: an incarnation, drawn once, and a count of
 * the starts on it. Also notes what is still open about the directory: that it founds a cluster and
 * has not met the other founders, that it is a copy, or that its data contradicts the cluster's.
 *
 * A copy shows by the file itself: it names the inode and the time of birth of the file it was
 * written to, and a copy of it has others. Both must differ: there are file systems that number
 * files anew, and some that do not know when a file was made.
 *
 * A directory that was imported, restored, or written by an earlier version has no such file: it
 * gets one at its first start, with an incarnation of its own.
 */
import { randomBytes } from "node:crypto";
import { closeSync, fstatSync, fsyncSync, openSync, readFileSync, renameSync } from "node:fs";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { syncPath } from "@etcd2/store";
import { messageOf } from "../base/message-of.ts";
import { StartError } from "../base/start-error.ts";

/** Name in the directory of the member. */
const LIFE_FILE = "life";

/** All records have this length, so that one can take another's place on a full disk. */
const RECORD_BYTES = 1024;

/** What must be settled before the member takes part in elections; see admission.ts. */
export type Doubt = "none" | "founding" | "copy";

interface LifeRecord {
  readonly incarnation: string;
  readonly starts: number;
  readonly doubt: Doubt;
  /** Why this data must not be served any more; "" when it may. */
  readonly diverged: string;
  readonly inode: string;
  readonly birth: string;
}

type Facts = Omit<LifeRecord, "inode" | "birth">;

/** A random id of 16 hexadecimal digits. */
export function drawId(): string {
  return randomBytes(8).toString("hex");
}

export class LifeFile {
  readonly #path: string;
  /** Of this process. */
  readonly session = drawId();
  #facts: Facts;

  private constructor(path: string, facts: Facts) {
    this.#path = path;
    this.#facts = facts;
  }

  /** Begins the first life of a new directory. @throws StartError */
  static create(memberDir: string, facts: Pick<Facts, "incarnation" | "doubt">): LifeFile {
    const file = new LifeFile(join(memberDir, LIFE_FILE), { ...facts, starts: 1, diverged: "" });
    file.#save();
    return file;
  }

  /**
   * Counts a start. Without the file there is no doubt about the directory, unless `unfinished`
   * says that the file could not be written when the directory was made.
   * @throws StartError when the file is damaged, or the data diverged.
   */
  static open(
    memberDir: string,
    unfinished: Pick<Facts, "incarnation" | "doubt"> | undefined,
  ): LifeFile {
    const path = join(memberDir, LIFE_FILE);
    const record = read(path);
    if (record === undefined) {
      return LifeFile.create(memberDir, unfinished ?? { incarnation: drawId(), doubt: "none" });
    }
    if (record.diverged !== "") throw new StartError(record.diverged);
    const { incarnation, starts, doubt, diverged } = record;
    const isCopy = doubt === "none" && isCopied(path, record);
    const file = new LifeFile(path, {
      ...{ incarnation, starts: starts + 1, diverged },
      doubt: isCopy ? "copy" : doubt,
    });
    file.#save();
    return file;
  }

  get incarnation(): string {
    return this.#facts.incarnation;
  }

  get starts(): number {
    return this.#facts.starts;
  }

  get doubt(): Doubt {
    return this.#facts.doubt;
  }

  /** The doubt is over, for good. */
  settle(): void {
    if (this.#facts.doubt === "none") return;
    this.#facts = { ...this.#facts, doubt: "none" };
    this.#save();
  }

  /** The data must not be served any more: later starts are refused with this reason. */
  condemn(reason: string): void {
    this.#facts = { ...this.#facts, diverged: reason };
    this.#save();
  }

  #save(): void {
    const temporary = `${this.#path}.tmp`;
    try {
      this.#write(temporary, "w");
      renameSync(temporary, this.#path);
      syncPath(join(this.#path, ".."));
    } catch (error) {
      this.#saveInPlace(error);
    }
  }

  /** A full disk has room for what is there already: one block, written as a whole. */
  #saveInPlace(cause: unknown): void {
    try {
      const { code } = cause as NodeJS.ErrnoException;
      if (code !== "ENOSPC" && code !== "EDQUOT") throw cause;
      rmSync(`${this.#path}.tmp`, { force: true });
      this.#write(this.#path, "r+");
    } catch (error) {
      throw new StartError(`cannot write ${this.#path}: ${messageOf(error)}`, { cause: error });
    }
  }

  #write(path: string, flags: "w" | "r+"): void {
    const file = openSync(path, flags, 0o600);
    try {
      const { ino, birthtimeNs } = fstatSync(file, { bigint: true });
      const record: LifeRecord = {
        ...this.#facts,
        diverged: this.#facts.diverged.slice(0, RECORD_BYTES / 2),
        inode: String(ino),
        birth: String(birthtimeNs),
      };
      // Goes on after a write that took a part only, as one on a disk about to be full may.
      writeFileSync(file, `${JSON.stringify(record).padEnd(RECORD_BYTES - 1)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }
}

function read(path: string): LifeRecord | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new StartError(`cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
  const record = parse(text);
  if (record !== undefined) return record;
  throw new StartError(
    `${path} is damaged, and with it what the other members know this data directory by: ` +
      "replace this member, or restore the file",
  );
}

function parse(text: string): LifeRecord | undefined {
  try {
    const value = JSON.parse(text) as Partial<LifeRecord>;
    const { incarnation, starts, doubt, diverged, inode, birth } = value;
    const isWhole =
      /^[0-9a-f]{16}$/.test(String(incarnation)) &&
      Number.isSafeInteger(starts) &&
      (doubt === "none" || doubt === "founding" || doubt === "copy") &&
      [diverged, inode, birth].every((text) => typeof text === "string");
    return isWhole ? (value as LifeRecord) : undefined;
  } catch {
    return undefined;
  }
}

function isCopied(path: string, { inode, birth }: LifeRecord): boolean {
  const { ino, birthtimeNs } = statSync(path, { bigint: true });
  return String(ino) !== inode && String(birthtimeNs) !== birth;
}
