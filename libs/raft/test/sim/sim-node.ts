/**
 * One simulated member: the real core and the real write-ahead log on a simulated disk, joined by a
 * host loop that follows ready.ts as src/node/raft-node.ts does, one Ready at a time. A save may take
 * a while, during which messages go on arriving; a crash may come anywhere. It decides nothing about
 * faults: it is told.
 */
import { InvariantError } from "../../src/core/model/invariant.ts";
import { RawNode } from "../../src/core/raw-node.ts";
import type { Ready } from "../../src/core/ready.ts";
import type {
  ConfState,
  Entry,
  HardState,
  Index,
  Message,
  NodeId,
  Random,
  SnapshotMetadata,
  Term,
} from "../../src/core/model/types.ts";
import { RaftError } from "../../src/core/model/errors.ts";
import { SimulatedDisk } from "../../src/testing/simulated-disk.ts";
import { Wal } from "../../src/wal/wal.ts";
import { decodeChange } from "../core/host.ts";
import { Violation } from "./checker.ts";
import type { Checker } from "./checker.ts";
import { decodeWrite, digestAfter, encodeWrite, initialState, isAcceptable } from "./machine.ts";
import type { MachineState, Register, Write } from "./machine.ts";
import { mutateArrival, mutateHardState, mutateCommit } from "./mutation.ts";
import type { Mutation } from "./mutation.ts";
import {
  closeInline,
  compactInline,
  createInline,
  openInline,
} from "../../src/testing/inline-wal.ts";

const DIRECTORY = "/data/wal";
const CLUSTER = "00000000000000c1";
const SEGMENT_BYTES = 8 * 1024;
const READ_RETRY_TICKS = 5;
/** Entries kept below a compaction for followers that are a little behind. */
const RESERVE = 4;

export interface SimNodeOptions {
  readonly id: NodeId;
  readonly bootstrap: ConfState;
  readonly random: Random;
  readonly checker: Checker;
  readonly mutation: Mutation | undefined;
  readonly messageBytesMax: number;
  /** Leaders answer reads from their lease: right only while nobody is paused and clocks agree. */
  readonly leases: boolean;
  readonly send: (message: Message, data: MachineState | undefined) => void;
}

/** What a member has on its disks at one moment. */
export interface DiskImage {
  readonly disk: SimulatedDisk;
  readonly state: MachineState;
}

/** A write of this process that it has not seen applied. */
interface PendingWrite {
  readonly write: Write;
  /** Term of the leader it was handed to. */
  term: Term;
}

interface Read {
  readonly key: string;
  readonly floor: Index;
  retryAt: number;
  confirmedAt: Index | undefined;
}

export class SimNode {
  readonly id: NodeId;
  disk: SimulatedDisk;
  /** Undefined while the process is down. */
  raw: RawNode | undefined;
  state: MachineState;
  /** A disk fault is planted: failures are expected. */
  isArmed = false;
  /** Until this time the process stands still. */
  pausedUntil = 0;
  /** A save that is under way does not end as long as this holds. */
  isDiskStalled = false;
  /** Ticks per unit of time, and what has been saved up towards the next. */
  clockRate = 1;
  clock = 0;
  /** Snapshots taken over. */
  snapshots = 0;
  readonly #options: SimNodeOptions;
  #wal: Wal | undefined;
  #durable: MachineState;
  #hasLog = false;
  /** A Ready whose save is under way. */
  #outstanding: Ready | undefined;
  #unsaved: HardState | undefined;
  #ticks = 0;
  #readSequence = 0;
  #writes = new Map<number, PendingWrite>();
  /** Highest term this process has applied an entry of. */
  #appliedTerm: Term = 0;
  #reads = new Map<string, Read>();

  constructor(options: SimNodeOptions) {
    this.id = options.id;
    this.#options = options;
    this.disk = new SimulatedDisk({ random: options.random });
    this.state = initialState(options.bootstrap);
    this.#durable = this.state;
  }

  get isUp(): boolean {
    return this.raw !== undefined;
  }

