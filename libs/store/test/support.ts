/** What several test files share: commands, clocks, a store with short calls. */
import assert from "node:assert/strict";
import {
  type Command,
  type WriteAction,
  type WriteCommand,
  writeCommand,
} from "../src/model/command.ts";
import { EtcdError } from "../src/model/errors.ts";
import type { NodeExtern, StoreEvent } from "../src/model/event.ts";
import type { Kv } from "../src/kv/kv.ts";
import { MemoryKv } from "../src/kv/memory-kv.ts";
import type { ListingRow, Outcome } from "../src/model/ports.ts";
import { StateMachine, type StateMachineOptions } from "../src/state-machine.ts";

export type WriteOptions = Partial<Omit<WriteCommand, "action" | "path">>;

export function command(
  action: WriteAction,
  path: string,
  options: WriteOptions = {},
): WriteCommand {
  return writeCommand({ action, path, ...options });
}

/** Both clocks by hand. They start at different times, to show who mixes them up. */
export class FakeClock {
  wall = 1_700_000_000_000;
  steady = 1_600_000_000_000;
  wallMs(): number {
    return this.wall;
  }
  steadyMs(): number {
    return this.steady;
  }
  /** Time passes on both. */
  advance(ms: number): void {
    this.wall += ms;
    this.steady += ms;
  }
  /** The life options of a command given now. */
  ttl(seconds: number): { expirationMs: number; ttlMs: number } {
    return { expirationMs: this.wall + seconds * 1000, ttlMs: seconds * 1000 };
  }
}

/** A queue of slices that run when the test says so. */
export class Turns {
  readonly #slices: (() => void)[] = [];
  readonly schedule = (slice: () => void): void => {
    this.#slices.push(slice);
  };
  get pending(): number {
    return this.#slices.length;
  }
  /** Runs one waiting slice. @returns Whether there was one. */
  step(): boolean {
    const slice = this.#slices.shift();
    slice?.();
    return slice !== undefined;
  }
  drain(): void {
    for (let i = 0; this.step(); i++) assert.ok(i < 1_000_000, "slices do not schedule for ever");
  }
}

/** A state machine that gives every command a log entry of its own. */
export class TestStore {
  readonly machine: StateMachine;
  readonly clock: FakeClock;
  readonly turns: Turns;
  raftIndex: number;
  private constructor(machine: StateMachine, clock: FakeClock, turns: Turns) {
    this.machine = machine;
    this.clock = clock;
    this.turns = turns;
    this.raftIndex = machine.appliedIndex;
  }

  static async open(
    options: Partial<Omit<StateMachineOptions, "clock" | "schedule">> & { clock?: FakeClock } = {},
  ): Promise<TestStore> {
    const { kv = new MemoryKv(), clock = new FakeClock(), ...rest } = options;
    const turns = new Turns();
    const machine = await StateMachine.open({ kv, clock, schedule: turns.schedule, ...rest });
    return new TestStore(machine, clock, turns);
  }

  get kv(): Kv {
    return this.machine.kv;
  }

  apply(given: Command): Outcome {
    const term = Math.max(1, this.machine.appliedTerm);
    return this.machine.apply([{ index: ++this.raftIndex, term, command: given }])[0];
  }

  /** Applies a write that must take effect. */
  write(action: WriteAction, path: string, options: WriteOptions = {}): StoreEvent {
    const outcome = this.apply(command(action, path, options));
    if (outcome === undefined || outcome instanceof EtcdError) {
      assert.fail(`${action} ${path}: ${outcome?.message ?? "nothing"} ${outcome?.cause ?? ""}`);
    }
    return outcome;
  }

  set(path: string, value = "", options: WriteOptions = {}): StoreEvent {
    return this.write("set", path, { value, ...options });
  }

  /** Applies a write that must be refused. */
  refused(action: WriteAction, path: string, options: WriteOptions = {}): [number, string, number] {
    const outcome = this.apply(command(action, path, options));
    assert.ok(outcome instanceof EtcdError, `${action} ${path} was not refused`);
    return [outcome.code, outcome.cause, outcome.index];
  }

  get(path: string): NodeExtern {
    const result = this.machine.reader.get(path, { recursive: false });
    result.children?.close();
    return result.node;
  }

  /** All rows of a listing. */
  list(path: string, recursive = false, rowsMax = 3): ListingRow[] {
    const { children } = this.machine.reader.get(path, { recursive });
    assert.ok(children !== undefined, `${path} is a directory`);
    const rows: ListingRow[] = [];
    for (;;) {
      const next = children.next(rowsMax);
      if (next.length === 0) return rows;
      assert.ok(next.length <= rowsMax);
      rows.push(...next);
    }
  }

  keys(path: string, recursive = true): string[] {
    return this.list(path, recursive).map((row) => row.node.key);
  }

  /** Runs what the leader would propose now. */
  expireDue(max = 1000): readonly string[] {
    const expired = this.machine.dueNodes(this.clock.steadyMs(), max);
    if (expired.length > 0) this.apply({ action: "expire", expired });
    return expired.map((node) => node.path);
  }
}
