/**
 * The store a replay fills: the server's own state machine, with the old cluster's clock instead of
 * this machine's. Puts writes off and applies many at once; keeps expirations to the nanosecond
 * while it runs, since the order in which keys expired decided indexes.
 */
import type {
  AppliedEntry,
  Command,
  ExpiredNode,
  NodeExtern,
  StateMachine,
  StoreClock,
} from "@etcd2/store";
import { nanosToMs } from "../io/go-time.ts";
import type { ReplayWrite } from "./replay-store.ts";

/** Writes put off at most, by number and by bytes of values. */
const PENDING_MAX = 1000;
const PENDING_BYTES_MAX = 4 * 1024 * 1024;

/** Expirations remembered beyond the millisecond; without one, the whole millisecond counts. */
const EXACT_MAX = 200_000;

/** Time stands still between the old leader's signals. */
export class ReplayClock implements StoreClock {
  nowMs = 0;
  wallMs(): number {
    return this.nowMs;
  }
  steadyMs(): number {
    return this.nowMs;
  }
}

export class TargetStore {
  readonly #machine: StateMachine;
  readonly #clock: ReplayClock;
  #pending: AppliedEntry[] = [];
  #pendingBytes = 0;
  #raftIndex: number;
  #raftTerm: number;
  readonly #exact = new Map<string, bigint>();

  constructor(machine: StateMachine, clock: ReplayClock) {
    this.#machine = machine;
    this.#clock = clock;
    this.#raftIndex = machine.appliedIndex;
    this.#raftTerm = machine.appliedTerm;
  }

  get machine(): StateMachine {
    this.flush();
    return this.#machine;
  }

  get etcdIndex(): number {
    this.flush();
    return this.#machine.reader.etcdIndex;
  }

  /** Remembers the exact expiration of a node that was loaded. */
  noteExpiration(path: string, expirationNs: bigint): void {
    this.#exact.delete(path);
    this.#exact.set(path, expirationNs);
    if (this.#exact.size > EXACT_MAX) {
      for (const oldest of this.#exact.keys()) {
        this.#exact.delete(oldest);
        break;
      }
    }
  }

  begin(raftIndex: number, raftTerm: number): void {
    this.#raftIndex = raftIndex;
    this.#raftTerm = raftTerm;
  }

  write(command: ReplayWrite): void {
    this.#push(this.#withLife(command), command.value.length);
  }

  group(commands: readonly ReplayWrite[]): void {
    this.#push({ action: "group", writes: commands.map((command) => this.#withLife(command)) }, 0);
  }

  setTime(timeNs: bigint): void {
    this.flush();
    this.#clock.nowMs = nanosToMs(timeNs);
  }

  expire(timeNs: bigint): void {
    this.setTime(timeNs);
    const candidates = this.#machine.dueNodes(this.#clock.nowMs + 1, Number.MAX_SAFE_INTEGER);
    if (candidates.length === 0) return;
    const due: { readonly node: ExpiredNode; readonly at: bigint }[] = [];
    for (const node of candidates) {
      const at = this.#exact.get(node.path) ?? BigInt(node.expirationMs) * 1_000_000n;
      if (at <= timeNs) due.push({ node, at });
    }
    due.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
    if (due.length === 0) return;
    this.#push({ action: "expire", expired: due.map(({ node }) => node) }, 0);
    this.flush();
  }

  peek(path: string): NodeExtern | undefined {
    this.flush();
    return this.#machine.reader.peek(path);
  }

  peekChildren(path: string): readonly NodeExtern[] {
    this.flush();
    return this.#machine.reader.peekChildren(path);
  }

  /** Applies what was put off, and moves on to the entry begun last. */
  flush(): void {
    const last = this.#pending.at(-1)?.index ?? this.#machine.appliedIndex;
    if (this.#raftIndex > last) {
      this.#pending.push({ index: this.#raftIndex, term: this.#raftTerm, command: undefined });
    }
    if (this.#pending.length === 0) return;
    this.#machine.apply(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  #withLife(command: ReplayWrite): ReplayWrite {
    const { expirationMs, expirationNs } = command;
    if (expirationMs === undefined || expirationNs === undefined) return command;
    this.noteExpiration(command.path, expirationNs);
    return { ...command, ttlMs: expirationMs - this.#clock.nowMs };
  }

  #push(command: Command, bytes: number): void {
    this.#pending.push({ index: this.#raftIndex, term: this.#raftTerm, command });
    this.#pendingBytes += bytes;
    if (this.#pending.length >= PENDING_MAX || this.#pendingBytes >= PENDING_BYTES_MAX) {
      this.flush();
    }
  }
}
