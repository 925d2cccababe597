/**
 * The operations of the v2 API on the tree, as http-api.md §5, §6 and §9 state them: which checks
 * come in which order, what counts as what, and what the event shows. Pure: time comes in, nodes
 * come from a NodeSpace. It knows nothing of raft, disks or watchers.
 */
import type { ByteString } from "../model/byte-string.ts";
import type { ExpiredNode, LifeLeft, WriteCommand } from "../model/command.ts";
import { EtcdError } from "../model/errors.ts";
import type { EventAction, NodeExtern } from "../model/event.ts";
import type { StoreStats } from "../model/ports.ts";
import type { NodeSpace } from "./node-space.ts";
import { appliedPathProblem } from "./path-limits.ts";
import { NO_NAMES, type RecordedEvent, type RemovedNames } from "./recorded-event.ts";
import { ROOT_NODE, TreeNode, isRoot, parentPath } from "./tree-node.ts";

/** One moment on both clocks of a member, in whole milliseconds. */
export interface Instant {
  /** Unix time. */
  readonly wallMs: number;
  /** The member's steady clock: deadlines are on it. */
  readonly steadyMs: number;
}

/** Expirations before the year 2000 mean "none" to the operations that create. */
const EXPIRATION_MIN_MS = 946_684_800_000;

const INDEX_DIGITS = 20;

/** etcd 2.3.8 counts in signed 64 bit nanoseconds, which end here. */
const TTL_MIN = -9_223_372_036;

/** Seconds left, rounded up; 0 (never -0) where not shown. */
function ttlOf(node: TreeNode, steadyMs: number): number {
  if (node.deadlineMs === undefined) return 0;
  return Math.max(TTL_MIN, Math.ceil((node.deadlineMs - steadyMs) / 1000)) + 0;
}

/** A node as shown to clients. */
export function nodeExtern(path: ByteString, node: TreeNode, steadyMs: number): NodeExtern {
  return {
    key: path,
    value: node.dir ? undefined : node.value,
    dir: node.dir,
    createdIndex: node.createdIndex,
    modifiedIndex: node.modifiedIndex,
    expirationMs: node.expirationMs,
    ttl: ttlOf(node, steadyMs),
  };
}

/** The shape of `node` in events that remove it: no value, no expiration. */
function removedExtern(
  path: ByteString,
  dir: boolean,
  createdIndex: number,
  modifiedIndex: number,
): NodeExtern {
  return {
    key: path,
    value: undefined,
    dir,
    createdIndex,
    modifiedIndex,
    expirationMs: undefined,
    ttl: 0,
  };
}

/** Deadlines stay within this of now: longer lives end when nobody is there to see it. */
const LIFE_MAX_MS = 2 ** 50;

function deadlineOf(command: WriteCommand, now: Instant): number | undefined {
  const expirationMs = command.expirationMs;
  if (expirationMs === undefined) return undefined;
  // An overflown expiration lies before 1970, whatever the life asked for; no clock shows that.
  const counted = command.ttlMs === undefined || expirationMs < 0;
  const lifeMs = counted ? expirationMs - now.wallMs : command.ttlMs;
  return Math.ceil(now.steadyMs + Math.max(-LIFE_MAX_MS, Math.min(LIFE_MAX_MS, lifeMs)));
}

/** How far a path leads: the deepest existing node at or above it. */
interface Reach {
  readonly path: ByteString;
  readonly node: TreeNode;
}

/** Where the elements of a path begin. */
function slashesOf(path: ByteString): readonly number[] {
  const slashes: number[] = [];
  for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) slashes.push(at);
  return slashes;
}

/** The tree of keys, its index and its counters. */
export class Tree {
  /** Index of the last change. */
  etcdIndex: number;
  readonly stats: StoreStats;
  readonly #space: NodeSpace;
  constructor(space: NodeSpace, etcdIndex: number, stats: StoreStats) {
    this.#space = space;
    this.etcdIndex = etcdIndex;
    this.stats = stats;
  }

  /** Carries out a write: its event, or the refusal. */
  write(command: WriteCommand, now: Instant): RecordedEvent | EtcdError {
    switch (command.action) {
      case "set":
        return this.#set(command, now);
      case "create":
        return this.#countCreate(this.#create(command.path, command, now));
      case "createInOrder":
        return this.#createInOrder(command, now);
      case "update":
        return this.#update(command, now);
      case "compareAndSwap":
        return this.#compareAndSwap(command, now);
      case "delete":
        return this.#delete(command, now);
      case "compareAndDelete":
        return this.#compareAndDelete(command, now);
    }
  }

