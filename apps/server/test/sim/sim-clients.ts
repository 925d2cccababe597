/**
 * The clients of the simulated cluster: what they ask for and what they were told, for the checks.
 * They speak to the real handlers of any member, as often as not to one that is cut off.
 */
import type {
  ClientOperation,
  Condition,
  GrantedLife,
  KnownNode,
  OperationOutcome,
} from "@etcd2/checker";
import type { WatchRecord, WatchStep } from "@etcd2/checker";
import { createMachine, Owner, world } from "./runtime.ts";
import { exchange } from "./sim-http.ts";
import type { SimAnswer, SimRequest } from "./sim-http.ts";
import type { SimMember } from "./sim-member.ts";

/** A client gives up on an answer after so long. */
const PATIENCE_MS = 9000;
const KEYS = ["/k/a", "/k/b", "/k/c", "/_hidden/x"];
const LIVES = ["/t/a", "/t/b"];
const TREES = ["/d/x", "/d/y"];

interface NodeJson {
  readonly key: string;
  readonly value?: string;
  readonly dir?: boolean;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
}

interface KeysJson {
  readonly action?: string;
  readonly node?: NodeJson;
  readonly prevNode?: NodeJson;
  readonly errorCode?: number;
  readonly cause?: string;
  readonly index?: number;
}

interface Wish {
  readonly kind: ClientOperation["kind"];
  readonly request: SimRequest;
  readonly key: string;
  readonly value?: string;
  readonly wanted?: Condition;
  readonly ttlMs?: number;
}

export interface ClientsOptions {
  readonly members: () => readonly SimMember[];
  readonly latencyMs: () => number;
  readonly count: number;
  readonly pauseMs: number;
  readonly watchers: number;
  readonly trace?: ((line: string) => void) | undefined;
}

export class SimClients {
  readonly operations: ClientOperation[] = [];
  readonly lives: GrantedLife[] = [];
  readonly watchers: SimWatcher[] = [];
  readonly owner = new Owner("clients", createMachine("clients"));
  acknowledged = 0;
  readonly #options: ClientsOptions;
  readonly #last = new Map<string, KnownNode>();
  #values = 0;
  #isOver = false;

  constructor(options: ClientsOptions) {
    this.#options = options;
    for (let at = 0; at < options.count; at += 1) this.#loop();
    for (let at = 0; at < options.watchers; at += 1) {
      this.watchers.push(new SimWatcher(`watcher ${at}`, this.owner, options));
    }
  }

  /** No new writes; watchers go on. */
  stop(): void {
    this.#isOver = true;
  }

