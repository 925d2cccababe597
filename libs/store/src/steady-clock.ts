/**
 * A clock for deadlines: it never goes backwards and does not follow jumps of the wall clock, and
 * within one boot of the machine it goes on over restarts of the process. Its scale is that of Unix
 * milliseconds, taken from the wall clock once per boot.
 */
import { readFileSync } from "node:fs";
import { ByteReader, ByteWriter } from "./bytes.ts";
import type { Kv } from "./kv.ts";
import type { StoreClock } from "./state-machine.ts";
import { CLOCK_KEY } from "./state-row.ts";

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

/** The clocks of this machine. */
const SYSTEM_TIME: TimeSource = {
  bootId() {
    try {
      return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    } catch {
      // Other systems have no such file: every start then counts as a boot.
      return "";
    }
  },
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now() + monotonicOffsetMs,
};

export class SteadyClock implements StoreClock {
  readonly #time: TimeSource;
  readonly #offsetMs: number;

  private constructor(time: TimeSource, offsetMs: number) {
    this.#time = time;
    this.#offsetMs = offsetMs;
  }

  /** Continues the clock kept in a store, or starts it from the wall clock after a boot. */
  static open(kv: Kv, time: TimeSource = SYSTEM_TIME): SteadyClock {
    const bootId = time.bootId();
    const row = kv.get(CLOCK_KEY);
    if (row !== undefined && bootId !== "") {
      const reader = new ByteReader(row);
      const offsetMs = reader.signedVarint();
      if (reader.rest() === bootId) return new SteadyClock(time, offsetMs);
    }
    const offsetMs = Math.floor(time.wallMs() - time.monotonicMs());
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
    return Math.floor(this.#time.monotonicMs() + this.#offsetMs);
  }
}
