/**
 * The simulated world that real code runs in: one queue of events in place of the event loop, and one
 * source for each thing that differs between two runs of a program. Importing this file replaces
 * timers, clocks, random numbers and the file system of the whole process, so it must be the first
 * import of the program, before any file of the product. Outside of a simulation all of them
 * answer as if time stood still.
 *
 * A simulated process owns what it schedules: when it is dead its events are dropped, while it stands
 * still they wait. After each event promises run until none is left, so nothing is ever
 * concurrent but by way of the queue, and equal seeds give equal runs.
 */
import { createRequire, syncBuiltinESMExports } from "node:module";

const realImmediate = setImmediate;

/** Where the wall clocks start. */
const EPOCH_MS = 1_700_000_000_000;

/** Between 0 (inclusive) and 1 (exclusive). */
export type Random = () => number;

/** A small generator with a full period (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One run of one simulated program, or the outside world. */
export class Owner {
  readonly name: string;
  readonly machine: Machine;
  isDead = false;
  /** Its own latest turn, so that its turns stay in order. */
  turnAt = 0;

  constructor(name: string, machine: Machine) {
    this.name = name;
    this.machine = machine;
  }
}

/** What processes on one machine share: clocks and the boot. */
export interface Machine {
  /** Added to the wall clock. */
  wallOffsetMs: number;
  /** Milliseconds of this machine in a true millisecond. */
  rate: number;
  /** The true time at which the monotonic clock stood at `monotonicMs`. */
  rateSince: number;
  monotonicMs: number;
  bootId: string;
  /** Until then nothing of it runs. */
  pausedUntil: number;
}

export function createMachine(bootId: string): Machine {
  return {
    ...{ wallOffsetMs: 0, rate: 1, rateSince: 0, monotonicMs: 1_000_000 },
    ...{ bootId, pausedUntil: 0 },
  };
}

interface Event {
  at: number;
  readonly sequence: number;
  readonly owner: Owner;
  run: (() => void) | undefined;
}

/** What the replaced functions hand out in place of a Timeout. */
class Timer {
  event: Event | undefined;
  readonly #repeat: (() => void) | undefined;
  constructor(repeat?: () => void) {
    this.#repeat = repeat;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return true;
  }
  refresh(): this {
    this.#repeat?.();
    return this;
  }
  [Symbol.toPrimitive](): number {
    return this.event?.sequence ?? 0;
  }
}

