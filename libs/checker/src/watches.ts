/**
 * What a watcher must have been told, across all its requests: every change that concerns it from its
 * first index on, in order, each once, with the right action and nodes; and that the history was
 * gone only when it was.
 */
import { describeNode, isSameNode } from "./events.ts";
import type { KnownEvent, KnownHistory, KnownNode } from "./events.ts";

/** One event as it was told. */
export interface ToldEvent {
  readonly action: string;
  readonly node: KnownNode;
  readonly prevNode?: KnownNode | undefined;
}

/** Something that a watcher learned. */
export type WatchStep =
  | { readonly kind: "told"; readonly event: ToldEvent }
  /** The history from `wanted` on was gone; the watcher goes on after `resumed`. */
  | {
      readonly kind: "cleared";
      readonly wanted: number;
      readonly first: number;
      readonly resumed: number;
    };

/** All that one watcher learned. */
export interface WatchRecord {
  readonly name: string;
  readonly path: string;
  readonly recursive: boolean;
  /** First index it wants to hear of. */
  readonly from: number;
  readonly steps: readonly WatchStep[];
  /** Last index of which it must have heard. */
  readonly until: number;
}

/** The rule of the API: at the path, below it unless hidden, or a directory above that was removed. */
export function concerns(path: string, recursive: boolean, event: KnownEvent): boolean {
  if (event.refresh === true) return false;
  const { key } = event.node;
  if (key === path) return true;
  const prefix = path === "/" ? "/" : `${path}/`;
  if (key.startsWith(prefix)) {
    return recursive && !key.slice(prefix.length - 1).includes("/_");
  }
  return path.startsWith(`${key}/`) && event.removed?.has(path) === true;
}

/** Says what is wrong with what a watcher was told; nothing when nothing is. */
export function checkWatch(
  history: KnownHistory,
  record: WatchRecord,
  historyMax: number,
): readonly string[] {
  const { name, path, recursive } = record;
  const expected = history.events.filter((event) => concerns(path, recursive, event));
  let from = record.from;
  for (const step of record.steps) {
    if (step.kind === "cleared") {
      const oldest = history.lastIndex - historyMax + 1;
      if (step.wanted >= step.first || step.first > Math.max(1, oldest)) {
        return [
          `${name} was told that ${step.wanted} is cleared, of a history from ${step.first} on`,
        ];
      }
      from = step.resumed;
      continue;
    }
    const next = expected.find(({ index }) => index >= from);
    const { event } = step;
    const told = `${event.action} ${describeNode(event.node)} before ${describeNode(event.prevNode)}`;
    if (next === undefined) return [`${name} was told ${told}, which never happened`];
    const isRight =
      next.action === event.action &&
      isSameNode(next.node, event.node) &&
      isSameNode(next.prevNode, event.prevNode);
    if (!isRight) {
      const due = `${next.action} ${describeNode(next.node)} before ${describeNode(next.prevNode)}`;
      return [`${name} was told ${told}, due was ${due}`];
    }
    from = next.index + 1;
  }
  const missed = expected.find(({ index }) => index >= from && index <= record.until);
  if (missed === undefined) return [];
  return [`${name} was never told ${missed.action} ${describeNode(missed.node)}`];
}
