/**
 * The store document inside every old snapshot, 0.4 to 3.5: a tree of nodes, the recent events and
 * the store index. Streams: nodes are handed out as they are read, parents first, siblings in the
 * order of the document. Only the events (at most a thousand) are held in memory.
 */
import type { EventAction, NodeExtern, StoreEvent } from "@etcd2/store";
import { FormatError } from "./io/format-error.ts";
import { nanosToMs, parseGoTime } from "./io/go-time.ts";
import type { JsonValue } from "./io/json-scanner.ts";
import { JsonScanner, memberOf } from "./io/json-scanner.ts";

/** Deepest tree accepted. */
const DEPTH_MAX = 3000;

export interface SourceNode {
  /** Path as in the document: "/1/foo", or "/foo" in a 0.4 store. A byte string. */
  readonly path: string;
  readonly dir: boolean;
  readonly value: string;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
  /** Nanoseconds since 1970, undefined for permanent. */
  readonly expirationNs: bigint | undefined;
}

export interface StoreDocument {
  /** The store index. */
  readonly currentIndex: number;
  /** Recent events, oldest first, without a gap at the end. */
  readonly events: readonly StoreEvent[];
}

/** Reads a store document; calls `visit` for each node except the root. */
export function readStoreJson(
  chunks: Iterable<Buffer>,
  visit: (node: SourceNode) => void,
): StoreDocument {
  const scanner = new JsonScanner(chunks);
  const found: {
    hasRoot?: boolean;
    currentIndex?: number;
    events?: readonly StoreEvent[];
  } = {};
  scanner.object((key) => {
    if (key === "Root") {
      found.hasRoot = true;
      readNode(scanner, "/", visit, 0);
    } else if (key === "CurrentIndex") found.currentIndex = scanner.index();
    else if (key === "WatcherHub") found.events = readHub(scanner);
    else scanner.value();
  });
  scanner.end();
  const { currentIndex, events = [] } = found;
  if (found.hasRoot !== true || currentIndex === undefined) {
    throw new FormatError("unreadable store: it has no root or no index");
  }
  // A history that does not lead to the index is of no use to a watcher.
  const isUsable = events.at(-1)?.etcdIndex === currentIndex;
  return { currentIndex, events: isUsable ? events : [] };
}

function readNode(
  scanner: JsonScanner,
  expectedPath: string,
  visit: (node: SourceNode) => void,
  depth: number,
): void {
  if (depth > DEPTH_MAX) throw new FormatError("unreadable store: nested too deeply");
  const fields = new NodeFields(expectedPath, visit);
  const prefix = expectedPath === "/" ? "/" : `${expectedPath}/`;
  scanner.object((key) => {
    if (key !== "Children") fields.read(scanner, key);
    else if (!scanner.acceptNull()) {
      fields.emit(true);
      scanner.object((name) => {
        readNode(scanner, prefix + name, visit, depth + 1);
      });
    }
  });
  fields.emit(false);
}

/** The members of a node, handed out once: before its children, or at its end. */
class NodeFields {
  readonly #expectedPath: string;
  readonly #visit: (node: SourceNode) => void;
  #emitted = false;
  #path = "";
  #value = "";
  #createdIndex = 0;
  #modifiedIndex = 0;
  #expirationNs: bigint | undefined;

  constructor(expectedPath: string, visit: (node: SourceNode) => void) {
    this.#expectedPath = expectedPath;
    this.#visit = visit;
  }

  read(scanner: JsonScanner, key: string): void {
    if (this.#emitted) {
      throw new FormatError("unreadable store: a node's fields follow its children");
    }
    if (key === "Path") this.#path = scanner.string();
    else if (key === "Value") this.#value = scanner.string();
    else if (key === "CreatedIndex") this.#createdIndex = scanner.index();
    else if (key === "ModifiedIndex") this.#modifiedIndex = scanner.index();
    else if (key === "ExpireTime") this.#expirationNs = parseGoTime(scanner.string());
    else scanner.value();
  }

  emit(dir: boolean): void {
    if (this.#emitted) return;
    this.#emitted = true;
    if (this.#path !== this.#expectedPath) {
      throw new FormatError(`unreadable store: node ${this.#path} stands at ${this.#expectedPath}`);
    }
    if (this.#path === "/") return;
    this.#visit({
      path: this.#path,
      dir,
      value: dir ? "" : this.#value,
      createdIndex: this.#createdIndex,
      modifiedIndex: this.#modifiedIndex,
      expirationNs: this.#expirationNs,
    });
  }
}

function readHub(scanner: JsonScanner): readonly StoreEvent[] {
  const events: StoreEvent[] = [];
  scanner.object((key) => {
    if (key !== "EventHistory") {
      scanner.value();
      return;
    }
    scanner.object((part) => {
      if (part !== "Queue") {
        scanner.value();
        return;
      }
      scanner.object((member) => {
        if (member !== "Events" || scanner.acceptNull()) {
          if (member !== "Events") scanner.value();
          return;
        }
        scanner.array(() => {
          const event = toEvent(scanner.value());
          if (event !== undefined) events.push(event);
        });
      });
    });
  });
  return newestRun(events.sort((a, b) => a.etcdIndex - b.etcdIndex));
}

/** The longest run of consecutive indexes at the end: a history must not have holes. */
function newestRun(sorted: readonly StoreEvent[]): readonly StoreEvent[] {
  let from = sorted.length;
  while (from > 0) {
    const next = sorted[from];
    const before = sorted[from - 1];
    if (next !== undefined && before?.etcdIndex !== next.etcdIndex - 1) break;
    from--;
  }
  return sorted.slice(from);
}

const ACTIONS: ReadonlySet<string> = new Set<EventAction>([
  "set",
  "create",
  "update",
  "compareAndSwap",
  "delete",
  "compareAndDelete",
  "expire",
]);

function isAction(text: unknown): text is EventAction {
  return typeof text === "string" && ACTIONS.has(text);
}

/** Undefined for the empty places of the ring and for what is no change. */
function toEvent(value: JsonValue): StoreEvent | undefined {
  const action = memberOf(value, "action");
  const node = toNode(memberOf(value, "node"));
  if (!isAction(action) || node === undefined) return undefined;
  return {
    action,
    node,
    prevNode: toNode(memberOf(value, "prevNode")),
    etcdIndex: node.modifiedIndex,
    refresh: memberOf(value, "refresh") === true,
  };
}

function toNode(value: JsonValue | undefined): NodeExtern | undefined {
  if (!(value instanceof Map)) return undefined;
  const text = (name: string): string | undefined => {
    const found = memberOf(value, name);
    return typeof found === "string" ? found : undefined;
  };
  const number = (name: string): number => {
    const found = memberOf(value, name);
    return typeof found === "number" && Number.isSafeInteger(found) ? found : 0;
  };
  const expiration = text("expiration");
  const expirationNs = expiration === undefined ? undefined : parseGoTime(expiration);
  return {
    key: text("key") ?? "",
    value: text("value"),
    dir: memberOf(value, "dir") === true,
    createdIndex: number("createdIndex"),
    modifiedIndex: number("modifiedIndex"),
    expirationMs: expirationNs === undefined ? undefined : nanosToMs(expirationNs),
    ttl: number("ttl"),
  };
}
