/**
 * The v2 store as simply as it can be said: nested maps, written from http-api.md §5 to §9 and
 * sharing no code with the store. Slow and obvious on purpose.
 */
import type { ExpiredNode, WriteCommand } from "../model/command.ts";
import type { EventAction, NodeExtern } from "../model/event.ts";
import type { StoreStats } from "../model/ports.ts";

/** Both clocks as of now, in milliseconds. */
export interface ModelClock {
  readonly wall: number;
  readonly steady: number;
}

interface ModelNode {
  value: string;
  children: Map<string, ModelNode> | undefined;
  created: number;
  modified: number;
  expirationMs: number | undefined;
  deadlineMs: number;
}

/** A change as the model tells it. */
export interface ModelEvent {
  action: EventAction;
  node: NodeExtern;
  prevNode: NodeExtern | undefined;
  etcdIndex: number;
  refresh: boolean;
}

/** A refusal, or undefined and the event. */
export type ModelOutcome = ModelEvent | [code: number, cause: string, index: number];

type Stat = keyof StoreStats;

const YEAR_2000_MS = Date.UTC(2000, 0, 1);

class Refusal extends Error {
  readonly code: number;
  override readonly cause: string;
  constructor(code: number, cause: string) {
    super();
    this.code = code;
    this.cause = cause;
  }
}

function directory(index: number): ModelNode {
  const children = new Map<string, ModelNode>();
  return {
    value: "",
    children,
    created: index,
    modified: index,
    expirationMs: undefined,
    deadlineMs: 0,
  };
}

/** The store, one write after the other. */
export class NaiveModel {
  readonly root = directory(0);
  readonly stats: Partial<Record<Stat, number>> = {};
  readonly events: ModelEvent[] = [];
  /** Which paths existed below a removed directory, by index; undefined: too many to know. */
  readonly removed = new Map<number, Set<string> | undefined>();
  index = 0;
  readonly #clock: ModelClock;
  readonly #removedNamesMax: number;
  constructor(clock: ModelClock, removedNamesMax: number) {
    this.#clock = clock;
    this.#removedNamesMax = removedNamesMax;
    this.root.children?.set("0", directory(0));
    this.root.children?.set("1", directory(0));
  }

  write(command: WriteCommand): ModelOutcome {
    const counter = (
      {
        set: ["setsSuccess", "setsFail"],
        create: ["createSuccess", "createFail"],
        createInOrder: ["createSuccess", "createFail"],
        update: ["updateSuccess", "updateFail"],
        compareAndSwap: ["compareAndSwapSuccess", "compareAndSwapFail"],
        delete: ["deleteSuccess", "deleteFail"],
        compareAndDelete: ["compareAndDeleteSuccess", "compareAndDeleteFail"],
      } as const satisfies Record<string, readonly [Stat, Stat]>
    )[command.action];
    try {
      const event = this.#do(command);
      this.#count(counter[0]);
      this.index = event.etcdIndex;
      this.events.push(event);
      return event;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#count(counter[this.#countsAsSuccess(command, error) ? 0 : 1]);
      return [error.code, error.cause, this.index];
    }
  }

