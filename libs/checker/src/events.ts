/**
 * What the history of a store is made of, as the checks see it: every change with its index, in order.
 * It comes from the log, replayed by an independent interpreter, or from a watch over everything.
 * Knows which node a key had at any index.
 */

/** A node as the API shows it, without what depends on the moment of asking. */
export interface KnownNode {
  readonly key: string;
  readonly value?: string | undefined;
  readonly dir?: boolean | undefined;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
}

/** One change. */
export interface KnownEvent {
  readonly action: string;
  readonly node: KnownNode;
  readonly prevNode?: KnownNode | undefined;
  readonly index: number;
  /** Shown to no watcher. */
  readonly refresh?: boolean | undefined;
  /** Paths that went with a directory. */
  readonly removed?: ReadonlySet<string> | undefined;
}

interface Version {
  readonly from: number;
  readonly node: KnownNode | undefined;
}

const GONE = new Set(["delete", "compareAndDelete", "expire"]);

/** All changes up to some index. */
export class KnownHistory {
  readonly events: readonly KnownEvent[];
  readonly #byIndex = new Map<number, KnownEvent>();
  readonly #versions = new Map<string, Version[]>();

  /** @param events in order; not every index needs to have one. */
  constructor(events: readonly KnownEvent[]) {
    this.events = events;
    for (const event of events) {
      this.#byIndex.set(event.index, event);
      this.#follow(event);
    }
  }

  /** The last index that is known. */
  get lastIndex(): number {
    return this.events.at(-1)?.index ?? 0;
  }

  at(index: number): KnownEvent | undefined {
    return this.#byIndex.get(index);
  }

  /** The file or directory that had this key when the store was at `index`, if it was ever named itself. */
  node(key: string, index: number): KnownNode | undefined {
    const versions = this.#versions.get(key) ?? [];
    for (let at = versions.length - 1; at >= 0; at -= 1) {
      const version = versions[at];
      if (version !== undefined && version.from <= index) return version.node;
    }
    return undefined;
  }

  #follow({ action, node, index }: KnownEvent): void {
    if (!GONE.has(action)) {
      this.#set(node.key, index, node);
      return;
    }
    for (const [key, versions] of this.#versions) {
      if (key !== node.key && !key.startsWith(`${node.key}/`)) continue;
      if (versions.at(-1)?.node !== undefined) this.#set(key, index, undefined);
    }
  }

  #set(key: string, from: number, node: KnownNode | undefined): void {
    const versions = this.#versions.get(key);
    if (versions === undefined) this.#versions.set(key, [{ from, node }]);
    else versions.push({ from, node });
  }
}

/** The same node, or none both times. */
export function isSameNode(a: KnownNode | undefined, b: KnownNode | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.key === b.key &&
    (a.value ?? "") === (b.value ?? "") &&
    (a.dir ?? false) === (b.dir ?? false) &&
    a.createdIndex === b.createdIndex &&
    a.modifiedIndex === b.modifiedIndex
  );
}

/** A node in one line, for messages. */
export function describeNode(node: KnownNode | undefined): string {
  if (node === undefined) return "nothing";
  const { key, value, createdIndex, modifiedIndex } = node;
  return `${key}=${value ?? "(dir)"} created ${createdIndex} modified ${modifiedIndex}`;
}
