/** Checks a whole store: that its nodes make a tree, its indexes fit, its history has no holes. */
import type { NodeExtern, StateMachine } from "@etcd2/store";
import { walkTree } from "@etcd2/store";
import type { Pacer } from "../pacer.ts";

const ROWS = 512;

/** Problems told one by one; the rest is a number. */
const PROBLEMS_MAX = 20;

/** What is wrong, in sentences; nothing when all is well. */
export async function checkTree(machine: StateMachine, pacer: Pacer): Promise<readonly string[]> {
  const problems: string[] = [];
  let count = 0;
  const note = (problem: string): void => {
    if (++count <= PROBLEMS_MAX) problems.push(problem);
  };
  const { etcdIndex } = machine.reader;
  /** Directories that are open, outermost first. */
  const open: string[] = [];
  const listing = walkTree(machine.kv);
  try {
    for (let rows = listing.next(ROWS); rows.length > 0; rows = listing.next(ROWS)) {
      for (const { node } of rows) {
        checkNode(node, etcdIndex, note);
        const parent = node.key.slice(0, node.key.lastIndexOf("/"));
        while (open.length > 0 && open.at(-1) !== parent) open.pop();
        if (open.length === 0 && !ROOTS.has(parent)) note(`${node.key} has no directory`);
        if (node.dir) open.push(node.key);
        if (pacer.due()) await pacer.pause();
      }
    }
  } finally {
    listing.close();
  }
  await checkHistory(machine, note, pacer);
  if (count > PROBLEMS_MAX) problems.push(`and ${count - PROBLEMS_MAX} more problems`);
  return problems;
}

const ROOTS: ReadonlySet<string> = new Set(["", "/0", "/1"]);

function checkNode(node: NodeExtern, etcdIndex: number, note: (problem: string) => void): void {
  const { key, createdIndex, modifiedIndex } = node;
  if (createdIndex > modifiedIndex) {
    note(`${key} was modified (${modifiedIndex}) before it was created (${createdIndex})`);
  }
  if (modifiedIndex > etcdIndex) {
    note(`${key} was modified at ${modifiedIndex}, beyond the store's index ${etcdIndex}`);
  }
}

async function checkHistory(
  machine: StateMachine,
  note: (problem: string) => void,
  pacer: Pacer,
): Promise<void> {
  const { history } = machine;
  let next = history.firstIndex;
  while (next <= history.lastIndex) {
    const events = history.read(next);
    if (events.length === 0) {
      note(`the history lacks the event ${next}`);
      return;
    }
    for (const event of events) {
      if (event.etcdIndex !== next) {
        note(`the history has event ${event.etcdIndex} where ${next} should be`);
        return;
      }
      next++;
    }
    if (pacer.due()) await pacer.pause();
  }
  if (history.lastIndex !== machine.reader.etcdIndex) {
    note(`the history ends at ${history.lastIndex}, the store at ${machine.reader.etcdIndex}`);
  }
}
