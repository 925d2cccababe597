/**
 * The log against a naive model, on a disk that stops at any operation and loses what it may. After
 * every crash the log must hold a state that the model had: the last one that was synced, or a
 * later one.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "@etcd2/test-support";
import type { Entry, HardState, Random, SnapshotMetadata } from "../../src/core/model/types.ts";
import { FatalError } from "../../src/core/model/errors.ts";
import { readWal } from "../../src/wal/read-wal.ts";
import { SimulatedCrash, SimulatedDisk } from "../../src/testing/simulated-disk.ts";
import type { PowerLoss } from "../../src/testing/simulated-file.ts";
import type { OpenedWal, Wal } from "../../src/wal/wal.ts";
import {
  createOn,
  describeLog,
  describeState,
  DIRECTORY,
  entriesOf,
  hardStateOf,
  installNow,
  MEMBER,
  openOn,
  pick,
  SEED,
  saveNow,
  snapshotAt,
  upTo,
} from "./wal-harness.ts";
import { closeInline, compactInline } from "../../src/testing/inline-wal.ts";

const LOSSES: readonly PowerLoss[] = ["none", "all", "prefix", "subset", "garbage"];
const RUNS = Number(process.env["RUNS"] ?? 400);

/** The log as a list of entries and nothing else. */
class Model {
  first = 1;
  previousTerm = 0;
  entries: Entry[] = [];
  hardState: HardState = { term: 0, vote: "", commit: 0 };
  compaction: SnapshotMetadata | undefined;

  get last(): number {
    return this.first + this.entries.length - 1;
  }

  termAt(index: number): number {
    if (index === this.first - 1) return this.previousTerm;
    return this.entries[index - this.first]?.term ?? 0;
  }

  save(entries: readonly Entry[], hardState: HardState | undefined): void {
    const start = entries[0]?.index;
    if (start !== undefined) {
      this.entries = [...this.entries.slice(0, start - this.first), ...entries];
    }
    if (hardState !== undefined) this.hardState = hardState;
  }

  compact(snapshot: SnapshotMetadata, keepFrom: number): void {
    const from = Math.max(keepFrom, this.first);
    this.previousTerm = this.termAt(from - 1);
    this.entries = this.entries.slice(from - this.first);
    this.first = from;
    this.#stand(snapshot);
  }

  install(snapshot: SnapshotMetadata, hardState: HardState | undefined): void {
    this.entries = [];
    this.first = snapshot.index + 1;
    this.previousTerm = snapshot.term;
    if (hardState !== undefined) this.hardState = hardState;
    this.#stand(snapshot);
  }

  #stand(snapshot: SnapshotMetadata): void {
    this.compaction = snapshot;
    if (this.hardState.term < snapshot.term) {
      this.hardState = { term: snapshot.term, vote: "", commit: this.hardState.commit };
    }
    const commit = Math.max(this.hardState.commit, snapshot.index);
    this.hardState = { ...this.hardState, commit };
  }

  describe(): string {
    return describeState(this);
  }
}

/** The model together with the states that a crash may fall back to. */
class History {
  readonly model = new Model();
  /** From the last durable state to the latest one. */
  #states: string[] = [this.model.describe()];

  /** Does something to log and model alike; a crash in between may show either state. */
  step(wal: Wal, change: Change): void {
    change.toModel(this.model);
    const after = this.model.describe();
    this.#states.push(after);
    change.toLog(wal);
    if (change.isDurable) this.#states = [after];
    assert.equal(describeLog(wal, this.model.compaction), after);
  }

  /** The state found after a crash must be a legal one; the run goes on from there. */
  accept(opened: OpenedWal, model: Model): void {
    const found = describeLog(opened.wal, opened.compaction);
    assert.ok(
      this.#states.includes(found),
      `found\n${found}\n\nexpected one of\n\n${this.#states.join("\n\n")}`,
    );
    const { log } = opened.wal;
    model.first = log.firstIndex();
    model.previousTerm = log.term(model.first - 1);
    const end = log.lastIndex() + 1;
    model.entries = end > model.first ? [...log.entries(model.first, end, 2 ** 40)] : [];
    model.hardState = opened.wal.hardState;
    model.compaction = opened.compaction;
    this.#states = [found];
  }

  /** After a good close only the latest state is legal. */
  settle(): void {
    this.#states = [this.model.describe()];
  }
}

interface Change {
  readonly isDurable: boolean;
  toModel(model: Model): void;
  toLog(wal: Wal): void;
}