  /** Removes a node whose life is over, unless it changed since the leader looked. */
  expire(expired: ExpiredNode, now: Instant): RecordedEvent | undefined {
    const { path } = expired;
    const node = isRoot(path) ? undefined : this.#space.get(path);
    if (node?.modifiedIndex !== expired.modifiedIndex) return undefined;
    if (node.expirationMs !== expired.expirationMs) return undefined;
    this.etcdIndex += 1;
    this.stats.expireCount += 1;
    const removed = this.#remove(path, node);
    return {
      action: "expire",
      node: removedExtern(path, false, node.createdIndex, this.etcdIndex),
      // Whatever a slow clock would still show, the life of this node is over.
      prevNode: { ...nodeExtern(path, node, now.steadyMs), ttl: 0 },
      etcdIndex: this.etcdIndex,
      refresh: false,
      removed,
    };
  }

  /**
   * Ends the life of a node no later than the leader would, unless it changed since the leader looked.
   * Deadlines are this member's own: what is replicated stays as it is, and no index is taken.
   */
  shorten(life: LifeLeft, now: Instant): void {
    const { path } = life;
    const node = isRoot(path) ? undefined : this.#space.get(path);
    if (node?.deadlineMs === undefined || node.modifiedIndex !== life.modifiedIndex) return;
    const deadlineMs = now.steadyMs + Math.min(LIFE_MAX_MS, life.leftMs);
    if (node.expirationMs !== life.expirationMs || node.deadlineMs <= deadlineMs) return;
    const { dir, value, createdIndex, modifiedIndex, expirationMs } = node;
    const shortened = new TreeNode(
      dir,
      value,
      createdIndex,
      modifiedIndex,
      expirationMs,
      deadlineMs,
    );
    this.#space.put(path, shortened, node);
  }

  /** Stores the cluster version: a set that takes no index and makes no event. */
  setClusterVersion(value: ByteString): void {
    const path = "/0/version";
    const node = new TreeNode(false, value, this.etcdIndex, this.etcdIndex, undefined, undefined);
    this.#space.put(path, node, this.#space.get(path));
    this.stats.setsSuccess += 1;
  }

  /** @returns The node, or the refusal of a read: 100 or 104. */
  read(path: ByteString): TreeNode | EtcdError {
    return this.get(path) ?? this.#missing(path);
  }

  /** The node at any path, roots included. */
  get(path: ByteString): TreeNode | undefined {
    return isRoot(path) ? ROOT_NODE : this.#space.get(path);
  }

