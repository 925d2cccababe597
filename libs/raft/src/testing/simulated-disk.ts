/**
 * A disk in memory that behaves as badly as a real one may: it loses what was not synced, in any
 * order, fails on demand, runs full, is slow, and can be stopped at any operation.
 *
 * Everything is decided by the random source and the order of calls; there is no clock but the one
 * the disk itself moves. It knows names, handles and syncs, and nothing of what is stored. Used by
 * the tests of the log and by the cluster simulator, which give it to the real Wal.
 */
import { basename, dirname } from "node:path";
import type { Random } from "../core/model/types.ts";
import { FatalError } from "../core/model/errors.ts";
import type { FileHandle, FileSystem, OpenMode, SlowOperation } from "../wal/files/file-system.ts";
import { SimulatedFile } from "./simulated-file.ts";
import type { PowerLoss } from "./simulated-file.ts";

/** Thrown by every operation from the crash point on, until the disk is restarted. */
export class SimulatedCrash extends Error {
  override readonly name = "SimulatedCrash";
}

/** What a simulated disk starts with. */
export interface SimulatedDiskOptions {
  readonly random: Random;
  /** Bytes that fit; writes beyond fail with ENOSPC. Default: no limit. */
  readonly capacityBytes?: number;
  /** Milliseconds that the next sync takes; moves nowMs. Default 0. */
  readonly syncMs?: () => number;
}

/** A failure to come. */
export interface SimulatedFault {
  readonly on: "write" | "sync" | "read" | "open" | "rename" | "remove";
  /** errno code, such as EIO. */
  readonly code: string;
  /** Operations of this kind that succeed before. */
  readonly after: number;
}

/** A change of a directory that is not durable. */
interface NameChange {
  readonly directory: string;
  apply(names: Map<string, SimulatedFile>): void;
}

/** A disk in memory that can lose power, fail and be slow. */
export class SimulatedDisk implements FileSystem {
  /** The disk's clock, in milliseconds. Syncs move it. */
  nowMs = 0;
  /** Bytes that fit; may be changed at any time. */
  capacityBytes: number;
  /** While true, work given to the pool waits for releasePool(). */
  holdsPool = false;
  /** Changes so far: writes, truncations, renames, removals, syncs. Each is a crash point. */
  operations = 0;
  #crashAt = Number.POSITIVE_INFINITY;
  readonly #random: Random;
  readonly #syncMs: () => number;
  readonly #directories = new Set<string>();
  #names = new Map<string, SimulatedFile>();
  #durableNames = new Map<string, SimulatedFile>();
  #changes: NameChange[] = [];
  readonly #handles = new Map<FileHandle, SimulatedFile>();
  #nextHandle = 1;
  /** Locked directories, each with the token of its holder. */
  readonly #locks = new Map<string, object>();
  #faults: { on: SimulatedFault["on"]; code: string; after: number }[] = [];
  #held: (() => void)[] = [];

  constructor(options: SimulatedDiskOptions) {
    this.#random = options.random;
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY;
    this.#syncMs = options.syncMs ?? (() => 0);
  }

  // What tests and simulators do to the disk.

  /** The operation with this number, counted from the start, and all after it do not happen. */
  crashAt(operation: number): void {
    this.#crashAt = operation;
  }

  fail(fault: SimulatedFault): void {
    this.#faults.push({ ...fault });
  }

  /** The process died and the machine did not: what was written is there, synced or not. */
  restartProcess(): void {
    this.#restart();
  }

