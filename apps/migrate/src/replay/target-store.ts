/**
 * The store a replay fills: the server's own state machine, with the old cluster's clock instead of
 * this machine's. Puts writes off and applies many at once; keeps expirations to the nanosecond
 * while it runs, since the order in which keys expired decided indexes.
 */
import type { AppliedEntry, Command, ExpiredNode, Kv, NodeExtern, StoreClock } from "@etcd2/store";
import { StateMachine, StoreBuilder } from "@etcd2/store";
import { nanosToMs } from "../io/go-time.ts";
import type { LoadedNode, LoadEnd, ReplayStore, ReplayWrite } from "./replay-store.ts";

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

export class TargetStore implements ReplayStore {
  readonly #kv: Kv;
  readonly #clock = new ReplayClock();
  #builder: StoreBuilder | undefined;
  #opened: StateMachine | undefined;
  #pending: AppliedEntry[] = [];
  #pendingBytes = 0;
  #raftIndex = 0;
  #raftTerm = 0;
  readonly #exact = new Map<string, bigint>();

  /** Fills `kv`, which must be empty. The caller closes the machine, which closes the kv. */
  constructor(kv: Kv) {
    this.#kv = kv;
  }

  /** Ends the replay: the state machine with everything applied, up to the entry begun last. */
  settle(): StateMachine {
    this.flush();
    const machine = this.#machine;
    if (this.#raftIndex > machine.appliedIndex) {
      machine.apply([{ index: this.#raftIndex, term: this.#raftTerm, command: undefined }]);
    }
    return machine;
  }

  get #machine(): StateMachine {
    if (this.#opened === undefined) throw new Error("loading has not ended");
    return this.#opened;
  }

  get etcdIndex(): number {
    this.flush();
    return this.#machine.reader.etcdIndex;
  }

  load(node: LoadedNode): void {
    const { path, dir, value, createdIndex, modifiedIndex, expirationNs } = node;
    if (expirationNs !== undefined) this.#noteExpiration(path, expirationNs);
    const expirationMs = expirationNs === undefined ? undefined : nanosToMs(expirationNs);
    this.#builder ??= new StoreBuilder(this.#kv, this.#clock);
    this.#builder.addNode({ path, dir, value, createdIndex, modifiedIndex, expirationMs });
  }

  async endLoad(end: LoadEnd): Promise<void> {
    if (this.#builder !== undefined || end.etcdIndex > 0) {
      const builder = this.#builder ?? new StoreBuilder(this.#kv, this.#clock);
      for (const event of end.events) builder.addEvent(event);
      builder.finish(end);
      this.#builder = undefined;
    }
    this.#opened = await StateMachine.open({ kv: this.#kv, clock: this.#clock });
    this.#raftIndex = this.#opened.appliedIndex;
    this.#raftTerm = this.#opened.appliedTerm;
  }

  /** Remembers the exact expiration of a node that was loaded. */
  #noteExpiration(path: string, expirationNs: bigint): void {
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
      const at = this.#expirationOf(node);
      if (at <= timeNs) due.push({ node, at });
    }
    due.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
    if (due.length === 0) return;
    this.#push({ action: "expire", expired: due.map(({ node }) => node) }, 0);
    this.flush();
  }

  #expirationOf({ path, expirationMs }: ExpiredNode): bigint {
    const exact = this.#exact.get(path);
    // A refused write may have left another time behind.
    if (exact !== undefined && nanosToMs(exact) === expirationMs) return exact;
    return BigInt(expirationMs) * 1_000_000n;
  }

  peek(path: string): NodeExtern | undefined {
    this.flush();
    return this.#machine.reader.peek(path);
  }

  peekChildren(path: string): readonly NodeExtern[] {
    this.flush();
    return this.#machine.reader.peekChildren(path);
  }

  /** Applies what was put off. The entry begun last may still get its change. */
  flush(): void {
    if (this.#pending.length === 0) return;
    this.#machine.apply(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  #withLife(command: ReplayWrite): ReplayWrite {
    const { expirationMs, expirationNs } = command;
    if (expirationMs === undefined || expirationNs === undefined) return command;
    this.#noteExpiration(command.path, expirationNs);
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