/** The queue of one simulation. */
export class World {
  /** True time, in milliseconds. */
  now = 0;
  /** Who runs. */
  owner: Owner;
  readonly random: Random;
  readonly outside: Owner;
  /** What happened so far, folded into one number: equal for equal runs. */
  digest = 0;
  events = 0;
  /** What nobody caught. */
  readonly unhandled: string[] = [];
  #sequence = 0;
  readonly #heap: Event[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.outside = new Owner("world", createMachine("outside"));
    this.owner = this.outside;
  }

  /** Folds something that happened into the digest. */
  note(text: string): void {
    let digest = this.digest;
    for (let at = 0; at < text.length; at += 1) {
      digest = (Math.imul(digest, 31) + text.charCodeAt(at)) | 0;
    }
    this.digest = digest;
  }

  /** Runs `run` as `owner` in so many true milliseconds. */
  after(delayMs: number, owner: Owner, run: () => void): Event {
    this.#sequence += 1;
    const event = { at: this.now + Math.max(0, delayMs), sequence: this.#sequence, owner, run };
    push(this.#heap, event);
    return event;
  }

  /** In a later turn of the one who asks, after those it asked for before. */
  soon(owner: Owner, run: () => void): Event {
    const at = Math.max(owner.turnAt, this.now + 0.001 + this.random() * 0.02);
    owner.turnAt = at;
    return this.after(at - this.now, owner, run);
  }

  monotonic(machine: Machine): number {
    return machine.monotonicMs + (this.now - machine.rateSince) * machine.rate;
  }

  wall(machine: Machine): number {
    return EPOCH_MS + this.now + machine.wallOffsetMs;
  }

  setRate(machine: Machine, rate: number): void {
    machine.monotonicMs = this.monotonic(machine);
    machine.rateSince = this.now;
    machine.rate = rate;
  }

  /** Runs as `owner` right now what the world does to it, and what follows from it. */
  async as<T>(owner: Owner, run: () => T): Promise<T> {
    const before = this.owner;
    this.owner = owner;
    try {
      return run();
    } finally {
      await quiescence();
      this.owner = before;
    }
  }

  /** Lets time pass until then, or until `isDone`. */
  async runUntil(end: number, isDone: () => boolean = () => false): Promise<void> {
    while (!isDone()) {
      const event = this.#heap[0];
      if (event === undefined || event.at > end) {
        this.now = Math.max(this.now, end);
        return;
      }
      pop(this.#heap);
      const { run, owner } = event;
      if (run === undefined || owner.isDead) continue;
      if (owner.machine.pausedUntil > event.at) {
        event.at = owner.machine.pausedUntil;
        push(this.#heap, event);
        continue;
      }
      this.now = Math.max(this.now, event.at);
      this.events += 1;
      this.digest = (Math.imul(this.digest, 31) + event.sequence + Math.floor(this.now * 1000)) | 0;
      this.owner = owner;
      try {
        run();
      } catch (error) {
        // What a process throws in the moment of its death nobody catches, nor needs to.
        if (!isDead(owner)) this.unhandled.push(`${owner.name}: ${stackOf(error)}`);
      }
      await quiescence();
      this.owner = this.outside;
    }
  }
}

function isDead(owner: Owner): boolean {
  return owner.isDead;
}

/** A turn of the real loop begins when no promise can go on any more. */
function quiescence(): Promise<void> {
  return new Promise((resolve) => realImmediate(resolve));
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || !isBefore(event, above)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    const left = heap[child];
    const right = heap[child + 1];
    if (left === undefined) break;
    let least = left;
    if (right !== undefined && isBefore(right, left)) {
      least = right;
      child += 1;
    }
    if (!isBefore(least, last)) break;
    heap[at] = least;
    at = child;
  }
  heap[at] = last;
}

let current: World | undefined;

/** The simulation under way. */
export function world(): World {
  if (current === undefined) throw new Error("no simulation is under way");
  return current;
}

export function enterWorld(next: World | undefined): void {
  current = next;
}

process.on("unhandledRejection", (error) => {
  if (current === undefined) throw error;
  if (!current.owner.isDead) current.unhandled.push(`${current.owner.name}: ${stackOf(error)}`);
});

type Callback = (...values: unknown[]) => void;

function simulatedTimeout(run: Callback, delayMs = 0, ...values: unknown[]): Timer {
  const at = world();
  const { owner } = at;
  const start = (): void => {
    if (timer.event !== undefined) timer.event.run = undefined;
    timer.event = at.after(Math.max(1, delayMs) / owner.machine.rate, owner, () => {
      run(...values);
    });
  };
  const timer = new Timer(start);
  start();
  return timer;
}

function simulatedInterval(run: Callback, delayMs = 1, ...values: unknown[]): Timer {
  const at = world();
  const { owner } = at;
  const timer = new Timer();
  const again = (): void => {
    timer.event = at.after(Math.max(1, delayMs) / owner.machine.rate, owner, () => {
      again();
      run(...values);
    });
  };
  again();
  return timer;
}

function simulatedImmediate(run: Callback, ...values: unknown[]): Timer {
  const timer = new Timer();
  const at = world();
  timer.event = at.soon(at.owner, () => {
    run(...values);
  });
  return timer;
}

function cancel(timer: unknown): void {
  if (timer instanceof Timer && timer.event !== undefined) timer.event.run = undefined;
}

const require = createRequire(import.meta.url);

/** Replaces functions of a module of Node for everybody who imports them from now on. */
export function replaceBuiltin(name: string, functions: Readonly<Record<string, unknown>>): void {
  Object.assign(require(name) as object, functions);
  syncBuiltinESMExports();
}

function randomBelow(bound: number): number {
  return Math.floor((current?.random() ?? 0.5) * bound);
}

function bytesOf(size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, () => randomBelow(256)));
}

function replaceSources(): void {
  Object.assign(globalThis, {
    setTimeout: simulatedTimeout,
    setInterval: simulatedInterval,
    setImmediate: simulatedImmediate,
    clearTimeout: cancel,
    clearInterval: cancel,
    clearImmediate: cancel,
  });
  Object.defineProperty(performance, "now", {
    value: () => current?.monotonic(current.owner.machine) ?? 0,
  });
  Object.defineProperty(process.hrtime, "bigint", {
    value: () => BigInt(Math.floor((current?.monotonic(current.owner.machine) ?? 0) * 1e6)),
  });
  Date.now = () => Math.floor(current?.wall(current.owner.machine) ?? EPOCH_MS);
  Math.random = () => current?.random() ?? 0.5;
  replaceBuiltin("node:crypto", {
    randomInt: (low: number, high?: number) =>
      high === undefined ? randomBelow(low) : low + randomBelow(high - low),
    randomBytes: bytesOf,
    randomUUID: () => bytesOf(16).toString("hex"),
  });
  replaceBuiltin("node:timers/promises", {
    setTimeout: (delayMs: number, value?: unknown) =>
      new Promise((resolve) => simulatedTimeout(resolve, delayMs, value)),
    setImmediate: (value?: unknown) => new Promise((resolve) => simulatedImmediate(resolve, value)),
  });
  replaceBuiltin("node:os", {
    uptime: () => 1e9,
  });
}

replaceSources();