  /** The power went: of what was not synced the disk keeps what `loss` says. */
  restartAfterPowerLoss(loss: PowerLoss): void {
    let at = 0;
    const kept = Math.floor(this.#random() * (this.#changes.length + 1));
    for (const change of this.#changes) {
      const isKept = loss === "all" || (loss === "prefix" ? at < kept : this.#random() < 0.5);
      if (loss !== "none" && isKept) change.apply(this.#durableNames);
      at += 1;
    }
    this.#names = new Map(this.#durableNames);
    this.#changes = [];
    for (const file of new Set(this.#names.values())) file.cutPower(loss, this.#random);
    this.#restart();
  }

  /** Lets the work given to the pool so far happen. */
  releasePool(): void {
    const held = this.#held;
    this.#held = [];
    for (const work of held) work();
  }

  /** The visible content of a file. */
  readFile(path: string): Buffer {
    const file = this.#file(path);
    const bytes = Buffer.alloc(file.size);
    file.read(bytes, 0);
    return bytes;
  }

  /** Puts a file there, durable: how tests plant damage. */
  writeFile(path: string, bytes: Uint8Array): void {
    const file = new SimulatedFile();
    file.write(bytes, 0);
    file.sync();
    this.#directories.add(dirname(path));
    this.#names.set(path, file);
    this.#durableNames.set(path, file);
  }

  /** Removes a file for good. */
  removeFile(path: string): void {
    this.#names.delete(path);
    this.#durableNames.delete(path);
  }

  /** An independent copy, without handles, locks and faults. */
  clone(random: Random): SimulatedDisk {
    const copy = new SimulatedDisk({ random, syncMs: this.#syncMs });
    const files = new Map<SimulatedFile, SimulatedFile>();
    const cloned = (file: SimulatedFile): SimulatedFile => {
      const known = files.get(file) ?? file.clone();
      files.set(file, known);
      return known;
    };
    for (const directory of this.#directories) copy.#directories.add(directory);
    for (const [path, file] of this.#names) copy.#names.set(path, cloned(file));
    for (const [path, file] of this.#durableNames) copy.#durableNames.set(path, cloned(file));
    if (this.#changes.length > 0) throw new Error("a disk with unsynced names cannot be cloned");
    return copy;
  }

  // The port.

  makeDirectory(path: string): void {
    for (let at = path; !this.#directories.has(at); at = dirname(at)) {
      this.#directories.add(at);
      if (dirname(at) === at) break;
    }
  }

  readDirectory(path: string): readonly string[] {
    this.#mayRun("read");
    const names: string[] = [];
    for (const name of this.#names.keys()) if (dirname(name) === path) names.push(basename(name));
    return names;
  }

  open(path: string, mode: OpenMode): FileHandle {
    this.#mayRun("open");
    let file = this.#names.get(path);
    if (mode === "create") {
      this.#change();
      if (!this.#directories.has(dirname(path))) throw errno("ENOENT", path);
      if (file === undefined) {
        const created = new SimulatedFile();
        file = created;
        this.#rename(dirname(path), (names) => names.set(path, created));
      } else file.truncate(0);
    } else if (file === undefined) throw errno("ENOENT", path);
    const handle = this.#nextHandle;
    this.#nextHandle += 1;
    this.#handles.set(handle, file);
    return handle;
  }

  close(handle: FileHandle): void {
    if (!this.#handles.delete(handle)) throw errno("EBADF", "close");
  }

  /** Handles open now: what a closed log must not leave behind. */
  get openHandles(): number {
    return this.#handles.size;
  }

  size(handle: FileHandle): number {
    return this.#opened(handle).size;
  }

  read(handle: FileHandle, buffer: Uint8Array, position: number): number {
    this.#mayRun("read");
    return this.#opened(handle).read(buffer, position);
  }

  write(handle: FileHandle, bytes: Uint8Array, position: number): void {
    const file = this.#opened(handle);
    const isCrash = this.operations + 1 >= this.#crashAt;
    if (isCrash) {
      // The process dies in the middle of the call.
      file.write(bytes.subarray(0, Math.floor(this.#random() * (bytes.length + 1))), position);
    }
    this.#change();
    this.#mayRun("write");
    const free = this.capacityBytes - this.#allocatedBytes();
    const fits = Math.max(0, Math.min(bytes.length, free + file.allocatedBytes - position));
    file.write(bytes.subarray(0, fits), position);
    if (fits < bytes.length) throw errno("ENOSPC", "write");
  }

  truncate(handle: FileHandle, size: number): void {
    this.#change();
    this.#mayRun("write");
    this.#opened(handle).truncate(size);
  }

  rename(from: string, to: string): void {
    this.#change();
    this.#mayRun("rename");
    const file = this.#file(from);
    this.#rename(dirname(to), (names) => {
      if (names.get(from) === file) names.delete(from);
      names.set(to, file);
    });
  }

  perform(operation: SlowOperation): void {
    this.#change();
    if (operation.kind === "remove") {
      this.#mayRun("remove");
      const { path } = operation;
      const file = this.#names.get(path);
      if (file === undefined) return;
      this.#rename(dirname(path), (names) => {
        if (names.get(path) === file) names.delete(path);
      });
      return;
    }
    this.nowMs += this.#syncMs();
    const file = operation.kind === "syncDirectory" ? undefined : this.#opened(operation.file);
    try {
      this.#mayRun("sync");
    } catch (error) {
      file?.forgetUnsynced();
      throw error;
    }
    if (operation.kind !== "syncDirectory") file?.sync();
    else this.#syncNames(operation.path);
  }

  performOnPool(operation: SlowOperation): Promise<void> {
    return new Promise((resolve, reject) => {
      const work = (): void => {
        try {
          this.perform(operation);
          resolve();
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      if (this.holdsPool) this.#held.push(work);
      else work();
    });
  }

  lock(directory: string): () => void {
    this.#mayRun("open");
    if (this.#locks.has(directory)) {
      throw new FatalError(`open wal error: file already locked: ${directory}`);
    }
    const holder = {};
    this.#locks.set(directory, holder);
    return () => {
      if (this.#locks.get(directory) === holder) this.#locks.delete(directory);
    };
  }

  #restart(): void {
    this.#handles.clear();
    this.#locks.clear();
    this.#faults = [];
    this.#held = [];
    this.#crashAt = Number.POSITIVE_INFINITY;
  }

  #rename(directory: string, apply: (names: Map<string, SimulatedFile>) => void): void {
    apply(this.#names);
    this.#changes.push({ directory, apply });
  }

  #syncNames(directory: string): void {
    const rest: NameChange[] = [];
    for (const change of this.#changes) {
      if (change.directory === directory) change.apply(this.#durableNames);
      else rest.push(change);
    }
    this.#changes = rest;
  }

  #change(): void {
    this.operations += 1;
    this.#mustRun();
  }

  #mustRun(): void {
    if (this.operations >= this.#crashAt) throw new SimulatedCrash("the simulated machine is off");
  }

  #mayRun(kind: SimulatedFault["on"]): void {
    this.#mustRun();
    for (const fault of this.#faults) {
      if (fault.on !== kind) continue;
      if (fault.after === 0) {
        this.#faults.splice(this.#faults.indexOf(fault), 1);
        throw errno(fault.code, kind);
      }
      fault.after -= 1;
    }
  }

  #opened(handle: FileHandle): SimulatedFile {
    const file = this.#handles.get(handle);
    if (file === undefined) throw errno("EBADF", "file");
    return file;
  }

  #file(path: string): SimulatedFile {
    const file = this.#names.get(path);
    if (file === undefined) throw errno("ENOENT", path);
    return file;
  }

  #allocatedBytes(): number {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return 0;
    let bytes = 0;
    for (const file of new Set(this.#names.values())) bytes += file.allocatedBytes;
    return bytes;
  }
}

function errno(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: simulated failure, ${what}`), { code });
}