  expire(expired: readonly ExpiredNode[]): void {
    for (const { path, modifiedIndex, expirationMs } of expired) {
      const node = this.find(path);
      if (node?.modified !== modifiedIndex || node.expirationMs !== expirationMs) continue;
      this.index += 1;
      this.#count("expireCount");
      this.#detach(path, node);
      const prevNode = { ...this.#show(path, node), ttl: 0 };
      const shown = { ...prevNode, value: undefined, dir: false, expirationMs: undefined };
      this.events.push({
        action: "expire",
        node: { ...shown, modifiedIndex: this.index },
        prevNode,
        etcdIndex: this.index,
        refresh: false,
      });
    }
  }

  /** Silent: no index, no event. */
  setClusterVersion(value: string): void {
    const cluster = this.find("/0");
    const node = directory(this.index);
    node.children = undefined;
    node.value = value;
    cluster?.children?.set("version", node);
    this.#count("setsSuccess");
  }

  /** Nodes whose deadline has passed, as a set of paths. */
  due(): Set<string> {
    const due = new Set<string>();
    for (const [path, node] of this.all("")) {
      if (node.expirationMs !== undefined && node.deadlineMs < this.#clock.steady) due.add(path);
    }
    return due;
  }

  find(path: string): ModelNode | undefined {
    let node: ModelNode | undefined = this.root;
    for (const name of path.split("/").slice(1)) node = node?.children?.get(name);
    return node;
  }

  /** All nodes below a directory, parents first, names in order. */
  *all(path: string): IterableIterator<[string, ModelNode]> {
    const children = [...(this.find(path)?.children ?? [])];
    children.sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [name, node] of children) {
      yield [`${path}/${name}`, node];
      yield* this.all(`${path}/${name}`);
    }
  }

  list(path: string, recursive: boolean): NodeExtern[] {
    const shown: NodeExtern[] = [];
    for (const [below, node] of this.all(path)) {
      const rest = below.slice(path.length + 1).split("/");
      if (rest.some((name) => name.startsWith("_"))) continue;
      if (recursive || rest.length === 1) shown.push(this.#show(below, node));
    }
    return shown;
  }

  /** http-api.md §7.1 */
  matches(path: string, recursive: boolean, event: ModelEvent): boolean {
    if (event.refresh) return false;
    const watched = path.split("/");
    const key = event.node.key.split("/");
    const common = Math.min(watched.length, key.length);
    for (let i = 0; i < common; i++) if (watched[i] !== key[i]) return false;
    if (key.length === watched.length) return true;
    if (key.length > watched.length) {
      return recursive && !key.slice(watched.length).some((name) => name.startsWith("_"));
    }
    if (!this.removed.has(event.etcdIndex)) return false;
    return this.removed.get(event.etcdIndex)?.has(path) ?? true;
  }

  /** http-api.md §9: what is refused and yet counted as a success. */
  #countsAsSuccess({ action }: WriteCommand, { code }: Refusal): boolean {
    if (action === "delete" || action === "compareAndSwap") return code === 107;
    if (action === "update") return code === 107 || code === 102;
    return action === "compareAndDelete" && (code === 101 || code === 102);
  }

  #do(command: WriteCommand): ModelEvent {
    const { action, path } = command;
    const isRoot = path === "/1" || path === "/0";
    switch (action) {
      case "set": {
        if (isRoot) throw new Refusal(107, "/");
        const old = this.#seek(path, command.refresh ? "must exist" : "may be missing");
        if (old?.children !== undefined) throw new Refusal(102, path);
        const value = command.refresh ? (old?.value ?? "") : command.value;
        return this.#place("set", path, { ...command, value }, old);
      }
      case "create":
      case "createInOrder": {
        const name = String(this.index + 1).padStart(20, "0");
        const target = action === "create" ? path : `${path}/${name}`;
        if (target === "/1" || target === "/0") throw new Refusal(107, "/");
        let old: ModelNode | undefined;
        try {
          old = this.#seek(target, "may be missing");
        } catch (error) {
          this.#count("setsFail");
          throw error;
        }
        if (old !== undefined) throw new Refusal(105, target);
        return this.#place("create", target, { ...command, refresh: false }, undefined);
      }
      case "update": {
        if (isRoot) throw new Refusal(107, "/");
        const node = this.#seek(path, "must exist");
        if (node.children !== undefined && command.value !== "") throw new Refusal(102, path);
        return this.#change("update", path, node, command);
      }
      case "compareAndSwap": {
        if (isRoot) throw new Refusal(107, "/");
        const node = this.#seek(path, "must exist");
        if (node.children !== undefined) throw new Refusal(102, path);
        this.#compare(node, command);
        return this.#change("compareAndSwap", path, node, command);
      }
      case "delete": {
        if (isRoot) throw new Refusal(107, "/");
        const node = this.#seek(path, "must exist");
        if (node.children !== undefined && !command.recursive) {
          if (!command.dir) throw new Refusal(102, path);
          if (node.children.size > 0) throw new Refusal(108, path);
        }
        return this.#remove("delete", path, node);
      }
      case "compareAndDelete": {
        if (isRoot) throw new Refusal(102, "");
        const node = this.#seek(path, "must exist");
        if (node.children !== undefined) throw new Refusal(102, path);
        this.#compare(node, command);
        return this.#remove("compareAndDelete", path, node);
      }
    }
  }

