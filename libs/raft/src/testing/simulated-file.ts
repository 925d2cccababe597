/**
 * The content of one file on the simulated disk: what readers see, and what would be left after a
 * power cut. Owns the sector-wise difference between the two. Knows no names and no handles.
 */
import type { Random } from "../core/model/types.ts";

/** A disk writes a sector completely or not at all. */
const SECTOR_BYTES = 512;

/** What a power cut does to data that was not synced. */
export type PowerLoss =
  /** All of it is gone. */
  | "none"
  /** All of it happened to be written already. */
  | "all"
  /** Sectors up to some point are there, in the order of their offsets. */
  | "prefix"
  /** Each sector by itself: there or not, whatever came before it. */
  | "subset"
  /** As subset, and a sector that never held data may hold anything. */
  | "garbage";

/** One file: what programs see of it, and what would survive a loss of power. */
export class SimulatedFile {
  /** Bytes beyond these, up to the size, are zeros. */
  #visible: Buffer = Buffer.alloc(0);
  #size = 0;
  #durable: Buffer = Buffer.alloc(0);
  #durableSize = 0;
  /** Numbers of the sectors that differ, or may differ. */
  #unsynced = new Set<number>();
  /** Numbers of the sectors that were ever written to the medium. */
  #everSynced = new Set<number>();

  get size(): number {
    return this.#size;
  }

  /** Bytes that occupy space: those ever written. */
  get allocatedBytes(): number {
    return this.#visible.length;
  }

  read(buffer: Uint8Array, position: number): number {
    const bytes = Math.max(0, Math.min(buffer.length, this.#size - position));
    buffer.fill(0, 0, bytes);
    if (position < this.#visible.length) {
      buffer.set(this.#visible.subarray(position, Math.min(position + bytes, this.#size)));
    }
    return bytes;
  }

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    this.#visible = grown(this.#visible, end);
    this.#visible.set(bytes, position);
    this.#size = Math.max(this.#size, end);
    this.#touch(position, end);
  }

  truncate(size: number): void {
    if (size < this.#visible.length) {
      this.#touch(size, this.#visible.length);
      this.#visible.fill(0, size);
    }
    this.#size = size;
  }

  sync(): void {
    this.#durable = grown(this.#durable, this.#visible.length);
    for (const sector of this.#unsynced) {
      this.#copySector(this.#durable, sector);
      this.#everSynced.add(sector);
    }
    this.#durableSize = this.#size;
    this.#unsynced.clear();
  }

  /** A failed sync: nobody will try to write these sectors again, yet readers go on seeing them. */
  forgetUnsynced(): void {
    this.#unsynced.clear();
  }

  /** Leaves what a power cut leaves. */
  cutPower(loss: PowerLoss, random: Random): void {
    const sectors = [...this.#unsynced].sort((a, b) => a - b);
    const kept = Math.floor(random() * (sectors.length + 1));
    this.#durable = grown(this.#durable, this.#visible.length);
    sectors.forEach((sector, at) => {
      if (keeps(loss, at < kept, random)) {
        this.#copySector(this.#durable, sector);
        this.#everSynced.add(sector);
      } else if (loss === "garbage" && random() < 0.3) this.#spoil(sector, random);
    });
    const newSize = loss === "all" || (loss !== "none" && random() < 0.5);
    if (newSize) this.#durableSize = this.#size;
    this.#durable = this.#durable.subarray(0, Math.min(this.#durable.length, this.#durableSize));
    this.#visible = Buffer.from(this.#durable);
    this.#size = this.#durableSize;
    this.#unsynced.clear();
  }

  clone(): SimulatedFile {
    const copy = new SimulatedFile();
    copy.#visible = Buffer.from(this.#visible);
    copy.#size = this.#size;
    copy.#durable = Buffer.from(this.#durable);
    copy.#durableSize = this.#durableSize;
    copy.#unsynced = new Set(this.#unsynced);
    copy.#everSynced = new Set(this.#everSynced);
    return copy;
  }

  #touch(start: number, end: number): void {
    const last = Math.floor((end - 1) / SECTOR_BYTES);
    for (let sector = Math.floor(start / SECTOR_BYTES); sector <= last; sector += 1) {
      this.#unsynced.add(sector);
    }
  }

  #copySector(target: Buffer, sector: number): void {
    const start = sector * SECTOR_BYTES;
    this.#visible.copy(target, start, start, Math.min(start + SECTOR_BYTES, this.#visible.length));
  }

  /** Data that was durable is never spoilt: a sector is rewritten completely or not at all. */
  #spoil(sector: number, random: Random): void {
    if (this.#everSynced.has(sector)) return;
    const start = sector * SECTOR_BYTES;
    const bytes = this.#durable.subarray(start, start + SECTOR_BYTES);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = Math.floor(random() * 256);
  }
}

function keeps(loss: PowerLoss, isInPrefix: boolean, random: Random): boolean {
  switch (loss) {
    case "none":
      return false;
    case "all":
      return true;
    case "prefix":
      return isInPrefix;
    case "subset":
    case "garbage":
      return random() < 0.5;
  }
}

/** A buffer of at least `length` bytes in use, enlarged by zeros. */
function grown(buffer: Buffer, length: number): Buffer {
  if (length <= buffer.length) return buffer;
  const sectors = Math.ceil(length / SECTOR_BYTES) * SECTOR_BYTES;
  const capacity = Math.max(sectors, Math.min(buffer.length * 2, buffer.length + 1024 * 1024));
  const next = Buffer.alloc(capacity);
  buffer.copy(next);
  return next;
}