function randomChange(random: Random, model: Model): Change {
  const kind = random();
  const { last, first, hardState } = model;
  const applied = model.compaction?.index ?? 0;
  if (kind < 0.1 && hardState.commit > applied) {
    const index = applied + 1 + upTo(random, hardState.commit - applied - 1);
    const snapshot = snapshotAt(index, model.termAt(index));
    const keepFrom = Math.max(1, index + 1 - upTo(random, 12));
    return {
      isDurable: true,
      toModel: (m) => {
        m.compact(snapshot, keepFrom);
      },
      toLog: (wal) => {
        compactInline(wal, snapshot, keepFrom);
      },
    };
  }
  if (kind < 0.14) {
    const index = hardState.commit + 1 + upTo(random, 20);
    const term = Math.max(1, hardState.term + upTo(random, 1));
    const snapshot = snapshotAt(index, term);
    const withHardState = random() < 0.5 ? hardStateOf(term, index) : undefined;
    return {
      isDurable: true,
      toModel: (m) => {
        m.install(snapshot, withHardState);
      },
      toLog: (wal) => {
        installNow(wal, snapshot, withHardState);
      },
    };
  }
  const lowest = Math.max(first, hardState.commit + 1);
  const start = random() < 0.8 ? last + 1 : lowest + upTo(random, Math.max(0, last - lowest));
  const newTerm = hardState.term + (start <= last ? 1 : upTo(random, 1));
  const term = Math.max(1, newTerm);
  const bytes = pick(random, [0, 10, 100, 700, 1500]);
  const entries = random() < 0.15 ? [] : entriesOf(term, start, upTo(random, 4), bytes);
  const end = entries.length > 0 ? start + entries.length - 1 : last;
  const commit = hardState.commit + upTo(random, Math.max(0, end - hardState.commit));
  const isNew = entries.length > 0 || random() < 0.5;
  const next = isNew ? { term, vote: MEMBER, commit } : undefined;
  const isDurable = random() < 0.6;
  return {
    isDurable,
    toModel: (m) => {
      m.save(entries, next);
    },
    toLog: (wal) => {
      saveNow(wal, entries, next, isDurable);
    },
  };
}

/** Opens or creates the log, crashing at random on the way, until it is open. */
function openSomehow(disk: SimulatedDisk, random: Random, segmentBytes: number): OpenedWal {
  for (;;) {
    if (random() < 0.3) disk.crashAt(disk.operations + 1 + upTo(random, 12));
    try {
      const isThere = disk.readDirectory(DIRECTORY).some((name) => name.endsWith(".wal"));
      if (isThere) {
        const opened = openOn(disk, segmentBytes);
        disk.crashAt(Number.POSITIVE_INFINITY);
        return opened;
      }
      closeInline(createOn(disk, segmentBytes));
    } catch (error) {
      if (!isCrash(error)) throw error;
      crash(disk, random);
    }
  }
}

function isCrash(error: unknown): boolean {
  return (
    error instanceof SimulatedCrash ||
    (error instanceof FatalError && error.cause instanceof SimulatedCrash)
  );
}

function crash(disk: SimulatedDisk, random: Random): void {
  if (random() < 0.25) disk.restartProcess();
  else disk.restartAfterPowerLoss(pick(random, LOSSES));
}

function randomLife(seed: number): void {
  const random = seededRandom(seed);
  const disk = new SimulatedDisk({ random });
  const segmentBytes = pick(random, [200, 900, 2500, 10_000]);
  const history = new History();
  const { model } = history;
  for (let life = 0; life < 5; life += 1) {
    const opened = openSomehow(disk, random, segmentBytes);
    history.accept(opened, model);
    const { wal } = opened;
    if (random() < 0.7) disk.crashAt(disk.operations + 1 + upTo(random, 60));
    try {
      for (let steps = upTo(random, 40); steps > 0; steps -= 1) {
        history.step(wal, randomChange(random, model));
      }
      if (random() < 0.3) {
        closeInline(wal);
        history.settle();
      }
    } catch (error) {
      if (!isCrash(error)) throw error;
    }
    crash(disk, random);
  }
  const opened = openSomehow(disk, random, segmentBytes);
  history.accept(opened, model);
}

