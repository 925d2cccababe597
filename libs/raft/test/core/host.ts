/**
 * A host for one raw node in tests: it does what ready.ts asks for, at once and in memory, and
 * keeps what was applied. Also a text form of conf changes, so that scripts can be read.
 */
import type { RaftOptions } from "../../src/core/model/config.ts";
import { LEAVE_JOINT, validateConfChange } from "../../src/core/membership/confchange.ts";
import { RawNode } from "../../src/core/raw-node.ts";
import type { Ready } from "../../src/core/ready.ts";
import type {
  ConfChange,
  ConfChangeSingle,
  ConfState,
  Entry,
  HardState,
  Message,
  NodeId,
  ReadState,
  SnapshotMetadata,
  Term,
} from "../../src/core/model/types.ts";
import { NOBODY } from "../../src/core/model/types.ts";
import { MemoryStorage } from "../../src/testing/memory-storage.ts";

export function confState(
  voters: readonly NodeId[],
  rest: Partial<Omit<ConfState, "voters">> = {},
): ConfState {
  return {
    voters,
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
    ...rest,
  };
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

export function entry(term: Term, index: number, data = ""): Entry {
  return { term, index, type: "normal", data: bytes(data) };
}

/** Entries 1, 2, … with the given terms: the way logs are drawn in the paper's figures. */
export function logOf(terms: readonly Term[], first = 1): Entry[] {
  return terms.map((term, i) => entry(term, first + i, `${term}.${first + i}`));
}

const SIGNS: readonly (readonly [string, ConfChangeSingle["type"]])[] = [
  ["+", "addVoter"],
  ["~", "addLearner"],
  ["-", "remove"],
  ["=", "update"],
];

/** "+4 -2": add voter 4, remove 2; "~4" adds a learner; "implicit" and "explicit" go joint. */
export function encodeChange(words: string): Uint8Array {
  return bytes(words);
}

export function decodeChange(data: Uint8Array): ConfChange {
  let transition: ConfChange["transition"] = "auto";
  const changes: ConfChangeSingle[] = [];
  for (const word of text(data).split(" ").filter(Boolean)) {
    if (word === "implicit") transition = "jointImplicit";
    else if (word === "explicit") transition = "jointExplicit";
    else {
      const sign = SIGNS.find(([mark]) => word.startsWith(mark));
      if (sign === undefined) throw new Error(`not a change: ${word}`);
      changes.push({ type: sign[1], nodeId: word.slice(1) });
    }
  }
  return changes.length === 0 ? LEAVE_JOINT : { transition, changes, context: new Uint8Array(0) };
}

export interface HostOptions extends Partial<RaftOptions> {
  readonly id: NodeId;
  readonly conf?: ConfState;
  /** The log at start. */
  readonly entries?: readonly Entry[];
  readonly hardState?: Partial<HardState>;
  /** What random() returns; tests change it to steer timeouts. */
  draw?: number;
}

/** Everything one or more Ready records asked for. */
export interface Work {
  readonly readies: readonly Ready[];
  readonly messages: readonly Message[];
  readonly readStates: readonly ReadState[];
}

export class Host {
  readonly id: NodeId;
  readonly storage: MemoryStorage;
  readonly #options: HostOptions;
  raw: RawNode;
  /** Every entry applied since the last restart, or since the last snapshot came in. */
  applied: Entry[] = [];
  /** Every read that was answered. */
  readonly reads: ReadState[] = [];
  draw: number;
  conf: ConfState;

  constructor(options: HostOptions) {
    this.id = options.id;
    this.#options = options;
    this.draw = options.draw ?? 0;
    this.conf = options.conf ?? confState([]);
    this.storage = new MemoryStorage({ index: 0, term: 0, confState: this.conf });
    this.storage.append(options.entries ?? []);
    const last = options.entries?.at(-1)?.term ?? 0;
    this.storage.setHardState({ term: last, vote: NOBODY, commit: 0, ...options.hardState });
    this.raw = this.#start();
  }

  #start(): RawNode {
    return new RawNode({
      decodeConfChange: decodeChange,
      ...this.#options,
      storage: this.storage,
      applied: this.storage.snapshot().index,
      random: () => this.draw,
    });
  }

  /** The process dies and comes back: what was not persisted is gone. */
  restart(): void {
    this.applied = [];
    // The crash may have come between replacing the state machine and persisting that.
    const snapshot = this.storage.snapshot();
    const { index, term } = snapshot;
    const isInLog = index <= this.storage.lastIndex() && this.storage.term(index) === term;
    if (!isInLog) this.storage.installSnapshot(snapshot);
    this.raw = this.#start();
  }

  /** Steps a message as a host must: a snapshot's data first. */
  step(message: Message): void {
    if (message.type === "snapshot" && this.raw.wantsSnapshot(message)) {
      this.applied = [];
      this.#noteApplied(message.snapshot);
    }
    this.raw.step(message);
  }

  /** Steps many messages and does what they lead to. */
  feed(...messages: readonly Message[]): Work {
    for (const message of messages) this.step(message);
    return this.work();
  }

  /** Does everything there is to do, and returns it. */
  work(): Work {
    const readies: Ready[] = [];
    while (this.raw.hasReady()) readies.push(this.workOnce());
    return {
      readies,
      messages: readies.flatMap((ready) => [...ready.messages, ...ready.messagesAfterPersist]),
      readStates: readies.flatMap((ready) => ready.readStates),
    };
  }

  /** One Ready, from beginning to end. */
  workOnce(): Ready {
    const ready = this.raw.ready();
    this.persist(ready);
    this.apply(ready);
    this.reads.push(...ready.readStates);
    this.raw.advance(ready);
    return ready;
  }

  persist(ready: Ready): void {
    if (ready.snapshot !== undefined) this.storage.installSnapshot(ready.snapshot);
    this.storage.append(ready.entries);
    if (ready.hardState !== undefined) this.storage.setHardState(ready.hardState);
  }

  apply(ready: Ready): void {
    for (const one of ready.committedEntries) {
      if (one.type === "confChange") this.#decide(decodeChange(one.data));
      this.applied.push(one);
      this.#noteApplied({ index: one.index, term: one.term, confState: this.conf });
    }
  }

  #decide(change: ConfChange): void {
    if (validateConfChange(this.conf, change) === undefined)
      this.conf = this.raw.applyConfChange(change);
    else this.raw.rejectConfChange();
  }

  #noteApplied(snapshot: SnapshotMetadata): void {
    this.conf = snapshot.confState;
    this.storage.createSnapshot(snapshot);
  }

  tick(count = 1): void {
    for (let i = 0; i < count; i += 1) this.raw.tick();
  }

  propose(...data: readonly string[]): void {
    this.raw.propose(data.map(bytes));
  }

  /** The log as stored, oldest first. */
  log(): readonly Entry[] {
    const { storage } = this;
    return storage.entries(storage.firstIndex(), storage.lastIndex() + 1, Infinity);
  }

  /** Data of the applied entries, without the no-ops of new leaders. */
  appliedTexts(): readonly string[] {
    return this.applied.filter(({ data }) => data.length > 0).map(({ data }) => text(data));
  }
}
