/**
 * Watches by path: finding those an event concerns costs the depth of its path plus the matches,
 * however many watches there are. Does not deliver anything.
 */
import type { ByteString } from "../model/byte-string.ts";
import type { RecordedEvent } from "./recorded-event.ts";

/** What can stand in the trie. */
export interface TrieWatch {
  readonly path: ByteString;
  readonly recursive: boolean;
}

class TrieNode<W> {
  readonly parent: TrieNode<W> | undefined;
  readonly name: ByteString;
  children: Map<ByteString, TrieNode<W>> | undefined;
  /** Watches of this path alone. */
  exact: Set<W> | undefined;
  /** Watches of this path and all below. */
  recursive: Set<W> | undefined;
  /** Watches here and below. */
  count = 0;
  constructor(parent: TrieNode<W> | undefined, name: ByteString) {
    this.parent = parent;
    this.name = name;
  }
}

/** Where the path element behind the slash at `slash` ends. */
function segmentEnd(path: ByteString, slash: number): number {
  const end = path.indexOf("/", slash + 1);
  return end === -1 ? path.length : end;
}

/** Watches by path, so that an event finds its watches without looking at the others. */
export class WatcherTrie<W extends TrieWatch> {
  readonly #root = new TrieNode<W>(undefined, "");

  get size(): number {
    return this.#root.count;
  }

  add(watch: W): void {
    const node = this.#make(watch.path);
    if (watch.recursive) (node.recursive ??= new Set()).add(watch);
    else (node.exact ??= new Set()).add(watch);
    for (let at: TrieNode<W> | undefined = node; at !== undefined; at = at.parent) at.count += 1;
  }

  /** @returns Whether it was there. */
  delete(watch: W): boolean {
    const node = this.#find(watch.path);
    const removed = (watch.recursive ? node?.recursive : node?.exact)?.delete(watch) === true;
    if (!removed) return false;
    for (let at = node; at !== undefined; at = at.parent) {
      at.count -= 1;
      if (at.count === 0) at.parent?.children?.delete(at.name);
    }
    return true;
  }

  /** Adds the watches that an event concerns to `matches`; each stands there once. */
  match(event: RecordedEvent, matches: W[]): void {
    if (event.refresh || this.#root.count === 0) return;
    const path = event.node.key;
    const lastHidden = path.lastIndexOf("/_");
    let node = this.#root;
    let slash = 0;
    while (slash < path.length) {
      if (node.recursive !== undefined && lastHidden < slash) {
        for (const watch of node.recursive) matches.push(watch);
      }
      const end = segmentEnd(path, slash);
      const child = node.children?.get(path.slice(slash + 1, end));
      if (child === undefined) return;
      node = child;
      slash = end;
    }
    takeAll(node, matches);
    if (event.removed !== undefined) matchRemoved(node, event, matches);
  }

  /** All watches. */
  *values(): IterableIterator<W> {
    const pending: TrieNode<W>[] = [this.#root];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if (node.exact !== undefined) yield* node.exact;
      if (node.recursive !== undefined) yield* node.recursive;
      if (node.children !== undefined) pending.push(...node.children.values());
    }
  }

  #find(path: ByteString): TrieNode<W> | undefined {
    return descend(this.#root, path, 0);
  }

  #make(path: ByteString): TrieNode<W> {
    let node = this.#root;
    for (let slash = 0; slash < path.length;) {
      const end = segmentEnd(path, slash);
      const name = path.slice(slash + 1, end);
      const children = (node.children ??= new Map<ByteString, TrieNode<W>>());
      let child = children.get(name);
      if (child === undefined) {
        child = new TrieNode(node, name);
        children.set(name, child);
      }
      node = child;
      slash = end;
    }
    return node;
  }
}

function descend<W>(
  from: TrieNode<W>,
  path: ByteString,
  slashFrom: number,
): TrieNode<W> | undefined {
  let node: TrieNode<W> | undefined = from;
  for (let slash = slashFrom; slash < path.length && node !== undefined;) {
    const end = segmentEnd(path, slash);
    node = node.children?.get(path.slice(slash + 1, end));
    slash = end;
  }
  return node;
}

function takeAll<W>(node: TrieNode<W>, matches: W[]): void {
  if (node.exact !== undefined) for (const watch of node.exact) matches.push(watch);
  if (node.recursive !== undefined) for (const watch of node.recursive) matches.push(watch);
}

/** Watches of nodes that went away with the event's directory: the shorter list is walked. */
function matchRemoved<W>(directory: TrieNode<W>, event: RecordedEvent, matches: W[]): void {
  const { removed } = event;
  const base = event.node.key.length;
  const own = (directory.exact?.size ?? 0) + (directory.recursive?.size ?? 0);
  if (removed === undefined || directory.count === own) return;
  const { paths } = removed;
  if (paths !== undefined && paths.length < directory.count - own) {
    for (const path of paths) {
      const node = descend(directory, path, base);
      if (node !== undefined) takeAll(node, matches);
    }
    return;
  }
  const pending: [TrieNode<W>, ByteString][] = [];
  const push = (node: TrieNode<W>, path: ByteString): void => {
    for (const child of node.children?.values() ?? [])
      pending.push([child, `${path}/${child.name}`]);
  };
  push(directory, event.node.key);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [node, path] = next;
    if (removed.has(path)) takeAll(node, matches);
    push(node, path);
  }
}