describe("after a crash", () => {
  it(`the log is in a state it had been in, none synced is lost (SEED=${SEED})`, () => {
    for (let run = 0; run < RUNS; run += 1) {
      try {
        randomLife(SEED + run);
      } catch (error) {
        throw new Error(`failed with SEED=${SEED + run} RUNS=1`, { cause: error });
      }
    }
  });

  it("at every single operation of a script the log opens with what was synced", () => {
    const script = (disk: SimulatedDisk, done: (state: string) => void): void => {
      const wal = createOn(disk, 500);
      done(describeLog(wal, undefined));
      for (let index = 1; index <= 12; index += 1) {
        saveNow(wal, entriesOf(1, index, 1, 120), hardStateOf(1, index - 1));
        done(describeLog(wal, undefined));
      }
      saveNow(wal, entriesOf(2, 12, 2, 50), hardStateOf(2, 11));
      done(describeLog(wal, undefined));
      compactInline(wal, snapshotAt(11, 1), 9);
      done(describeLog(wal, snapshotAt(11, 1)));
      saveNow(wal, entriesOf(2, 14, 3, 300), hardStateOf(2, 13));
      done(describeLog(wal, snapshotAt(11, 1)));
      installNow(wal, snapshotAt(30, 3), hardStateOf(3, 30));
      done(describeLog(wal, snapshotAt(30, 3)));
      saveNow(wal, entriesOf(3, 31, 3, 200), hardStateOf(3, 30));
      done(describeLog(wal, snapshotAt(30, 3)));
      closeInline(wal);
    };
    const states: string[] = [];
    const whole = new SimulatedDisk({ random: seededRandom(1) });
    script(whole, (state) => states.push(state));
    let checks = 0;
    for (let operation = 1; operation <= whole.operations; operation += 1) {
      for (const loss of LOSSES) {
        const disk = new SimulatedDisk({ random: seededRandom(operation) });
        disk.crashAt(operation);
        let durable = -1;
        assert.throws(() => {
          script(disk, () => {
            durable += 1;
          });
        }, isCrash);
        disk.restartAfterPowerLoss(loss);
        if (
          durable === -1 &&
          disk.readDirectory(DIRECTORY).every((name) => name.endsWith(".tmp"))
        ) {
          closeInline(createOn(disk, 500));
          continue;
        }
        const { wal, compaction } = openOn(disk, 500);
        const found = describeLog(wal, compaction);
        const where = `operation ${operation}, loss ${loss}`;
        assert.ok(found === states[Math.max(0, durable)] || found === states[durable + 1], where);
        // The log works, and what was found stays.
        saveNow(wal, entriesOf(9, wal.log.lastIndex() + 1, 1));
        const after = describeLog(wal, compaction);
        disk.restartAfterPowerLoss("none");
        const again = openOn(disk, 500);
        assert.equal(describeLog(again.wal, again.compaction), after, where);
        checks += 1;
      }
    }
    assert.ok(checks > 200, `only ${checks} crash points`);
  });

  it("later unsynced batches that reached the disk do not count without the one before", () => {
    const disk = new SimulatedDisk({ random: seededRandom(1) });
    const wal = createOn(disk);
    saveNow(wal, entriesOf(1, 1, 2));
    const name = disk.readDirectory(DIRECTORY).find((file) => file.endsWith(".wal")) ?? "";
    const path = `${DIRECTORY}/${name}`;
    const size = (): number => {
      let end = 0;
      for (const item of readWal(DIRECTORY, disk)) {
        if (item.kind === "record") end = item.offset + item.bytes;
      }
      return end;
    };
    const first = size();
    saveNow(wal, entriesOf(1, 3, 3, 400), undefined, false);
    const second = size();
    saveNow(wal, entriesOf(1, 6, 3, 400), undefined, false);
    const bytes = disk.readFile(path);
    bytes.fill(0, first, second);
    disk.restartProcess();
    disk.writeFile(path, bytes);
    const { wal: again, repaired } = openOn(disk);
    assert.equal(again.log.lastIndex(), 2);
    assert.equal(repaired?.offset, first);
    // What was cut off cannot come back behind new data of the same length.
    saveNow(again, entriesOf(1, 3, 3, 400));
    disk.restartAfterPowerLoss("all");
    assert.equal(openOn(disk).wal.log.lastIndex(), 5);
  });

  it("segments whose removal was undone in part do no harm", () => {
    for (let kept = 0; kept < 32; kept += 1) {
      const disk = new SimulatedDisk({ random: seededRandom(kept) });
      const wal = createOn(disk, 400);
      for (let index = 1; index <= 30; index += 1) saveNow(wal, entriesOf(1, index, 1, 60));
      const contents = new Map(
        disk.readDirectory(DIRECTORY).map((name) => [name, disk.readFile(`${DIRECTORY}/${name}`)]),
      );
      compactInline(wal, snapshotAt(30, 1), 28);
      const before = describeLog(wal, snapshotAt(30, 1));
      closeInline(wal);
      // The five segments just before those that are left.
      const isLeft = new Set(disk.readDirectory(DIRECTORY));
      const removed = [...contents].filter(([name]) => !isLeft.has(name)).slice(-5);
      assert.equal(removed.length, 5);
      removed.forEach(([name, bytes], at) => {
        if ((kept >> at) % 2 === 1) disk.writeFile(`${DIRECTORY}/${name}`, bytes);
      });
      const { wal: again, compaction, repaired } = openOn(disk, 400);
      assert.equal(describeLog(again, compaction), before);
      assert.equal(repaired, undefined);
      closeInline(again);
      assert.equal(describeLog(openOn(disk, 400).wal, compaction), before);
      // What does not connect to the log is removed.
      const left = disk.readDirectory(DIRECTORY);
      const isConnected = (at: number): boolean => kept >> at === 31 >> at;
      removed.forEach(([name], at) => {
        assert.equal(left.includes(name), isConnected(at), `kept ${kept}, segment ${at}`);
      });
    }
  });
});
