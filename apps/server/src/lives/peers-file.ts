/**
 * What this member remembers of the others' data directories, on disk: see PeerLives in libs/raft. A
 * start that was seen is durable at once. What a member answers for changes with every write; it is
 * written every few seconds, without a sync: a crash of the process loses nothing of it, one of the
 * machine a few seconds.
 */
import type { Logger } from "@etcd2/observability";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeId, RememberedLife } from "@etcd2/raft";
import { syncPath } from "@etcd2/store";
import { messageOf } from "../base/message-of.ts";
import { StartError } from "../base/start-error.ts";

/** Name in the directory of the member. */
const PEERS_FILE = "peers";

type Entries = readonly (readonly [NodeId, RememberedLife])[];

export class PeersFile {
  readonly #memberDir: string;
  readonly #path: string;
  readonly #log: Logger;
  #hasWarned = false;

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
    try {
      const entries = Object.entries(JSON.parse(text) as Record<string, RememberedLife>);
      if (entries.every(([, life]) => isLife(life))) return entries;
      throw new Error("a member is missing something");
    } catch {
      this.#log.warning(`${this.#path} is damaged; the other members are met anew`);
      return [];
    }
  }

  /**
   * Replaces the file as a whole. A full disk is worth a warning: memory goes on without the file until
   * there is room.
   * @returns Whether it was written.
   * @throws StartError when the disk fails in another way: what is not remembered lets members in that
   * have forgotten what they promised.
   */
  write(entries: Entries, isDurable: boolean): boolean {
    const temporary = `${this.#path}.tmp`;
    try {
      const text = `${JSON.stringify(Object.fromEntries(entries))}\n`;
      writeFileSync(temporary, text, { mode: 0o600, flush: isDurable });
      renameSync(temporary, this.#path);
      if (isDurable) syncPath(this.#memberDir);
      this.#hasWarned = false;
      return true;
    } catch (error) {
      const text = `cannot write ${this.#path}: ${messageOf(error)}`;
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOSPC" && code !== "EDQUOT") throw new StartError(text, { cause: error });
      if (!this.#hasWarned) this.#log.warning(text);
      this.#hasWarned = true;
      return false;
    }
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
