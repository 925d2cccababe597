/**
 * A small linearizability checker: is there an order of the operations that respects real time
 * and that the model accepts? The search is Wing and Gong's with Lowe's memory of visited
 * configurations ("Testing for linearizability", 2017), one partition (key) at a time, since a
 * history is linearizable exactly when each of its keys is (Herlihy and Wing, 1990).
 */

/** One operation of a recorded history. Times are any increasing numbers of one clock. */
export interface Operation<I, O> {
  readonly input: I;
  /** undefined: the outcome is unknown; the operation may take effect at any later time. */
  readonly output: O | undefined;
  readonly call: number;
  /** Ignored when the outcome is unknown. */
  readonly return: number;
}

/** A sequential object. States are compared by their text. */
export interface Model<S, I, O> {
  readonly initial: S;
  /** The state after the operation, or undefined when this outcome is impossible in `state`. */
  step(state: S, input: I, output: O | undefined): S | undefined;
  describe(state: S): string;
}

interface Node {
  /** Index of the operation. */
  readonly id: number;
  /** Set on call nodes: the matching return. */
  readonly match: Node | undefined;
  next: Node | undefined;
  prev: Node | undefined;
}

/** Doubly linked list of calls and returns in time order, behind a head. */
function link<I, O>(operations: readonly Operation<I, O>[]): Node {
  const events: { time: number; isReturn: boolean; node: Node }[] = [];
  for (const [id, operation] of operations.entries()) {
    const back: Node = { id, match: undefined, next: undefined, prev: undefined };
    const call: Node = { id, match: back, next: undefined, prev: undefined };
    const end = operation.output === undefined ? Number.POSITIVE_INFINITY : operation.return;
    events.push({ time: operation.call, isReturn: false, node: call });
    events.push({ time: end, isReturn: true, node: back });
  }
  // At equal times calls come first: the operations then count as concurrent.
  events.sort((a, b) => a.time - b.time || Number(a.isReturn) - Number(b.isReturn) || 0);
  const head: Node = { id: -1, match: undefined, next: undefined, prev: undefined };
  let last = head;
  for (const { node } of events) {
    last.next = node;
    node.prev = last;
    last = node;
  }
  return head;
}

function lift(call: Node): void {
  const back = call.match;
  if (call.prev) call.prev.next = call.next;
  if (call.next) call.next.prev = call.prev;
  if (back?.prev) back.prev.next = back.next;
  if (back?.next) back.next.prev = back.prev;
}

function unlift(call: Node): void {
  const back = call.match;
  if (back?.prev) back.prev.next = back;
  if (back?.next) back.next.prev = back;
  if (call.prev) call.prev.next = call;
  if (call.next) call.next.prev = call;
}

/** The set of operations already placed, as bits. */
class Placed {
  readonly #words: Uint32Array;
  constructor(size: number) {
    this.#words = new Uint32Array(Math.ceil(size / 32));
  }
  flip(id: number): void {
    const word = id >>> 5;
    this.#words[word] = (this.#words[word] ?? 0) ^ (1 << (id & 31));
  }
  key(): string {
    return Buffer.from(this.#words.buffer).toString("latin1");
  }
}

/** Whether the operations of one partition are linearizable. */
export function checkPartition<S, I, O>(
  operations: readonly Operation<I, O>[],
  model: Model<S, I, O>,
): boolean {
  const head = link(operations);
  const placed = new Placed(operations.length);
  const seen = new Set<string>();
  const stack: { call: Node; state: S }[] = [];
  let known = operations.filter((operation) => operation.output !== undefined).length;
  let state = model.initial;
  let node = head.next;
  // Operations of unknown outcome may never take effect, so only the others must be placed.
  while (known > 0) {
    if (node?.match !== undefined) {
      const operation = operations[node.id];
      if (operation === undefined) throw new RangeError("operation out of range");
      const next = model.step(state, operation.input, operation.output);
      if (next !== undefined) {
        placed.flip(node.id);
        const configuration = `${placed.key()}|${model.describe(next)}`;
        if (!seen.has(configuration)) {
          seen.add(configuration);
          stack.push({ call: node, state });
          state = next;
          if (operation.output !== undefined) known -= 1;
          lift(node);
          node = head.next;
          continue;
        }
        placed.flip(node.id);
      }
      node = node.next;
      continue;
    }
    // A return was met before its call could be placed: go back and try another order.
    const last = stack.pop();
    if (last === undefined) return false;
    state = last.state;
    placed.flip(last.call.id);
    if (operations[last.call.id]?.output !== undefined) known += 1;
    unlift(last.call);
    node = last.call.next;
  }
  return true;
}

/** The keys whose operations are not linearizable; none means the whole history is. */
export function checkHistory<S, I, O>(
  operations: readonly Operation<I, O>[],
  model: Model<S, I, O>,
  partitionOf: (input: I) => string,
): readonly string[] {
  const partitions = new Map<string, Operation<I, O>[]>();
  for (const operation of operations) {
    const key = partitionOf(operation.input);
    const list = partitions.get(key);
    if (list === undefined) partitions.set(key, [operation]);
    else list.push(operation);
  }
  return [...partitions].filter(([, list]) => !checkPartition(list, model)).map(([key]) => key);
}
