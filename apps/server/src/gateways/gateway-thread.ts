/**
 * What one thread that serves clients has asked for: its writes and confirmations on their way, and the
 * answers that go back, all of one turn in one message.
 */
import { decodeCommand, type EtcdError, OutcomeWriter, type WriteCommand } from "@etcd2/store";
import type { Committed } from "@etcd2/api-v2";
import { messageOf } from "../base/message-of.ts";
import type { EtcdServer } from "../member/etcd-server.ts";
import { PasswordError } from "../passwords/passwords.ts";
import type { PasswordJob } from "../passwords/password-worker.ts";
import type { AnswerMessage, ToGateway, WorkMessage } from "./messages.ts";
import { eachBody } from "./thread-server.ts";

/** What a thread's requests are carried out with. */
export interface GatewayThreadParts {
  readonly server: () => EtcdServer | undefined;
  readonly post: (message: ToGateway) => void;
  /** Whether it has watches open. */
  readonly isWatching: () => boolean;
}

export class GatewayThread {
  readonly #parts: GatewayThreadParts;
  readonly #outcomes = new OutcomeWriter();
  #reads: AnswerMessage["reads"][number][] = [];
  #hasNews = false;
  #isScheduled = false;

  constructor(parts: GatewayThreadParts) {
    this.#parts = parts;
  }

  /** Carries out the requests of one turn. */
  work({ firstWrite, writes, read }: WorkMessage): void {
    const server = this.#parts.server();
    if (server === undefined) return;
    if (writes !== undefined) {
      let write = firstWrite;
      eachBody(writes, (body) => {
        this.#propose(server, write, body);
        write += 1;
      });
    }
    if (read === 0) return;
    server.readIndex((error) => {
      this.#reads.push({ read, error: error?.cause });
      this.#schedule();
    });
  }

  /** The store has gone on. */
  published(): void {
    if (this.#hasNews || !this.#parts.isWatching()) return;
    this.#hasNews = true;
    this.#schedule();
  }

  /** Hashes or checks a password for the thread. */
  async password(id: number, job: PasswordJob): Promise<void> {
    const { server, post } = this.#parts;
    const passwords = server()?.passwords;
    try {
      if (passwords === undefined) throw new PasswordError("stopped", "the server is starting");
      const value =
        job.kind === "hash"
          ? await passwords.hash(job.password)
          : await passwords.verify(job.password, job.hash);
      post({ kind: "password", id, result: { ok: true, value }, code: undefined });
    } catch (error) {
      const code = error instanceof PasswordError ? error.code : undefined;
      post({ kind: "password", id, result: { ok: false, error: messageOf(error) }, code });
    }
  }

  #propose(server: EtcdServer, write: number, body: Uint8Array): void {
    // The thread encodes nothing but writes of clients.
    const command = decodeCommand(body).command as WriteCommand;
    const done = (outcome: Committed | EtcdError): void => {
      this.#outcomes.add(write, outcome);
      this.#schedule();
    };
    server.propose(command, done, undefined, body);
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(this.#flush);
  }

  readonly #flush = (): void => {
    this.#isScheduled = false;
    const outcomes = this.#outcomes.isEmpty ? undefined : this.#outcomes.take();
    const [reads, news] = [this.#reads, this.#hasNews];
    this.#reads = [];
    this.#hasNews = false;
    this.#parts.post({ kind: "answers", outcomes, reads, news });
  };
}