  #seek(path: string, mode: "must exist"): ModelNode;
  #seek(path: string, mode: "must exist" | "may be missing"): ModelNode | undefined;
  #seek(path: string, mode: "must exist" | "may be missing"): ModelNode | undefined {
    let node = this.root;
    let at = "";
    for (const name of path.split("/").slice(1)) {
      if (node.children === undefined) throw new Refusal(104, at);
      at += `/${name}`;
      const child = node.children.get(name);
      if (child === undefined) {
        if (mode === "must exist") throw new Refusal(100, at);
        return undefined;
      }
      node = child;
    }
    return node;
  }

  #compare(node: ModelNode, { prevValue, prevIndex }: WriteCommand): void {
    const causes: string[] = [];
    if (prevValue !== "" && prevValue !== node.value)
      causes.push(`[${prevValue} != ${node.value}]`);
    if (prevIndex !== 0 && prevIndex !== node.modified) {
      causes.push(`[${prevIndex} != ${node.modified}]`);
    }
    if (causes.length > 0) throw new Refusal(101, causes.join(" "));
  }

  #place(
    action: "set" | "create",
    path: string,
    command: WriteCommand,
    old: ModelNode | undefined,
  ): ModelEvent {
    const index = this.index + 1;
    const prevNode = old === undefined ? undefined : this.#show(path, old);
    let parent = this.root;
    const names = path.split("/").slice(1);
    const last = names.pop() ?? "";
    for (const name of names) {
      const next = parent.children?.get(name) ?? directory(index);
      parent.children?.set(name, next);
      parent = next;
    }
    const node = directory(index);
    if (!command.dir) {
      node.children = undefined;
      node.value = command.value;
    }
    if (command.expirationMs !== undefined && command.expirationMs >= YEAR_2000_MS) {
      this.#setLife(node, command);
    }
    parent.children?.set(last, node);
    const shown = this.#show(path, node);
    return { action, node: shown, prevNode, etcdIndex: index, refresh: command.refresh };
  }

  #change(
    action: "update" | "compareAndSwap",
    path: string,
    node: ModelNode,
    command: WriteCommand,
  ): ModelEvent {
    const index = this.index + 1;
    const prevNode = this.#show(path, node);
    if (node.children === undefined) {
      node.modified = index;
      if (!command.refresh) node.value = command.value;
    }
    this.#setLife(node, command);
    const shown = { ...this.#show(path, node), modifiedIndex: index };
    return { action, node: shown, prevNode, etcdIndex: index, refresh: command.refresh };
  }

  #remove(action: "delete" | "compareAndDelete", path: string, node: ModelNode): ModelEvent {
    const index = this.index + 1;
    const prevNode = this.#show(path, node);
    this.index = index;
    this.#detach(path, node);
    this.index = index - 1;
    const gone = { value: undefined, expirationMs: undefined, ttl: 0, modifiedIndex: index };
    return { action, node: { ...prevNode, ...gone }, prevNode, etcdIndex: index, refresh: false };
  }

  /** Takes a node out and notes what existed below. */
  #detach(path: string, node: ModelNode): void {
    const below = [...this.all(path)].map(([name]) => name);
    if (node.children !== undefined && below.length > 0) {
      const known = below.length <= this.#removedNamesMax;
      this.removed.set(this.index, known ? new Set(below) : undefined);
    }
    const end = path.lastIndexOf("/");
    this.find(path.slice(0, end))?.children?.delete(path.slice(end + 1));
  }

  #setLife(node: ModelNode, { expirationMs, ttlMs }: WriteCommand): void {
    node.expirationMs = expirationMs;
    if (expirationMs === undefined) return;
    const past = expirationMs < YEAR_2000_MS || ttlMs === undefined;
    node.deadlineMs = this.#clock.steady + (past ? expirationMs - this.#clock.wall : ttlMs);
  }

  #show(path: string, node: ModelNode): NodeExtern {
    const expires = node.expirationMs !== undefined;
    return {
      key: path,
      value: node.children === undefined ? node.value : undefined,
      dir: node.children !== undefined,
      createdIndex: node.created,
      modifiedIndex: node.modified,
      expirationMs: node.expirationMs,
      ttl: expires
        ? Math.max(-9_223_372_036, Math.ceil((node.deadlineMs - this.#clock.steady) / 1000)) + 0
        : 0,
    };
  }

  #count(stat: Stat): void {
    this.stats[stat] = (this.stats[stat] ?? 0) + 1;
  }
}
