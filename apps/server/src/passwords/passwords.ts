/**
 * Owns the hashing and checking of passwords off the event loop: a worker thread, started when
 * passwords are to be expected or at the first one, and a bounded queue before it. It caches nothing; who asks again and again does.
 */
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";

import type { PasswordHasher } from "@etcd2/api-v2";

import type { PasswordJob, PasswordResult } from "./password-worker.ts";

/** Jobs waiting or running; at some 60 ms each this is the last one's patience. */
const queueMax = 256;

/** What bcrypt uses of a password; the rest need not travel. */
const bytesThatCount = 72;

/** A password could not be handled: nothing is known about it. */
export class PasswordError extends Error {
  override readonly name = "PasswordError";
  readonly code: "busy" | "stopped" | "worker";
  constructor(code: PasswordError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

interface Waiting {
  readonly resolve: (value: string | boolean) => void;
  readonly reject: (error: PasswordError) => void;
}

export interface PasswordOptions {
  /** bcrypt's cost, 4 to 31; each step doubles the time. */
  readonly cost: number;
  /** Where the worker's code is; found by itself when left out. */
  readonly worker?: string | URL;
}

/** Beside the running bundle; beside the main module when running from source. */
function findWorker(): string {
  const main = process.argv[1] ?? "";
  return main.endsWith(".ts")
    ? join(dirname(main), "passwords", "password-worker.ts")
    : join(__dirname, "password-worker.cjs");
}

/** The password hasher of a member. */
export class WorkerPasswordHasher implements PasswordHasher {
  readonly #cost: number;
  readonly #location: string | URL | undefined;
  readonly #waiting: Waiting[] = [];
  #worker: Worker | undefined;
  #isClosed = false;

  constructor(options: PasswordOptions) {
    this.#cost = options.cost;
    this.#location = options.worker;
  }

  /** Starts the thread unless it runs, so that the first password need not wait for it. */
  prepare(): void {
    if (this.#isClosed || this.#worker !== undefined) return;
    this.#worker = this.#start();
    this.#worker.unref();
  }

  /** @throws PasswordError */
  async hash(password: Uint8Array): Promise<string> {
    return String(await this.#run({ kind: "hash", password: limited(password), cost: this.#cost }));
  }

  /**
   * A hash that is none is nobody's password.
   * @throws PasswordError
   */
  async verify(password: Uint8Array, hash: string): Promise<boolean> {
    if (!/^\$2[aby]?\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}$/.test(hash)) return false;
    return (await this.#run({ kind: "verify", password: limited(password), hash })) === true;
  }

  /** Ends the thread; what waits is rejected. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    this.#fail(new PasswordError("stopped", "the server is stopping"));
    await worker?.terminate();
  }

  #run(job: PasswordJob): Promise<string | boolean> {
    if (this.#isClosed)
      return Promise.reject(new PasswordError("stopped", "the server is stopping"));
    if (this.#waiting.length >= queueMax) {
      return Promise.reject(new PasswordError("busy", "too many passwords are being checked"));
    }
    const worker = (this.#worker ??= this.#start());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      worker.ref();
      worker.postMessage(job);
    });
  }

  #start(): Worker {
    const worker = new Worker(this.#location ?? findWorker(), { name: "etcd-passwords" });
    worker.on("message", (result: PasswordResult) => {
      const waiting = this.#waiting.shift();
      if (this.#waiting.length === 0) worker.unref();
      if (result.ok) waiting?.resolve(result.value);
      else waiting?.reject(new PasswordError("worker", result.error));
    });
    const ended = (cause: unknown): void => {
      if (this.#worker !== worker) return;
      this.#fail(new PasswordError("worker", "the password thread ended", { cause }));
    };
    worker.on("error", ended);
    worker.on("exit", ended);
    return worker;
  }

  /** Rejects everything that waits; the next job starts a new thread. */
  #fail(error: PasswordError): void {
    this.#worker = undefined;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
  }
}

/** How often it is looked whether authentication was switched on, here or by another member. */
const LOOK_MS = 1000;

/** Prepares the hasher once passwords are needed: at once, or as soon as that is so. */
export function prepareWhenNeeded(
  hasher: Pick<WorkerPasswordHasher, "prepare">,
  isNeeded: () => boolean,
): { readonly stop: () => void } {
  const look = (): void => {
    if (!isNeeded()) return;
    clearInterval(timer);
    hasher.prepare();
  };
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  look();
  return {
    stop: () => {
      clearInterval(timer);
    },
  };
}

/** Cut after 72 bytes, but not within a character. */
function limited(password: Uint8Array): Uint8Array {
  let end = bytesThatCount;
  while (end < bytesThatCount + 3 && ((password[end] ?? 0) & 0xc0) === 0x80) end++;
  return password.length > end ? password.slice(0, end) : password;
}
