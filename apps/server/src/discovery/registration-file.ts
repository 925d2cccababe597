/**
 * The note a member keeps in its data directory between registering with a discovery service and
 * having storage of its own. Its presence proves that this registration never led to a member that
 * ran, so that a start after a crash may take the registration up again. See
 * docs/decisions/0006-resumable-discovery.md. Knows nothing of the service.
 */
import { readFileSync, renameSync, rmSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeDirectories, syncPath } from "@etcd2/store";
import { StartError } from "../base/start-error.ts";
import { messageOf } from "../base/message-of.ts";

/** What was registered, and where. */
export interface Registration {
  readonly url: string;
  /** As in the key of the registration: without leading zeros. */
  readonly id: string;
  /** `name=url,name=url`. */
  readonly value: string;
}

/** The name in the data directory. */
const REGISTRATION_FILE = "registration";

export class RegistrationFile {
  readonly #dataDir: string;
  readonly #path: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    this.#path = join(dataDir, REGISTRATION_FILE);
  }

  /** Whether the note is about exactly this registration. */
  matches(registration: Registration): boolean {
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch {
      return false;
    }
    return text === format(registration);
  }

  /** Durable when it returns. @throws StartError */
  write(registration: Registration): void {
    const draft = `${this.#path}.tmp`;
    try {
      makeDirectories(this.#dataDir);
      writeFileSync(draft, format(registration), { mode: 0o600, flush: true });
      renameSync(draft, this.#path);
      syncPath(this.#dataDir);
    } catch (error) {
      const reason = messageOf(error);
      throw new StartError(`cannot access data directory: ${reason}`, { cause: error });
    }
  }

  /** Gone for good when it returns; nothing to do is fine. */
  remove(): void {
    try {
      rmSync(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw error;
    }
    syncPath(this.#dataDir);
  }
}

function format({ url, id, value }: Registration): string {
  return `${JSON.stringify({ url, id, value })}\n`;
}