  get isBusy(): boolean {
    return this.#outstanding !== undefined;
  }

  get pendingReads(): number {
    return this.#reads.size;
  }

  get firstIndex(): Index {
    return this.#wal?.log.firstIndex() ?? 0;
  }

  /** A copy of what is on the disks; undefined while they are being written to. */
  image(): DiskImage | undefined {
    if (this.isBusy || !this.isUp || this.isArmed) return undefined;
    try {
      return { disk: this.disk.clone(this.#options.random), state: this.#durable };
    } catch {
      return undefined;
    }
  }

  /** The disks hold what they held when the image was taken. The process must be down. */
  putBack({ disk, state }: DiskImage): void {
    this.disk = disk;
    this.#durable = state;
  }

  /** The disks are empty. The process must be down. */
  wipe(): void {
    this.disk = new SimulatedDisk({ random: this.#options.random });
    this.#durable = initialState(this.#options.bootstrap);
    this.#hasLog = false;
  }

  /** Opens what is on disk and starts the core; false when a planted fault prevented it. */
  start(): boolean {
    try {
      this.#start();
      return true;
    } catch (error) {
      this.#mustBeExpected(error);
      return false;
    }
  }

  #start(): void {
    const options = {
      fileSystem: this.disk,
      segmentBytes: SEGMENT_BYTES,
      syncMode: "inline",
      now: () => this.disk.nowMs,
    } as const;
    if (!Wal.exists(DIRECTORY, this.disk)) {
      if (this.#hasLog) throw new Violation(`durability: the log of ${this.id} is gone`);
      const metadata = { memberId: this.id, clusterId: CLUSTER };
      closeInline(createInline(DIRECTORY, { ...options, metadata }));
    }
    this.#hasLog = true;
    const { wal } = openInline(DIRECTORY, options);
    this.state = this.#durable;
    this.#options.checker.stands(this.id, this.state);
    const { index, term } = this.state;
    const isInLog =
      index >= wal.log.firstIndex() - 1 &&
      index <= wal.log.lastIndex() &&
      wal.log.term(index) === term;
    // The crash came between replacing the state machine and restarting the log there.
    if (!isInLog) void wal.installSnapshot(this.#metadata());
    this.#wal = wal;
    this.raw = this.#newCore(wal);
  }

  #newCore(wal: Wal): RawNode {
    const { log, hardState } = wal;
    return new RawNode({
      id: this.id,
      random: this.#options.random,
      applied: this.state.index,
      decodeConfChange: decodeChange,
      messageBytesMax: this.#options.messageBytesMax,
      inflightMessagesMax: 8,
      committedBytesMax: 600,
      uncommittedBytesMax: 4000,
      readOnly: this.#options.leases ? "lease" : "safe",
      storage: {
        initialState: () => ({ hardState, confState: this.state.conf }),
        firstIndex: () => log.firstIndex(),
        lastIndex: () => log.lastIndex(),
        term: (index) => log.term(index),
        entries: (lo, hi, bytesMax) => log.entries(lo, hi, bytesMax),
        snapshot: () => this.#metadata(),
      },
    });
  }

  #metadata(): SnapshotMetadata {
    const { index, term, conf } = this.state;
    return { index, term, confState: conf };
  }

  /** The process dies; what happens to the disk is decided by who restarts it. */
  crash(): void {
    this.raw = undefined;
    this.#wal = undefined;
    this.#outstanding = undefined;
    this.#unsaved = undefined;
    this.#writes.clear();
    this.#appliedTerm = 0;
    this.#reads.clear();
    this.isArmed = false;
    this.isDiskStalled = false;
  }

  /** Runs host work; a failure that a planted disk fault explains is the death of the process. */
  guard(work: (raw: RawNode) => void): void {
    if (this.raw === undefined) return;
    try {
      work(this.raw);
      if (this.raw.role === "leader" && this.#wal !== undefined) {
        this.#options.checker.leads(this.id, this.raw.term, this.#wal.log);
      }
    } catch (error) {
      this.#mustBeExpected(error);
    }
  }

  #mustBeExpected(error: unknown): void {
    if (!this.isArmed || error instanceof InvariantError || error instanceof Violation) throw error;
    this.crash();
  }

  tick(): void {
    this.guard((raw) => {
      this.#ticks += 1;
      raw.tick();
      this.#askAgain(raw);
      if (this.#unsaved !== undefined && !this.isBusy) this.#save([], undefined, false);
    });
  }

  step(message: Message, data: MachineState | undefined): void {
    const arrived = mutateArrival(this.#options.mutation, message);
    if (arrived === undefined) return;
    this.guard((raw) => {
      if (arrived.type === "snapshot" && data !== undefined && raw.wantsSnapshot(arrived)) {
        this.#options.checker.stands(this.id, data);
        this.state = data;
        if (this.#options.mutation !== "installLogFirst") this.#durable = data;
        this.snapshots += 1;
        this.#acknowledgeInstalled(data);
      }
      raw.step(arrived);
    });
  }

  /** Entries that came with a snapshot tell nobody that they were applied: their writers give up. */
  #acknowledgeInstalled(data: MachineState): void {
    for (const { id, index } of data.registers.values()) {
      if (this.#writes.delete(id)) this.#options.checker.acknowledges(id, index);
    }
    this.#writes.clear();
  }

  propose(writes: readonly Write[]): void {
    this.guard((raw) => {
      if (raw.leader === "") return;
      try {
        raw.propose(writes.map(encodeWrite));
        for (const write of writes) this.#writes.set(write.id, { write, term: raw.term });
      } catch (error) {
        if (!(error instanceof RaftError)) throw error;
      }
    });
  }

  /**
   * Once an entry of a later term is applied, what earlier leaders were given and is not applied is
   * lost, and may be proposed again, as the server does.
   */
  #proposeLostAgain(raw: RawNode): void {
    const applied = this.state.term;
    if (applied <= this.#appliedTerm) return;
    this.#appliedTerm = applied;
    const lost: Write[] = [];
    for (const pending of this.#writes.values()) {
      if (pending.term >= applied) continue;
      pending.term = this.#options.mutation === "repeatByAppliedTerm" ? applied : raw.term;
      lost.push(pending.write);
    }
    if (lost.length === 0 || raw.leader === "") return;
    try {
      raw.propose(lost.map(encodeWrite));
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
    }
  }

  proposeChange(change: Uint8Array): void {
    this.guard((raw) => {
      if (raw.leader === "") return;
      try {
        raw.proposeConfChange(change);
      } catch (error) {
        if (!(error instanceof RaftError)) throw error;
      }
    });
  }

  read(key: string): void {
    const floor = this.#options.checker.floor(key);
    this.guard((raw) => {
      this.#ask(raw, { key, floor, retryAt: 0, confirmedAt: undefined });
    });
  }

  #ask(raw: RawNode, read: Read): void {
    this.#readSequence += 1;
    const context = `${this.id}-${this.#ticks.toString(36)}-${this.#readSequence.toString(36)}`;
    read.retryAt = this.#ticks + READ_RETRY_TICKS;
    this.#reads.set(context, read);
    if (this.#options.mutation === "readWithoutQuorum" && raw.role === "leader") {
      read.confirmedAt = raw.committed;
      this.#answerReads();
    } else raw.readIndex(context);
  }

  #askAgain(raw: RawNode): void {
    for (const [context, read] of this.#reads) {
      if (read.confirmedAt !== undefined || read.retryAt > this.#ticks) continue;
      this.#reads.delete(context);
      this.#ask(raw, read);
    }
  }

  #answerReads(): void {
    for (const [context, { key, floor, confirmedAt }] of this.#reads) {
      if (confirmedAt === undefined || confirmedAt > this.state.index) continue;
      this.#reads.delete(context);
      const index = this.state.registers.get(key)?.index ?? 0;
      this.#options.checker.returns(this.id, key, floor, index);
    }
  }

  /** Begins the next Ready, or completes the one that is being saved. */
  work(isSlow: boolean): void {
    this.guard((raw) => {
      if (this.#outstanding === undefined) {
        if (!raw.hasReady()) return;
        const ready = raw.ready();
        this.#outstanding = ready;
        this.#send(ready.messages);
        if (this.#options.mutation === "promiseEarly") this.#send(ready.messagesAfterPersist);
        if (isSlow) return;
      }
      if (this.isDiskStalled) return;
      this.#finish(raw, this.#outstanding);
    });
  }

  #finish(raw: RawNode, ready: Ready): void {
    this.#persist(ready);
    if (this.#options.mutation !== "promiseEarly") this.#send(ready.messagesAfterPersist);
    if (ready.committedEntries.length > 0) this.#apply(raw, ready.committedEntries);
    for (const { context, index } of ready.readStates) {
      const read = this.#reads.get(context);
      if (read !== undefined) read.confirmedAt = index;
    }
    this.#outstanding = undefined;
    raw.advance(ready);
    if (ready.committedEntries.length > 0) this.#proposeLostAgain(raw);
    this.#answerReads();
    const believed = mutateCommit(this.#options.mutation, raw);
    if (believed > this.state.index) this.#declare(raw, believed);
  }

  /** Tells the world of entries as committed that the core does not call so. */
  #declare(raw: RawNode, last: Index): void {
    const { index, digest: before } = this.state;
    let digest = before;
    for (const entry of this.#openWal().log.entries(index + 1, last + 1, Infinity)) {
      digest = digestAfter(digest, entry);
      this.#options.checker.applies(this.id, entry, raw.term, digest);
    }
  }

  #persist(ready: Ready): void {
    const hardState = ready.hardState ?? this.#unsaved;
    if (ready.snapshot !== undefined) {
      void this.#openWal().installSnapshot(ready.snapshot);
      this.#save(ready.entries, hardState, true);
      if (this.#options.mutation === "installLogFirst") this.#durable = this.state;
    } else if (ready.entries.length === 0 && !ready.mustSync) this.#unsaved = hardState;
    else this.#save(ready.entries, hardState, ready.mustSync);
  }

  #save(entries: readonly Entry[], given: HardState | undefined, mustSync: boolean): void {
    const { mutation, checker } = this.#options;
    const wal = this.#openWal();
    const hardState = given ?? this.#unsaved;
    this.#unsaved = undefined;
    const isSynced = mustSync && mutation !== "skipSync";
    void wal.save(entries, mutateHardState(mutation, hardState), isSynced);
    for (const entry of entries) checker.stores(this.id, entry, wal.log.term(entry.index - 1));
  }

  #openWal(): Wal {
    if (this.#wal === undefined) throw new Violation(`${this.id} works while it is down`);
    return this.#wal;
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.type !== "snapshot") this.#options.send(message, undefined);
      else this.#options.send({ ...message, snapshot: this.#metadata() }, this.state);
    }
  }

  #apply(raw: RawNode, entries: readonly Entry[]): void {
    const { checker } = this.#options;
    const registers = new Map<string, Register>(this.state.registers);
    let { conf, digest } = this.state;
    for (const entry of entries) {
      const { index, term } = entry;
      digest = digestAfter(digest, entry);
      checker.applies(this.id, entry, raw.term, digest);
      if (entry.type === "confChange") {
        const change = decodeChange(entry.data);
        if (isAcceptable(conf, change)) conf = raw.applyConfChange(change);
        else raw.rejectConfChange();
      } else if (entry.data.length > 0) {
        const { key, id } = decodeWrite(entry.data);
        registers.set(key, { id, index });
        if (this.#writes.delete(id)) checker.acknowledges(id, index);
      }
      this.state = { index, term, conf, digest, registers };
    }
  }

  /** Makes the state machine durable, and drops the log below if it should. */
  checkpoint(compacts: boolean): void {
    if (this.isBusy) return;
    this.guard(() => {
      this.#durable = this.state;
      const { index } = this.state;
      if (!compacts || index === 0) return;
      compactInline(this.#openWal(), this.#metadata(), Math.max(1, index - RESERVE));
    });
  }
}
