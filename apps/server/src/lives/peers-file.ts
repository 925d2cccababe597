/**
 * What this member remembers of the others' data directories, on disk: see PeerLives in libs/raft. A
 * start that was seen is durable when write() returns. What a member answers for changes with every
 * write of a client; it is written every few seconds, off this thread, and lost for as long by a crash.
 *
 * The file is replaced as a whole, and only once what takes its place is synced: a loss of power leaves one or
 * the other. A checksum tells a damaged one, since a number that is wrong would turn a sound member away.
 */
import type { Logger } from "@etcd2/observability";
import { createHash } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { NodeId, RememberedLife } from "@etcd2/raft";
import { syncPath } from "@etcd2/store";
import { messageOf } from "../base/message-of.ts";
import { StartError } from "../base/start-error.ts";

/** Name in the directory of the member. */
const PEERS_FILE = "peers";

const OPTIONS = { mode: 0o600, flush: true };

type Entries = readonly (readonly [NodeId, RememberedLife])[];

export class PeersFile {
  readonly #memberDir: string;
  readonly #path: string;
  readonly #log: Logger;
  #hasWarned = false;
  /** Counts writes, so that one that was overtaken has no effect. */
  #writes = 0;

  constructor(memberDir: string, log: Logger) {
    this.#memberDir = memberDir;
    this.#path = join(memberDir, PEERS_FILE);
    this.#log = log;
  }

  /** Nothing when there is no file yet; a damaged one is worth a warning. */
  read(): Entries {
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw new StartError(`cannot read ${this.#path}: ${messageOf(error)}`, { cause: error });
    }
    const entries = parse(text);
    if (entries !== undefined) return entries;
    this.#log.warning(
      `${this.#path} is damaged: what was known of the other members is learned again from them`,
    );
    return [];
  }

  /**
   * Replaces the file before it returns. A full disk is worth a warning: memory goes on without the file
   * until there is room.
   * @returns Whether it was written.
   * @throws StartError when the disk fails in another way: what is not remembered lets members in that
   * have forgotten what they promised.
   */
  write(entries: Entries): boolean {
    this.#writes += 1;
    const temporary = `${this.#path}.tmp`;
    try {
      writeFileSync(temporary, format(entries), OPTIONS);
      this.#replace(temporary);
      return true;
    } catch (error) {
      this.#refuse(error);
      return false;
    }
  }

  /**
   * The same, without holding this thread for the sync. A write() that comes between wins.
   * @returns Whether these entries were written.
   * @throws StartError as write() does.
   */
  async writeLater(entries: Entries): Promise<boolean> {
    this.#writes += 1;
    const write = this.#writes;
    const temporary = `${this.#path}.next`;
    try {
      await writeFile(temporary, format(entries), OPTIONS);
      if (write !== this.#writes) return false;
      this.#replace(temporary);
      return true;
    } catch (error) {
      this.#refuse(error);
      return false;
    }
  }

  #replace(temporary: string): void {
    renameSync(temporary, this.#path);
    syncPath(this.#memberDir);
    this.#hasWarned = false;
  }

  /** @throws StartError unless the disk is full. */
  #refuse(error: unknown): void {
    const text = `cannot write ${this.#path}: ${messageOf(error)}`;
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOSPC" && code !== "EDQUOT") throw new StartError(text, { cause: error });
    if (!this.#hasWarned) this.#log.warning(text);
    this.#hasWarned = true;
  }
}

function checksumOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** The entries on one line, their checksum on the next. */
function format(entries: Entries): string {
  const text = JSON.stringify(Object.fromEntries(entries));
  return `${text}\n${checksumOf(text)}\n`;
}

/** Undefined when the file is damaged. */
function parse(text: string): Entries | undefined {
  const [line = "", checksum = "", ...rest] = text.split("\n");
  // Files of earlier versions end with the first line.
  if (checksum !== "" && (checksum !== checksumOf(line) || rest.join("") !== "")) return undefined;
  try {
    const entries = Object.entries(JSON.parse(line) as Record<string, RememberedLife>);
    return entries.every(([, life]) => isLife(life)) ? entries : undefined;
  } catch {
    return undefined;
  }
}

function isLife(value: RememberedLife): boolean {
  const { incarnation, session, starts, term, index } = value;
  return (
    typeof incarnation === "string" &&
    typeof session === "string" &&
    [starts, term, index].every((number) => Number.isSafeInteger(number))
  );
}