  #set(command: WriteCommand, now: Instant): RecordedEvent | EtcdError {
    const { path } = command;
    const node = this.get(path);
    let value = command.value;
    if (node === undefined) {
      const reach = this.#reach(path);
      if (!reach.node.dir || command.refresh) {
        this.stats.setsFail += 1;
        return this.#refusalAt(reach, path);
      }
      const problem = appliedPathProblem(reach.path, path);
      if (problem !== undefined) {
        this.stats.setsFail += 1;
        return this.#error(209, problem);
      }
      this.#makeDirectories(reach.path, path);
    } else {
      const code = isRoot(path) ? 107 : node.dir ? 102 : undefined;
      if (code !== undefined) {
        this.stats.setsFail += 1;
        return this.#error(code, code === 107 ? "/" : path);
      }
      if (command.refresh) value = node.value;
    }
    this.stats.setsSuccess += 1;
    return this.#place("set", path, value, command, node, now);
  }

  /** What create and createInOrder share. Counts only the additional set failure. */
  #create(path: ByteString, command: WriteCommand, now: Instant): RecordedEvent | EtcdError {
    if (isRoot(path)) return this.#error(107, "/");
    if (this.#space.get(path) !== undefined) return this.#error(105, path);
    const reach = this.#reach(path);
    if (!reach.node.dir) {
      this.stats.setsFail += 1;
      return this.#refusalAt(reach, path);
    }
    const problem = appliedPathProblem(reach.path, path);
    if (problem !== undefined) return this.#error(209, problem);
    this.#makeDirectories(reach.path, path);
    return this.#place("create", path, command.value, command, undefined, now);
  }

  #createInOrder(command: WriteCommand, now: Instant): RecordedEvent | EtcdError {
    const name = (this.etcdIndex + 1).toString().padStart(INDEX_DIGITS, "0");
    return this.#countCreate(this.#create(`${command.path}/${name}`, command, now));
  }

  #countCreate(result: RecordedEvent | EtcdError): RecordedEvent | EtcdError {
    if (result instanceof EtcdError) this.stats.createFail += 1;
    else this.stats.createSuccess += 1;
    return result;
  }

  /** Puts a new node where a file or nothing is; its directory exists. */
  #place(
    action: "set" | "create",
    path: ByteString,
    value: ByteString,
    command: WriteCommand,
    previous: TreeNode | undefined,
    now: Instant,
  ): RecordedEvent {
    const index = ++this.etcdIndex;
    const lasting = command.expirationMs === undefined || command.expirationMs < EXPIRATION_MIN_MS;
    const node = new TreeNode(
      command.dir,
      command.dir ? "" : value,
      index,
      index,
      lasting ? undefined : command.expirationMs,
      lasting ? undefined : deadlineOf(command, now),
    );
    this.#space.put(path, node, previous);
    return this.#changed(action, path, node, previous, action === "set" && command.refresh, now);
  }

  #update(command: WriteCommand, now: Instant): RecordedEvent | EtcdError {
    const { path } = command;
    if (isRoot(path)) {
      this.stats.updateSuccess += 1;
      return this.#error(107, "/");
    }
    const node = this.#space.get(path);
    if (node === undefined) {
      this.stats.updateFail += 1;
      return this.#missing(path);
    }
    this.stats.updateSuccess += 1;
    if (node.dir && command.value !== "") return this.#error(102, path);
    const index = ++this.etcdIndex;
    const next = new TreeNode(
      node.dir,
      node.dir || command.refresh ? node.value : command.value,
      node.createdIndex,
      // A directory keeps its modifiedIndex; only the event shows the new one.
      node.dir ? node.modifiedIndex : index,
      command.expirationMs,
      deadlineOf(command, now),
    );
    this.#space.put(path, next, node);
    return this.#changed("update", path, next, node, command.refresh, now);
  }

  #compareAndSwap(command: WriteCommand, now: Instant): RecordedEvent | EtcdError {
    const { path } = command;
    if (isRoot(path)) {
      this.stats.compareAndSwapSuccess += 1;
      return this.#error(107, "/");
    }
    const node = this.#space.get(path);
    if (node === undefined || node.dir) {
      this.stats.compareAndSwapFail += 1;
      return node === undefined ? this.#missing(path) : this.#error(102, path);
    }
    const refusal = this.#compare(command, node);
    if (refusal !== undefined) {
      this.stats.compareAndSwapFail += 1;
      return refusal;
    }
    this.stats.compareAndSwapSuccess += 1;
    const index = ++this.etcdIndex;
    const next = new TreeNode(
      false,
      command.refresh ? node.value : command.value,
      node.createdIndex,
      index,
      command.expirationMs,
      deadlineOf(command, now),
    );
    this.#space.put(path, next, node);
    return this.#changed("compareAndSwap", path, next, node, command.refresh, now);
  }

  #delete(command: WriteCommand, now: Instant): RecordedEvent | EtcdError {
    const { path } = command;
    if (isRoot(path)) {
      this.stats.deleteSuccess += 1;
      return this.#error(107, "/");
    }
    const node = this.#space.get(path);
    const refusal = this.#deleteRefusal(command, node);
    if (node === undefined || refusal !== undefined) {
      this.stats.deleteFail += 1;
      return refusal ?? this.#missing(path);
    }
    this.stats.deleteSuccess += 1;
    this.etcdIndex += 1;
    const removed = this.#remove(path, node);
    return this.#gone("delete", path, node, removed, now);
  }

  #deleteRefusal(command: WriteCommand, node: TreeNode | undefined): EtcdError | undefined {
    const { path, recursive } = command;
    if (node?.dir !== true || recursive) return undefined;
    if (!command.dir) return this.#error(102, path);
    return this.#space.hasChildren(path) ? this.#error(108, path) : undefined;
  }

  #compareAndDelete(command: WriteCommand, now: Instant): RecordedEvent | EtcdError {
    const { path } = command;
    const node = this.get(path);
    if (node === undefined) {
      this.stats.compareAndDeleteFail += 1;
      return this.#missing(path);
    }
    // Refusals from here on are counted as successes, as etcd 2.3.8 does.
    this.stats.compareAndDeleteSuccess += 1;
    if (node.dir) return this.#error(102, isRoot(path) ? "" : path);
    const refusal = this.#compare(command, node);
    if (refusal !== undefined) return refusal;
    this.etcdIndex += 1;
    this.#space.remove(path, node);
    return this.#gone("compareAndDelete", path, node, undefined, now);
  }

  /** The refusal of a comparison; only conditions that failed are shown. */
  #compare(command: WriteCommand, node: TreeNode): EtcdError | undefined {
    const { prevValue, prevIndex } = command;
    const valueFails = prevValue !== "" && prevValue !== node.value;
    const indexFails = prevIndex !== 0 && prevIndex !== node.modifiedIndex;
    if (!valueFails && !indexFails) return undefined;
    const causes: string[] = [];
    if (valueFails) causes.push(`[${prevValue} != ${node.value}]`);
    if (indexFails) causes.push(`[${prevIndex} != ${node.modifiedIndex}]`);
    return this.#error(101, causes.join(" "));
  }

  /** Removes a node and all below it. */
  #remove(path: ByteString, node: TreeNode): RemovedNames | undefined {
    const removed = node.dir ? this.#space.removeBelow(path, this.etcdIndex) : NO_NAMES;
    this.#space.remove(path, node);
    return removed.paths?.length === 0 ? undefined : removed;
  }

  #changed(
    action: EventAction,
    path: ByteString,
    node: TreeNode,
    previous: TreeNode | undefined,
    refresh: boolean,
    now: Instant,
  ): RecordedEvent {
    return {
      action,
      node: {
        key: path,
        value: node.dir ? undefined : node.value,
        dir: node.dir,
        createdIndex: node.createdIndex,
        modifiedIndex: this.etcdIndex,
        expirationMs: node.expirationMs,
        ttl: ttlOf(node, now.steadyMs),
      },
      prevNode: previous === undefined ? undefined : nodeExtern(path, previous, now.steadyMs),
      etcdIndex: this.etcdIndex,
      refresh,
      removed: undefined,
    };
  }

  #gone(
    action: "delete" | "compareAndDelete",
    path: ByteString,
    node: TreeNode,
    removed: RemovedNames | undefined,
    now: Instant,
  ): RecordedEvent {
    return {
      action,
      node: removedExtern(path, node.dir, node.createdIndex, this.etcdIndex),
      prevNode: nodeExtern(path, node, now.steadyMs),
      etcdIndex: this.etcdIndex,
      refresh: false,
      removed,
    };
  }

  /**
   * The deepest existing node above a path that does not exist. Whatever exists has everything above
   * it: the parent is looked at first, then the place is found by halving, so that a path costs the
   * logarithm of its depth in looks.
   */
  #reach(path: ByteString): Reach {
    const parent = parentPath(path);
    const node = this.get(parent);
    if (node !== undefined) return { path: parent, node };
    const slashes = slashesOf(parent);
    let reach: Reach = { path: "", node: ROOT_NODE };
    let missing = slashes.length;
    for (let step = 1, low = 0; low < missing - 1; step *= 2) {
      // Steps that double from the root on, then halves: a path that is missing near the root is met early.
      const at = Math.min(low + step, (low + missing) >> 1);
      const above = path.slice(0, slashes[at]);
      const found = this.get(above);
      if (found === undefined) {
        missing = at;
        step = missing;
      } else {
        low = at;
        reach = { path: above, node: found };
      }
    }
    return reach;
  }

  /** Makes the directories between an existing one and the parent of `path`. */
  #makeDirectories(existing: ByteString, path: ByteString): void {
    const index = this.etcdIndex + 1;
    let end = path.indexOf("/", existing.length + 1);
    while (end !== -1) {
      const directory = new TreeNode(true, "", index, index, undefined, undefined);
      this.#space.put(path.slice(0, end), directory, undefined);
      end = path.indexOf("/", end + 1);
    }
  }

  #missing(path: ByteString): EtcdError {
    return this.#refusalAt(this.#reach(path), path);
  }

  /** 104 when a file is in the way, else 100 with the path of the first missing element. */
  #refusalAt(reach: Reach, path: ByteString): EtcdError {
    if (!reach.node.dir) return this.#error(104, reach.path);
    const end = path.indexOf("/", reach.path.length + 1);
    return this.#error(100, end === -1 ? path : path.slice(0, end));
  }

  #error(code: EtcdError["code"], cause: string): EtcdError {
    return new EtcdError(code, cause, this.etcdIndex);
  }
}
