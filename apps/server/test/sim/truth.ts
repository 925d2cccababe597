/**
 * What really happened: the entries as the members gave them to their state machines, carried out once
 * more by the naive model. Every member is compared with it at every entry, every event and, on
 * demand, in its whole state.
 */
import { EtcdError } from "@etcd2/store";
import type { Command, RecordedEvent, StateMachine } from "@etcd2/store";
import { NaiveModel } from "@etcd2/store/testing";
import type { ModelEvent } from "@etcd2/store/testing";
import { KnownHistory } from "@etcd2/checker";
import type { KnownEvent, KnownNode } from "@etcd2/checker";
import { world } from "./runtime.ts";

interface KnownEntry {
  readonly term: number;
  readonly text: string;
  /** The refusals it led to, in the order of its writes. */
  readonly refusals: readonly string[];
}

export class Truth {
  readonly model = new NaiveModel({ wall: 0, steady: 0 }, 20_000);
  /** What contradicts it. */
  readonly problems: string[] = [];
  readonly #entries = new Map<number, KnownEntry>();
  /** True time at which the change of an index was first carried out. */
  readonly #times: number[] = [];
  #lastIndex = 0;

  /** Last entry of the log that was applied anywhere. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  happenedAt(etcdIndex: number): number | undefined {
    return this.#times[etcdIndex];
  }

  /** Looks at everything that this machine applies from now on. */
  observe(name: string, machine: StateMachine): void {
    const apply = machine.apply.bind(machine);
    machine.apply = (entries, meta) => {
      const before = machine.appliedIndex;
      const fresh = entries.filter(({ index }) => index > before);
      for (const { index, term, command } of fresh) this.#know(name, index, term, command);
      const outcomes = apply(entries, meta);
      entries.forEach(({ index, command }, at) => {
        if (index <= before || command === undefined || !("path" in command)) return;
        const outcome = outcomes[at];
        const told = outcome instanceof EtcdError ? [refusalText(outcome)] : [];
        this.#compare(`${name} at entry ${index}`, told, this.#entries.get(index)?.refusals ?? []);
      });
      return outcomes;
    };
    machine.onEvents((events) => {
      for (const event of events) this.#compareEvent(name, event);
    });
  }

  /** All changes of the part that clients see. */
  history(): KnownHistory {
    return new KnownHistory(this.model.events.map((event) => this.#known(event)));
  }

  /** Compares all nodes and the history of a machine that has applied everything. */
  compareState(name: string, machine: StateMachine): void {
    let count = 0;
    for (const [path, node] of this.model.all("")) {
      count += 1;
      const found = machine.reader.peek(path);
      const isFixed = path === "/0" || path === "/1";
      if (isFixed) continue;
      const shown = `${String(node.children !== undefined)} ${node.value} ${node.created} ${node.modified} ${String(node.expirationMs)}`;
      const has =
        found === undefined
          ? "nothing"
          : `${String(found.dir)} ${found.value ?? ""} ${found.createdIndex} ${found.modifiedIndex} ${String(found.expirationMs)}`;
      if (shown !== has) this.problems.push(`${name} has at ${path} ${has}, the log says ${shown}`);
    }
    if (machine.nodeCount !== count - 2) {
      this.problems.push(`${name} has ${machine.nodeCount} nodes, the log says ${count - 2}`);
    }
    const { history } = machine;
    for (let next = history.firstIndex; next <= history.lastIndex;) {
      const events = history.read(next);
      for (const event of events) this.#compareEvent(`the history of ${name}`, event);
      next += Math.max(1, events.length);
    }
    if (history.lastIndex !== this.model.index) {
      this.problems.push(`${name} ends at index ${history.lastIndex}, not ${this.model.index}`);
    }
  }

  #know(name: string, index: number, term: number, command: Command | undefined): void {
    const text = textOf(command);
    const known = this.#entries.get(index);
    if (known !== undefined) {
      if (known.text !== text || known.term !== term) {
        this.problems.push(
          `${name} applies at ${index} in term ${term} ${text}, somebody else in term ${known.term} ${known.text}`,
        );
      }
      return;
    }
    if (index !== this.#lastIndex + 1) {
      this.problems.push(`${name} applies ${index}, nobody has applied ${this.#lastIndex + 1}`);
    }
    this.#lastIndex = Math.max(this.#lastIndex, index);
    this.#entries.set(index, { term, text, refusals: this.#carryOut(command) });
    for (let at = this.#times.length; at <= this.model.index; at += 1)
      this.#times[at] = world().now;
  }

  #carryOut(command: Command | undefined): readonly string[] {
    if (command === undefined) return [];
    switch (command.action) {
      case "expire":
        this.model.expire(command.expired);
        return [];
      case "clusterVersion":
        this.model.setClusterVersion(command.value);
        return [];
      case "group":
        for (const write of command.writes) this.model.write(write);
        return [];
      case "set":
      case "create":
      case "createInOrder":
      case "update":
      case "compareAndSwap":
      case "delete":
      case "compareAndDelete": {
        const outcome = this.model.write(command);
        return Array.isArray(outcome) ? [outcome.join(" ")] : [];
      }
    }
  }

  #compareEvent(name: string, event: RecordedEvent): void {
    const known = this.model.events[event.etcdIndex - 1];
    const text = known === undefined ? "nothing" : eventText(known);
    this.#compare(`${name} at index ${event.etcdIndex}`, eventText(event), text);
  }

  #compare(where: string, has: unknown, expected: unknown): void {
    const [a, b] = [JSON.stringify(has), JSON.stringify(expected)];
    if (a !== b) this.problems.push(`${where} has ${a}, the log says ${b}`);
  }

  #known(event: ModelEvent): KnownEvent {
    const { action, node, prevNode, etcdIndex, refresh } = event;
    const removed = this.model.removed.get(etcdIndex);
    return {
      ...{ action, node: publicNode(node), index: etcdIndex, refresh },
      prevNode: prevNode === undefined ? undefined : publicNode(prevNode),
      removed: removed === undefined ? undefined : new Set([...removed].map(publicKey)),
    };
  }
}

/** Equal for equal commands, in whichever order their fields were set. */
function textOf(command: Command | undefined): string {
  if (command === undefined) return "nothing";
  return JSON.stringify(Object.fromEntries(Object.entries(command).sort()));
}

function refusalText({ code, cause, index }: EtcdError): string {
  return `${code} ${cause} ${index}`;
}

function eventText({ action, node, prevNode, etcdIndex, refresh }: ModelEvent): string {
  const shown = (each: ModelEvent["node"] | undefined): string =>
    each === undefined
      ? "-"
      : [
          ...[each.key, each.value, each.dir, each.createdIndex, each.modifiedIndex],
          each.expirationMs,
        ].join(" ");
  return `${etcdIndex} ${action} ${shown(node)} | ${shown(prevNode)} ${String(refresh)}`;
}

/** Clients see what is below /1 without that; what is not theirs keeps its name and a mark. */
function publicKey(path: string): string {
  if (path === "/1") return "/";
  return path.startsWith("/1/") ? path.slice(2) : `internal:${path}`;
}

function publicNode(node: ModelEvent["node"]): KnownNode {
  const { key, value, dir, createdIndex, modifiedIndex } = node;
  return { key: publicKey(key), value, dir, createdIndex, modifiedIndex };
}