  #loop(): void {
    const at = world();
    at.after(at.random() * 2 * this.#options.pauseMs, this.owner, () => {
      if (this.#isOver) return;
      const members = this.#options.members();
      const member = members[Math.floor(at.random() * members.length)];
      if (member === undefined) this.#loop();
      else this.#ask(member, this.#wish());
    });
  }

  #ask(member: SimMember, wish: Wish): void {
    const at = world();
    const call = at.now;
    const run = `${member.name} run ${member.crashes}`;
    let isSettled = false;
    const { method, path, form } = wish.request;
    const values = form === undefined ? "" : ` ${new URLSearchParams(form).toString()}`;
    const text = `${method} ${path}${values} to ${member.name} at ${call.toFixed(1)}`;
    const settle = (outcome: OperationOutcome): void => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(timer);
      at.note(`${text} ${JSON.stringify(outcome)}`);
      this.#options.trace?.(`${at.now.toFixed(1)} ${text}: ${JSON.stringify(outcome)}`);
      this.#note(wish, { text, call, member: run, outcome });
      this.#loop();
    };
    const timer = setTimeout(() => {
      hangUp();
      settle({ kind: "unknown" });
    }, PATIENCE_MS);
    const hangUp = exchange(
      this.owner,
      member,
      wish.request,
      {
        onEnd: (answer) => {
          settle(outcomeOf(wish, answer));
        },
        onBroken: () => {
          settle({ kind: "unknown" });
        },
      },
      this.#options.latencyMs,
    );
  }

  #note(
    wish: Wish,
    { text, call, member, outcome }: Pick<ClientOperation, "text" | "call" | "member" | "outcome">,
  ): void {
    const isKnown = outcome.kind !== "unknown";
    const { kind, value, key, wanted } = wish;
    this.operations.push({
      ...{ kind, text, key, call, member, outcome, value, wanted },
      return: isKnown ? world().now : Infinity,
    });
    if (outcome.kind === "found" && outcome.node !== undefined) this.#last.set(key, outcome.node);
    if (outcome.kind !== "written") return;
    this.acknowledged += 1;
    this.#last.set(key, outcome.node);
    if (wish.ttlMs === undefined) return;
    this.lives.push({ text, index: outcome.index, call, ttlMs: wish.ttlMs });
  }

  #wish(): Wish {
    const { random } = world();
    const pick = (list: readonly string[]): string =>
      list[Math.floor(random() * list.length)] ?? "";
    const what = random();
    const key = pick(KEYS);
    const path = `/v2/keys${key}`;
    this.#values += 1;
    const value = `client-${this.#values}`;
    const put = (form: Record<string, string>, rest: Partial<Wish> = {}): Wish => ({
      ...{ kind: "write", key, value, request: { method: "PUT", path, form } },
      ...rest,
    });
    if (what < 0.2) return put({ value });
    if (what < 0.3) return this.#swap(key, value);
    if (what < 0.37) return this.#compareAndDelete(key);
    if (what < 0.42) return { kind: "write", key, request: { method: "DELETE", path } };
    if (what < 0.5) {
      const request = { method: "POST", path: "/v2/keys/q", form: { value } };
      return { kind: "write", key: "/q/", value, request };
    }
    if (what < 0.55) {
      const exists = random() < 0.5;
      return put({ value, prevExist: String(exists) }, { wanted: { exists } });
    }
    if (what < 0.63) return this.#life(pick(LIVES), value);
    if (what < 0.7) return this.#tree(pick(TREES), value);
    if (what < 0.85) {
      return { kind: "read", key, request: { method: "GET", path: `${path}?quorum=true` } };
    }
    return { kind: "localRead", key, request: { method: "GET", path } };
  }

  #swap(key: string, value: string): Wish {
    const last = this.#last.get(key);
    const isByIndex = world().random() < 0.5;
    const wanted = isByIndex
      ? { index: last?.modifiedIndex ?? 1 }
      : { value: last?.value ?? "client-0" };
    const condition: Record<string, string> = isByIndex
      ? { prevIndex: String(wanted.index) }
      : { prevValue: wanted.value ?? "" };
    const request = { method: "PUT", path: `/v2/keys${key}`, form: { value, ...condition } };
    return { kind: "write", key, value, wanted, request };
  }

  #compareAndDelete(key: string): Wish {
    const last = this.#last.get(key);
    const isByIndex = world().random() < 0.5;
    const wanted = isByIndex
      ? { index: last?.modifiedIndex ?? 1 }
      : { value: last?.value ?? "client-0" };
    const condition = isByIndex ? `prevIndex=${wanted.index}` : `prevValue=${wanted.value}`;
    const request = { method: "DELETE", path: `/v2/keys${key}?${condition}` };
    return { kind: "write", key, wanted, request };
  }

  #life(key: string, value: string): Wish {
    const { random } = world();
    const seconds = 1 + Math.floor(random() * 4);
    const isRefresh = random() < 0.3;
    const form: Record<string, string> = isRefresh
      ? { ttl: String(seconds), refresh: "true", prevExist: "true" }
      : { value, ttl: String(seconds) };
    const request = { method: "PUT", path: `/v2/keys${key}`, form };
    const ttlMs = seconds * 1000;
    return { kind: "write", key, ttlMs, request, ...(isRefresh ? {} : { value }) };
  }

  #tree(tree: string, value: string): Wish {
    const { random } = world();
    if (random() < 0.3) {
      const request = { method: "DELETE", path: `/v2/keys${tree}?recursive=true` };
      return { kind: "write", key: tree, request };
    }
    const key = `${tree}/${Math.floor(random() * 5)}/leaf`;
    const request = { method: "PUT", path: `/v2/keys${key}`, form: { value } };
    return { kind: "write", key, value, request };
  }
}

function parse(body: string): KeysJson | undefined {
  try {
    return JSON.parse(body) as KeysJson;
  } catch {
    return undefined;
  }
}

