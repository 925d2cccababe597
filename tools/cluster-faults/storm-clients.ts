/**
 * What a storm's clients see beside their writes: watchers that go on at `waitIndex` from one member
 * to the next, and keys with a TTL whose end is timed. Both record; the verdict is storm.ts's.
 */
import { Agent } from "node:http";
import { isWritten } from "./cluster.ts";
import { keysJson, NoAnswer, send } from "./http.ts";
import { pause } from "@etcd2/test-support";

type Urls = () => readonly string[];

/** A recursive watch of one directory, by one request an event, on another member after each failure. */
export class Follower {
  /** Modified indexes in the order they were seen, with the key. */
  readonly seen: { readonly index: number; readonly key: string; readonly action: string }[] = [];
  readonly problems: string[] = [];
  readonly #urls: Urls;
  readonly #path: string;
  readonly #run: Promise<void>;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #onEvent: ((key: string, action: string) => void) | undefined;
  #at: number;
  #next: number;
  #stopped = false;

  constructor(
    urls: Urls,
    path: string,
    from: { readonly at: number; readonly index: number },
    onEvent?: (key: string, action: string) => void,
  ) {
    this.#urls = urls;
    this.#path = path;
    this.#at = from.at;
    this.#next = from.index;
    this.#onEvent = onEvent;
    this.#run = this.#follow();
  }

  /** Ends once nothing has come for the time of one request. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#run;
    this.#agent.destroy();
  }

  async #follow(): Promise<void> {
    let isQuiet = false;
    while (!this.#stopped || !isQuiet) {
      isQuiet = false;
      const urls = this.#urls();
      const url = urls[this.#at % urls.length] ?? "";
      const query = `wait=true&recursive=true&waitIndex=${String(this.#next)}`;
      try {
        const answer = await send(`${url}/v2/keys${this.#path}?${query}`, {
          timeoutMs: 2000,
          agent: this.#agent,
        });
        const { node, action = "", errorCode } = keysJson(answer);
        const index = node?.modifiedIndex;
        if (answer.status === 400 && errorCode === 401) {
          this.problems.push(`history cleared at ${String(this.#next)}: ${answer.body}`);
          this.#next = Number(answer.headers["x-etcd-index"]) + 1;
        } else if (answer.status !== 200 || index === undefined) {
          this.#at += 1;
          await pause(20);
        } else {
          if (index < this.#next) {
            this.problems.push(`asked for ${String(this.#next)}, got ${String(index)}`);
          }
          this.#next = index + 1;
          this.seen.push({ index, key: node?.key ?? "", action });
          this.#onEvent?.(node?.key ?? "", action);
        }
      } catch (error) {
        // Quiet, stopped or gone: the next one goes on.
        isQuiet = error instanceof NoAnswer && error.message.startsWith("no answer in time");
        this.#at += 1;
        if (!isQuiet) await pause(20);
      }
    }
  }
}

export interface Mortal {
  readonly key: string;
  readonly ttlMs: number;
  readonly sentAt: number;
  readonly answeredAt: number;
  goneAt: number | undefined;
}

/** Creates keys with TTLs of one to three seconds, and learns of their end from a follower. */
export class Mortals {
  readonly keys = new Map<string, Mortal>();
  readonly #urls: Urls;
  readonly #random: () => number;
  readonly #run: Promise<void>;
  #stopped = false;

  constructor(urls: Urls, random: () => number) {
    this.#urls = urls;
    this.#random = random;
    this.#run = this.#create();
  }

  readonly ended = (key: string, action: string): void => {
    const known = this.keys.get(key);
    if (action === "expire" && known !== undefined) known.goneAt ??= performance.now();
  };

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#run;
  }

  async #create(): Promise<void> {
    for (let count = 0; !this.#stopped; count += 1) {
      const urls = this.#urls();
      const url = urls[Math.floor(this.#random() * urls.length)] ?? "";
      const key = `/mortal/${String(count)}`;
      const ttl = 1 + Math.floor(this.#random() * 3);
      const sentAt = performance.now();
      try {
        const answer = await send(`${url}/v2/keys${key}`, {
          method: "PUT",
          form: { value: "x", ttl: String(ttl) },
          timeoutMs: 3000,
        });
        if (isWritten(answer)) {
          const answeredAt = performance.now();
          this.keys.set(key, { key, ttlMs: ttl * 1000, sentAt, answeredAt, goneAt: undefined });
        }
      } catch {
        // Its outcome is unknown: nothing is claimed of it.
      }
      await pause(30);
    }
  }
}
