/**
 * Clients that write one new key after another, each to any member that answers, and remember
 * what was acknowledged and when: what fault runs compare the cluster with afterwards.
 */
import { Agent } from "node:http";
import { isWritten } from "./cluster.ts";
import { keysJson, send } from "./http.ts";
import { pause } from "@etcd2/test-support";

export interface Acknowledged {
  readonly key: string;
  readonly value: string;
  readonly index: number;
  /** Monotonic milliseconds. */
  readonly at: number;
}

export interface WriteLoadOptions {
  /** Client URLs, in the order they are tried. */
  readonly urls: () => readonly string[];
  readonly clients: number;
  readonly prefix?: string;
  readonly valueBytes?: number;
  /** Longest wait for one answer. */
  readonly timeoutMs?: number;
}

export class WriteLoad {
  readonly acknowledged: Acknowledged[] = [];
  /** Answers other than success, and missing ones. */
  failures = 0;
  readonly #options: WriteLoadOptions;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #clients: Promise<void>[] = [];
  #stopped = false;

  constructor(options: WriteLoadOptions) {
    this.#options = options;
    for (let at = 0; at < options.clients; at += 1) this.#clients.push(this.#client(at));
  }

  /** Resolves when every client has had its last answer. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
  }

  /** The longest time without an acknowledgement that overlaps [from, to). */
  longestGapMs(from: number, to: number): number {
    let last = from;
    let longest = 0;
    for (const { at } of this.acknowledged.toSorted((a, b) => a.at - b.at)) {
      if (at > from) longest = Math.max(longest, at - last);
      last = Math.max(last, at);
      if (at >= to) return longest;
    }
    return Math.max(longest, to - last);
  }

  async #client(client: number): Promise<void> {
    const { urls, prefix = "/load", valueBytes = 16, timeoutMs = 10_000 } = this.#options;
    let attempt = client;
    for (let count = 0; !this.#stopped; count += 1) {
      const list = urls();
      const url = list[attempt % list.length];
      const key = `${prefix}/${String(client)}-${String(count)}`;
      const value = `${String(client)}-${String(count)}`.padEnd(valueBytes, ".");
      const isDone = url !== undefined && (await this.#write(url, key, value, timeoutMs));
      if (isDone) continue;
      this.failures += 1;
      attempt += 1;
      await pause(5);
    }
  }

  async #write(url: string, key: string, value: string, timeoutMs: number): Promise<boolean> {
    try {
      const answer = await send(`${url}/v2/keys${key}`, {
        method: "PUT",
        form: { value },
        timeoutMs,
        agent: this.#agent,
      });
      const index = isWritten(answer) ? keysJson(answer).node?.modifiedIndex : undefined;
      if (index === undefined) return false;
      this.acknowledged.push({ key, value, index, at: performance.now() });
      return true;
    } catch {
      return false;
    }
  }
}

/** What was acknowledged and is not there, or is there otherwise; and indexes given twice. */
export function contradictions(
  acknowledged: readonly Acknowledged[],
  tree: ReadonlyMap<string, { readonly value: string; readonly index: number }>,
): readonly string[] {
  const found: string[] = [];
  const byIndex = new Map<number, string>();
  for (const { key, value, index } of acknowledged) {
    const node = tree.get(key);
    if (node === undefined) found.push(`${key}: acknowledged at ${String(index)}, not there`);
    else if (node.value !== value || node.index !== index) {
      found.push(
        `${key}: ${value} at ${String(index)}, found ${node.value} at ${String(node.index)}`,
      );
    }
    const other = byIndex.get(index);
    if (other !== undefined) found.push(`index ${String(index)}: both ${other} and ${key}`);
    byIndex.set(index, key);
  }
  return found;
}

/** Leaves of a recursive listing by key. */
export function leaves(body: string): Map<string, { value: string; index: number }> {
  interface Node {
    readonly key?: string;
    readonly value?: string;
    readonly modifiedIndex?: number;
    readonly nodes?: readonly Node[];
  }
  const found = new Map<string, { value: string; index: number }>();
  const visit = (node: Node): void => {
    if (node.value !== undefined && node.key !== undefined) {
      found.set(node.key, { value: node.value, index: node.modifiedIndex ?? 0 });
    }
    for (const child of node.nodes ?? []) visit(child);
  };
  visit((JSON.parse(body) as { node: Node }).node);
  return found;
}