function outcomeOf(wish: Wish, { status, headers, body }: SimAnswer): OperationOutcome {
  const json = parse(body);
  if (json?.node !== undefined && status < 300) {
    if (wish.kind !== "write") {
      return { kind: "found", node: json.node, index: Number(headers["x-etcd-index"]) };
    }
    const { action = "", node, prevNode } = json;
    return { kind: "written", action, node, prevNode, index: node.modifiedIndex };
  }
  const { errorCode, index = 0 } = json ?? {};
  if (errorCode === undefined || errorCode === 300) return { kind: "unknown" };
  if (wish.kind !== "write" && errorCode === 100) return { kind: "found", node: undefined, index };
  return { kind: "refused", code: errorCode, index };
}

/** Follows a path, by long polls or by streams, from member to member. */
export class SimWatcher {
  readonly name: string;
  readonly path: string;
  readonly recursive: boolean;
  readonly isStream: boolean;
  next = 0;
  from = 0;
  readonly steps: WatchStep[] = [];
  readonly #owner: Owner;
  readonly #options: ClientsOptions;

  constructor(name: string, owner: Owner, options: ClientsOptions) {
    const { random } = world();
    const paths = ["/", "/k", "/k/a", "/d/x/1/leaf", "/d", "/t", "/q"];
    this.path = paths[Math.floor(random() * paths.length)] ?? "/";
    this.recursive = this.path === "/" || random() < 0.7;
    this.isStream = random() < 0.5;
    this.name = `${name} of ${this.path}${this.recursive ? " and below" : ""}${this.isStream ? " (stream)" : ""}`;
    this.#owner = owner;
    this.#options = options;
    this.#later();
  }

  record(until: number): WatchRecord {
    const { name, path, recursive, from, steps } = this;
    return { name, path, recursive, from, steps, until: from === 0 ? 0 : until };
  }

  /** Asks again: at once after an answer, later after none. */
  #later(pauseMs = 50 + world().random() * 200): void {
    world().after(pauseMs, this.#owner, () => {
      const members = this.#options.members();
      const member = members[Math.floor(world().random() * members.length)];
      if (member === undefined) this.#later();
      else if (this.from === 0) this.#begin(member);
      else this.#watch(member);
    });
  }

  #begin(member: SimMember): void {
    exchange(
      this.#owner,
      member,
      { method: "GET", path: "/v2/keys/?quorum=true" },
      {
        onEnd: ({ headers, status }) => {
          const index = Number(headers["x-etcd-index"]);
          if (status === 200) {
            this.from = index + 1;
            this.next = this.from;
          }
          this.#later();
        },
        onBroken: () => {
          this.#later();
        },
      },
      this.#options.latencyMs,
    );
  }

  #watch(member: SimMember): void {
    const query = `wait=true&waitIndex=${this.next}${this.recursive ? "&recursive=true" : ""}${this.isStream ? "&stream=true" : ""}`;
    let isOver = false;
    let isEvent = false;
    const end = (pauseMs?: number): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      this.#later(pauseMs);
    };
    const timer = setTimeout(
      () => {
        hangUp();
        end();
      },
      3000 + world().random() * 4000,
    );
    const hangUp = exchange(
      this.#owner,
      member,
      { method: "GET", path: `/v2/keys${this.path}?${query}` },
      {
        onHead: (status) => {
          isEvent = status === 200;
        },
        onChunk: (text) => {
          // Events that are written in one turn may come as one chunk; each is one line.
          if (isEvent && !isOver) for (const line of text.split("\n")) this.#told(line);
        },
        onEnd: ({ status, body }) => {
          if (status !== 200) this.#refused(body);
          end(status === 200 ? 1 : undefined);
        },
        onBroken: () => {
          end();
        },
      },
      this.#options.latencyMs,
    );
  }

  #told(text: string): void {
    const json = parse(text);
    if (json?.node === undefined) return;
    const { action = "", node, prevNode } = json;
    this.next = node.modifiedIndex + 1;
    this.steps.push({ kind: "told", event: { action, node, prevNode } });
    world().note(`${this.name} ${text}`);
    this.#options.trace?.(`${world().now.toFixed(1)} ${this.name}: ${text.trim()}`);
  }

  #refused(body: string): void {
    const json = parse(body);
    if (json?.errorCode !== 401) return;
    const [, first = "0", wanted = "0"] = /\[(\d+)\/(\d+)\]/.exec(json.cause ?? "") ?? [];
    const resumed = (json.index ?? 0) + 1;
    this.next = resumed;
    const step = { first: Number(first), wanted: Number(wanted), resumed };
    this.steps.push({ kind: "cleared", ...step });
  }
}
