/**
 * Linearizability of a recorded history of requests, with the indexes in the model: given every change
 * of the store with its index, the order is known, so that what remains is to see that each answer is
 * what the store said at its index, and that the indexes respect real time. Takes time linear in
 * the history. A request without an answer may have taken effect at any time, or never, but not twice.
 */
import { describeNode, isSameNode } from "./events.ts";
import type { KnownHistory, KnownNode } from "./events.ts";

/** One request of a client. Times are those of one clock. */
export interface ClientOperation {
  /** "write" changes the store if it succeeds; "read" is linearizable, "localRead" is one member's. */
  readonly kind: "write" | "read" | "localRead";
  /** For messages. */
  readonly text: string;
  readonly key: string;
  /** What this request alone would write: tells its change from all others; undefined for deletes. */
  readonly value?: string | undefined;
  readonly call: number;
  /** Infinity when nobody knows. */
  readonly return: number;
  /** What the node must have been for this write to succeed. */
  readonly wanted?: Condition | undefined;
  /** Names the run of the member that answered. */
  readonly member: string;
  readonly outcome: OperationOutcome;
}

/** What a conditional write asks of the node there is. */
export interface Condition {
  readonly value?: string;
  readonly index?: number;
  readonly exists?: boolean;
}

/** What came back. */
export type OperationOutcome =
  /** A write took effect: the event that was told. */
  | {
      readonly kind: "written";
      readonly action: string;
      readonly node: KnownNode;
      readonly prevNode: KnownNode | undefined;
      readonly index: number;
    }
  /** What a read found when the store was at `index`; undefined: no such key. */
  | { readonly kind: "found"; readonly node: KnownNode | undefined; readonly index: number }
  /** The store refused: nothing changed. The index is that of the store then. */
  | {
      readonly kind: "refused";
      readonly code: number;
      readonly index: number;
    }
  /** It was not carried out, and the client was told so. */
  | { readonly kind: "notDone" }
  | { readonly kind: "unknown" };

/** Says what is wrong with the history; nothing when nothing is. */
export function checkOperations(
  history: KnownHistory,
  operations: readonly ClientOperation[],
): readonly string[] {
  return [
    ...operations.flatMap((operation) => checkAnswer(history, operation)),
    ...checkRealTime(operations),
    ...checkLocalReads(operations),
    ...checkValues(history, operations),
  ];
}

function holds(wanted: Condition, node: KnownNode | undefined): boolean {
  if (wanted.exists !== undefined && wanted.exists !== (node !== undefined)) return false;
  if (wanted.value !== undefined && wanted.value !== node?.value) return false;
  return wanted.index === undefined || wanted.index === node?.modifiedIndex;
}

function checkAnswer(history: KnownHistory, operation: ClientOperation): readonly string[] {
  const { outcome, key, text, wanted } = operation;
  switch (outcome.kind) {
    case "written": {
      const event = history.at(outcome.index);
      if (event === undefined) return [`lost: ${text} was acknowledged at ${outcome.index}`];
      const isRight =
        event.action === outcome.action &&
        isSameNode(event.node, outcome.node) &&
        isSameNode(event.prevNode, outcome.prevNode);
      if (isRight && wanted !== undefined && !holds(wanted, event.prevNode)) {
        return [`${text} took effect where ${key} was ${describeNode(event.prevNode)}`];
      }
      if (isRight) return [];
      return [
        `${text} was told ${outcome.action} ${describeNode(outcome.node)} before ${describeNode(outcome.prevNode)}, but index ` +
          `${outcome.index} is ${event.action} ${describeNode(event.node)} before ${describeNode(event.prevNode)}`,
      ];
    }
    case "found": {
      const node = history.node(key, outcome.index);
      if (isSameNode(node, outcome.node)) return [];
      return [
        `${text} found ${describeNode(outcome.node)} at index ${outcome.index}, where ${key} was ${describeNode(node)}`,
      ];
    }
    case "refused":
      return checkRefusal(history, operation, outcome);
    case "notDone":
    case "unknown":
      return [];
  }
}

