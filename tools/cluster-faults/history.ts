/**
 * Clients that read, write, swap and delete a few shared keys on whichever member they happen to
 * ask, and the record of what each was told and when. Keys are replaced every few seconds, so that
 * operations of unknown outcome do not pile up on one.
 */
import { Agent } from "node:http";
import type { Operation, RegisterInput, RegisterOutput } from "@etcd2/checker";
import { keysJson, NoAnswer, send } from "./http.ts";
import type { Answer, RequestOptions } from "./http.ts";
import { pause } from "@etcd2/test-support";

export type KeyedInput = RegisterInput & { readonly key: string };
export type HistoryOperation = Operation<KeyedInput, RegisterOutput>;

export interface HistoryOptions {
  readonly urls: readonly string[];
  readonly clients: number;
  readonly keys: number;
  /** Milliseconds a set of keys is used for. */
  readonly slotMs: number;
  readonly timeoutMs: number;
  readonly random: () => number;
}

/** The server failed to say what became of the request. */
const RAFT_ERROR = 300;
const TEST_FAILED = 101;
const NOT_FOUND = 100;

export class HistoryClients {
  readonly operations: HistoryOperation[] = [];
  readonly #options: HistoryOptions;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #clients: Promise<void>[] = [];
  readonly #startedAt = performance.now();
  #values = 0;
  #stopped = false;

  constructor(options: HistoryOptions) {
    this.#options = options;
    for (let at = 0; at < options.clients; at += 1) {
      const client = this.#client();
      // Reported by stop(); until then the run goes on, so that everything is put away in the end.
      client.catch(() => undefined);
      this.#clients.push(client);
    }
  }

  get unknownCount(): number {
    return this.operations.filter(({ output }) => output === undefined).length;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
  }

  async #client(): Promise<void> {
    const { urls, keys, slotMs, random } = this.#options;
    let known = "";
    while (!this.#stopped) {
      const slot = Math.floor((performance.now() - this.#startedAt) / slotMs);
      const key = `/register/${String(slot)}-${String(Math.floor(random() * keys))}`;
      const url = urls[Math.floor(random() * urls.length)] ?? "";
      const input = this.#choose(key, known);
      const call = performance.now();
      const output = await this.#perform(url, input);
      const end = performance.now();
      // What never reached a member did not happen, and a read without an answer says nothing.
      const isVoid = output === "notSent" || (output === undefined && input.kind === "read");
      if (output === "notSent" || output === undefined) await pause(10);
      if (isVoid) continue;
      if (output?.kind === "read") known = output.value ?? known;
      this.operations.push({ input, output, call, return: end });
    }
  }

  #choose(key: string, known: string): KeyedInput {
    const dice = this.#options.random();
    this.#values += 1;
    const value = `v${String(this.#values)}`;
    if (dice < 0.45) return { kind: "read", key };
    if (dice < 0.65) return { kind: "write", key, value };
    if (dice < 0.95) return { kind: "cas", key, from: known === "" ? "v0" : known, to: value };
    return { kind: "delete", key };
  }

  /** undefined when nobody can say what happened. */
  async #perform(url: string, input: KeyedInput): Promise<RegisterOutput | "notSent" | undefined> {
    const { timeoutMs } = this.#options;
    try {
      const target = `${url}/v2/keys${input.key}${input.kind === "read" ? "?quorum=true" : ""}`;
      const options = { ...requestOf(input), timeoutMs, agent: this.#agent };
      return outcomeOf(input, await send(target, options));
    } catch (error) {
      if (error instanceof NoAnswer) return error.wasRefused ? "notSent" : undefined;
      throw error;
    }
  }
}

function requestOf(input: KeyedInput): RequestOptions {
  switch (input.kind) {
    case "read":
      return { method: "GET" };
    case "write":
      return { method: "PUT", form: { value: input.value } };
    case "cas":
      return { method: "PUT", form: { value: input.to, prevValue: input.from } };
    case "delete":
      return { method: "DELETE" };
  }
}

/** @throws Error for an answer no server should give. */
function outcomeOf(input: KeyedInput, answer: Answer): RegisterOutput | undefined {
  const { errorCode, node } = keysJson(answer);
  if (errorCode === RAFT_ERROR) return undefined;
  if (errorCode === NOT_FOUND) {
    return input.kind === "read" ? { kind: "read", value: undefined } : { kind: "refused" };
  }
  if (errorCode === TEST_FAILED && input.kind === "cas") return { kind: "refused" };
  if (errorCode !== undefined || node === undefined) {
    throw new Error(`${input.kind} ${input.key}: ${String(answer.status)} ${answer.body}`);
  }
  return input.kind === "read" ? { kind: "read", value: node.value } : { kind: "done" };
}
