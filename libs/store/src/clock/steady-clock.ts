/**
 * A clock for deadlines: it never goes backwards and does not follow the wall clock. Within one boot
 * of the machine it goes on over restarts of the process; after another boot, or on another machine,
 * it goes on from the time that was last saved in the store, so that the time between does not count.
 * Its scale is near that of Unix milliseconds, taken from the wall clock when the store is made.
 */
import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import { ByteReader, ByteWriter } from "../encoding/bytes.ts";
import type { Kv, KvBatch } from "../kv/kv.ts";
import type { StoreClock } from "./store-clock.ts";
import { CLOCK_KEY, STEADY_KEY } from "../encoding/state-row.ts";

/** Where time comes from. */
export interface TimeSource {
  /** Names the current boot of the machine; "" when it has no name. */
  bootId(): string;
  wallMs(): number;
  /** Milliseconds since some moment that is fixed within a boot. */
  monotonicMs(): number;
}

/** Between performance.now() and the monotonic clock of the machine. */
const monotonicOffsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** What sets the monotonic clock of this time namespace apart from that of the machine; "" if nothing. */
function timeNamespace(): string {
  try {
    const offsets = readFileSync("/proc/self/timens_offsets", "latin1");
    const [, seconds = "0", nanoseconds = "0"] =
      /^monotonic\s+(-?\d+)\s+(\d+)$/m.exec(offsets) ?? [];
    return seconds === "0" && nanoseconds === "0" ? "" : ` monotonic ${seconds} ${nanoseconds}`;
  } catch {
    // Kernels before 5.6 have no time namespaces.
    return "";
  }
}

/** A wall clock before the year 2000 is wrong, and deadlines must not be negative. */
const SCALE_MIN_MS = 946_684_800_000;

/** Adds the row from which the clock goes on after another boot. `steadyMs`: whole milliseconds. */
export function writeSteadyTime(writer: ByteWriter, batch: KvBatch, steadyMs: number): void {
  writer.length = 0;
  writer.varint(Math.max(0, steadyMs));
  batch.put(STEADY_KEY, writer.view());
}

/** The steady time saved last; undefined when none was. */
function savedSteadyMs(kv: Kv): number | undefined {
  const row = kv.get(STEADY_KEY);
  return row === undefined ? undefined : new ByteReader(row).varint();
}

/** The clocks of this machine. */
const SYSTEM_TIME: TimeSource = {
  bootId() {
    try {
      // Nothing that ran since the boot can have run longer: the clock is another one, or set by hand.
      if (SYSTEM_TIME.monotonicMs() > (uptime() + 1) * 1000) return "";
      const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
      return boot + timeNamespace();
    } catch {
      // Other systems have no such file: every start then counts as a boot.
      return "";
    }
  },
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now() + monotonicOffsetMs,
};

/** What to add to the monotonic clock for it to show `steadyMs` now. */
function offsetFor(time: TimeSource, steadyMs: number): number {
  return Math.floor(steadyMs - time.monotonicMs());
}

/** The clock, opened over the store that it is kept in. */
export class SteadyClock implements StoreClock {
  readonly #time: TimeSource;
  /** What the clock adds to the monotonic one: the same on all threads of the process. */
  readonly offsetMs: number;

  private constructor(time: TimeSource, offsetMs: number) {
    this.#time = time;
    this.offsetMs = offsetMs;
  }

  /** The clock that another thread of this process has opened. */
  static withOffset(offsetMs: number): SteadyClock {
    return new SteadyClock(SYSTEM_TIME, offsetMs);
  }

  /**
   * Continues the clock kept in a store, or starts it from the wall clock where none is kept: in a
   * new store, where any scale will do, and in one made from data whose deadlines are moments of the
   * wall clock. A store of version 0.1.0 that saved no time starts from the wall clock after a boot.
   */
  static open(kv: Kv, time: TimeSource = SYSTEM_TIME): SteadyClock {
    const bootId = time.bootId();
    const row = kv.get(CLOCK_KEY);
    const savedMs = row === undefined ? undefined : savedSteadyMs(kv);
    if (row !== undefined && bootId !== "") {
      const reader = new ByteReader(row);
      const offsetMs = reader.signedVarint();
      if (reader.rest() === bootId) {
        // A monotonic clock that went back, as that of a machine put back to an older state does.
        const offsetMin = savedMs === undefined ? offsetMs : offsetFor(time, savedMs);
        return new SteadyClock(time, Math.max(offsetMs, offsetMin));
      }
    }
    const offsetMs = offsetFor(time, savedMs ?? Math.max(time.wallMs(), SCALE_MIN_MS));
    const writer = new ByteWriter(64);
    writer.signedVarint(offsetMs);
    writer.text(bootId);
    const batch = kv.batch();
    batch.put(CLOCK_KEY, writer.view());
    batch.write({ sync: true });
    return new SteadyClock(time, offsetMs);
  }

  wallMs(): number {
    return this.#time.wallMs();
  }

  steadyMs(): number {
    return Math.floor(this.#time.monotonicMs() + this.offsetMs);
  }
}