function checkRefusal(
  history: KnownHistory,
  { key, text, wanted }: ClientOperation,
  { code, index }: Extract<OperationOutcome, { kind: "refused" }>,
): readonly string[] {
  const node = history.node(key, index);
  const was = `at index ${index}, where ${key} was ${describeNode(node)}`;
  if (code === 100) return node === undefined ? [] : [`${text} was told there is no key ${was}`];
  if (code === 105) return node !== undefined ? [] : [`${text} was told the key exists ${was}`];
  if (code !== 101 || wanted === undefined) return [];
  return node !== undefined && holds(wanted, node) ? [`${text} failed to compare ${was}`] : [];
}

/** The index of an answer that takes part in the one order of all. */
function indexOf({ kind, outcome }: ClientOperation): number | undefined {
  if (kind === "localRead") return undefined;
  switch (outcome.kind) {
    case "written":
    case "found":
    case "refused":
      return outcome.index;
    case "notDone":
    case "unknown":
      return undefined;
  }
}

/** Whoever asks after an answer was given sees the store as it was then, or later. */
function checkRealTime(operations: readonly ClientOperation[]): readonly string[] {
  const problems: string[] = [];
  const known = operations.filter((operation) => indexOf(operation) !== undefined);
  const ended = known.toSorted((a, b) => a.return - b.return);
  let latest: ClientOperation | undefined;
  let at = 0;
  for (const operation of known.toSorted((a, b) => a.call - b.call)) {
    for (let next = ended[at]; next !== undefined && next.return < operation.call;) {
      if (latest === undefined || (indexOf(next) ?? 0) > (indexOf(latest) ?? 0)) latest = next;
      at += 1;
      next = ended[at];
    }
    if (latest === undefined) continue;
    const [index, before] = [indexOf(operation) ?? 0, indexOf(latest) ?? 0];
    const isWrite = operation.outcome.kind === "written";
    if (isWrite ? index > before : index >= before) continue;
    problems.push(
      `${operation.text} began after ${latest.text} had ended at index ${before}, and has index ${index}`,
    );
  }
  return problems;
}

/** A member never shows an older state than it has shown. */
function checkLocalReads(operations: readonly ClientOperation[]): readonly string[] {
  const problems: string[] = [];
  const shown = new Map<string, ClientOperation[]>();
  for (const operation of operations) {
    if (operation.kind === "write" || operation.outcome.kind !== "found") continue;
    const list = shown.get(operation.member) ?? [];
    list.push(operation);
    shown.set(operation.member, list);
  }
  for (const list of shown.values()) {
    const ended = list.toSorted((a, b) => a.return - b.return);
    let latest = 0;
    let at = 0;
    for (const operation of list.toSorted((a, b) => a.call - b.call)) {
      for (let next = ended[at]; next !== undefined && next.return < operation.call;) {
        if (next.outcome.kind === "found") latest = Math.max(latest, next.outcome.index);
        at += 1;
        next = ended[at];
      }
      if (operation.outcome.kind !== "found" || operation.outcome.index >= latest) continue;
      problems.push(
        `${operation.text}: ${operation.member} went back from index ${latest} to ${operation.outcome.index}`,
      );
    }
  }
  return problems;
}

/** No value that nobody wrote, none twice, none of a request that was not carried out. */
function checkValues(
  history: KnownHistory,
  operations: readonly ClientOperation[],
): readonly string[] {
  const writes = new Map<string, ClientOperation>();
  for (const operation of operations) {
    if (operation.kind === "write" && operation.value !== undefined) {
      writes.set(operation.value, operation);
    }
  }
  const problems: string[] = [];
  const seen = new Map<string, number>();
  for (const { action, node, index, refresh } of history.events) {
    if (node.value === undefined || node.value === "" || refresh === true) continue;
    if (action === "get" || !node.value.startsWith("client-")) continue;
    const writer = writes.get(node.value);
    if (writer === undefined) {
      problems.push(`nobody wrote what index ${index} has: ${describeNode(node)}`);
      continue;
    }
    const before = seen.get(node.value);
    if (before !== undefined) {
      problems.push(`${writer.text} took effect twice, at ${before} and ${index}`);
    }
    seen.set(node.value, index);
    const { outcome } = writer;
    if (outcome.kind === "notDone" || outcome.kind === "refused") {
      problems.push(`${writer.text} was refused, and took effect at ${index}`);
    }
    if (outcome.kind === "written" && outcome.index !== index) {
      problems.push(`${writer.text} was told ${outcome.index}, and took effect at ${index}`);
    }
  }
  return problems;
}
