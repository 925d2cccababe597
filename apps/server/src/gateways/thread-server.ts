/**
 * The gateway's port on a thread that serves clients: reads come from the shared store, all else goes
 * to the thread that runs consensus, what one turn has gathered in one message.
 */
import type { Logger, Meter } from "@etcd2/observability";
import type { Committed, KeysServer, PasswordHasher } from "@etcd2/api-v2";
import {
  encodeCommandBody,
  EtcdError,
  readOutcomes,
  SharedHistory,
  SharedReader,
  type SharedState,
  type SharedStore,
  type StoreError,
  StoreWatcherHub,
  type WriteCommand,
} from "@etcd2/store";
import type { Cells } from "./cells.ts";
import type { AnswerMessage, FromGateway } from "./messages.ts";

type Settle = (result: Committed | EtcdError) => void;
type ReadDone = (error: EtcdError | undefined) => void;

/** What the port of a thread is made of. */
export interface ThreadServerParts {
  readonly clusterId: string;
  readonly shared: SharedState;
  readonly cells: Cells;
  /** The store of now. */
  readonly store: () => SharedStore;
  readonly passwords: PasswordHasher;
  readonly meter: Meter;
  readonly log: Logger;
  readonly post: (message: FromGateway) => void;
}

export class ThreadServer implements KeysServer {
  readonly clusterId: string;
  readonly reader: SharedReader;
  readonly hub: StoreWatcherHub;
  readonly passwords: PasswordHasher;
  readonly meter: Meter;
  readonly log: Logger;
  readonly #parts: ThreadServerParts;
  readonly #history: SharedHistory;
  /** Writes under way by number. */
  readonly #writes = new Map<number, Settle>();
  #bodies: Uint8Array[] = [];
  #nextWrite = 1;
  /** Quorum reads under way by the confirmation that they share. */
  readonly #reads = new Map<number, readonly ReadDone[]>();
  #gathered: ReadDone[] = [];
  #nextRead = 1;
  #isScheduled = false;

  constructor(parts: ThreadServerParts) {
    this.#parts = parts;
    this.clusterId = parts.clusterId;
    this.passwords = parts.passwords;
    this.meter = parts.meter;
    this.log = parts.log;
    this.reader = new SharedReader(parts.shared, parts.store);
    this.#history = new SharedHistory(parts.shared, parts.store);
    this.hub = new StoreWatcherHub(this.#history);
  }

  get authGeneration(): number {
    return this.#parts.cells.authGeneration;
  }

  get raftIndex(): number {
    return this.#parts.shared.raftIndex;
  }

  get raftTerm(): number {
    return this.#parts.cells.raftTerm;
  }

  propose(command: WriteCommand, done: Settle): void {
    this.#writes.set(this.#nextWrite + this.#bodies.length, done);
    this.#bodies.push(encodeCommandBody(command));
    this.#schedule();
  }

  readIndex(done: ReadDone): void {
    this.#gathered.push(done);
    this.#schedule();
  }

  storageFailed({ code, message }: StoreError): void {
    this.#parts.post({ kind: "storageFailed", code, message });
  }

  /** Something was published that watches may be waiting for. */
  news(): void {
    if (this.#history.changed()) this.hub.attach(this.#history);
  }

  /** The store has been replaced: watches go on with its history. */
  storeReplaced(): void {
    this.hub.attach(this.#history);
  }

  /** What became of requests. */
  answered({ outcomes, reads, news }: AnswerMessage): void {
    if (outcomes !== undefined) {
      readOutcomes(outcomes, (write, outcome) => {
        const done = this.#writes.get(write);
        this.#writes.delete(write);
        done?.(outcome);
      });
    }
    for (const { read, error } of reads) {
      const waiting = this.#reads.get(read) ?? [];
      this.#reads.delete(read);
      const failure = error === undefined ? undefined : new EtcdError(300, error, 0);
      for (const done of waiting) done(failure);
    }
    if (news) this.news();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#isScheduled = false;
    const firstWrite = this.#nextWrite;
    const writes = this.#bodies.length === 0 ? undefined : joined(this.#bodies);
    this.#nextWrite += this.#bodies.length;
    this.#bodies = [];
    let read = 0;
    if (this.#gathered.length > 0) {
      read = this.#nextRead;
      this.#nextRead += 1;
      this.#reads.set(read, this.#gathered);
      this.#gathered = [];
    }
    this.#parts.post({ kind: "work", firstWrite, writes, read });
  };
}

/** Each body after its length in four bytes. */
function joined(bodies: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const body of bodies) length += 4 + body.length;
  const bytes = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const body of bodies) {
    at = bytes.writeUInt32BE(body.length, at);
    bytes.set(body, at);
    at += body.length;
  }
  return bytes;
}

/** Calls `take` with each body that was joined. */
export function eachBody(bytes: Uint8Array, take: (body: Uint8Array) => void): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length;) {
    const start = at + 4;
    at = start + view.getUint32(at);
    take(bytes.subarray(start, at));
  }
}
