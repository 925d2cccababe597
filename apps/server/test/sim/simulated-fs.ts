/**
 * A machine's disk behind node:fs: directories and files that lose what was not synced when the power
 * goes, names included, and that fail and crash on demand. Paths below /simulated/NAME belong to the
 * disk of that name; all others go to the real file system. To be imported after runtime.ts and
 * before the product.
 */
import fs from "node:fs";
import { basename, dirname } from "node:path";
import type { PowerLoss, SimulatedFile as File } from "@etcd2/raft/testing";
import { replaceBuiltin, world } from "./runtime.ts";
import type { Owner, Random } from "./runtime.ts";

const ROOT = "/simulated/";
/** File descriptors above all real ones. */
const HANDLE_MIN = 1_000_000;

/** Thrown by the operation in which the machine or the process died, and by all after it. */
export class SimulatedCrash extends Error {
  override readonly name = "SimulatedCrash";
}

class Directory {
  readonly birth: number;
  readonly inode: number;
  names = new Map<string, Entry>();
  durable = new Map<string, Entry>();
  /** Changes of names that are not durable, in order. */
  changes: ((names: Map<string, Entry>) => void)[] = [];

  constructor(inode: number) {
    this.inode = inode;
    this.birth = inode;
  }

  change(apply: (names: Map<string, Entry>) => void): void {
    apply(this.names);
    this.changes.push(apply);
  }

  sync(): void {
    this.durable = new Map(this.names);
    this.changes = [];
  }
}

interface PlainFile {
  readonly inode: number;
  readonly content: File;
}

type Entry = Directory | PlainFile;

interface Fault {
  readonly on: "write" | "sync";
  readonly path: RegExp;
  readonly code: string;
  after: number;
}

/** One machine's disk. */
export class SimulatedFs {
  readonly name: string;
  /** Changes so far; each is a point to crash at. */
  operations = 0;
  /** Milliseconds that a sync on the pool takes. */
  syncMs: () => number = () => 0.1;
  /** Syncs promise what they do not keep: for planted bugs. */
  forgetsSyncs = false;
  onCrash: () => void = () => undefined;
  #crashAt = Infinity;
  readonly #random: Random;
  readonly #root: Directory;
  #inodes = 1;
  #faults: Fault[] = [];
  readonly #handles = new Map<number, { entry: Entry; at: number; owner: Owner; path: string }>();

  constructor(name: string, random: Random) {
    this.name = name;
    this.#random = random;
    this.#root = new Directory(1);
    disks.set(name, this);
  }

  get root(): string {
    return ROOT + this.name;
  }

  /** The process dies at its next change but so many. */
  crashIn(operations: number): void {
    this.#crashAt = this.operations + 1 + operations;
  }

  fail(fault: Fault): void {
    this.#faults.push({ ...fault });
  }

  /** What a new process finds: everything, or after a loss of power what was synced and some of the rest. */
  restart(loss: PowerLoss | "process"): void {
    this.#crashAt = Infinity;
    this.#faults = [];
    this.#handles.clear();
    if (loss !== "process") this.#cut(this.#root, loss, new Set());
  }

  #cut(directory: Directory, loss: PowerLoss, seen: Set<Entry>): void {
    const kept = Math.floor(this.#random() * (directory.changes.length + 1));
    const { durable } = directory;
    directory.changes.forEach((change, at) => {
      const isKept = loss === "all" || (loss === "prefix" ? at < kept : this.#random() < 0.5);
      if (loss !== "none" && isKept) change(durable);
    });
    directory.names = new Map(durable);
    directory.changes = [];
    for (const entry of directory.names.values()) {
      if (seen.has(entry)) continue;
      seen.add(entry);
      if (entry instanceof Directory) this.#cut(entry, loss, seen);
      else entry.content.cutPower(loss, this.#random);
    }
  }

  /** All of it is gone. */
  wipe(): void {
    this.#root.names.clear();
    this.#root.durable.clear();
    this.#root.changes = [];
    this.#handles.clear();
  }

  /** A copy of what is there, to be put back later. */
  save(): () => void {
    const copy = (directory: Directory): Directory => {
      const made = new Directory(this.#inode());
      for (const [name, entry] of directory.names) made.names.set(name, copied(entry));
      made.durable = new Map(made.names);
      return made;
    };
    const copied = (entry: Entry): Entry => {
      if (entry instanceof Directory) return copy(entry);
      const content = entry.content.clone();
      content.sync();
      return { inode: this.#inode(), content };
    };
    const saved = copy(this.#root);
    return () => {
      const restored = copy(saved);
      this.#root.names = restored.names;
      this.#root.durable = restored.durable;
      this.#root.changes = [];
      this.#handles.clear();
    };
  }

  // What node:fs does.

  exists(path: string): boolean {
    return this.#find(path) !== undefined;
  }

  open(path: string, flags: string): number {
    const isNew = flags.startsWith("w");
    let entry = this.#find(path);
    if (isNew) {
      this.#change(path);
      if (entry === undefined) {
        const made: PlainFile = { inode: this.#inode(), content: new SimulatedFile() };
        entry = made;
        this.#parent(path).change((names) => names.set(basename(path), made));
      } else if (entry instanceof Directory) throw errno("EISDIR", path);
      else entry.content.truncate(0);
    } else if (flags.startsWith("a") && entry === undefined) {
      this.#change(path);
      const made: PlainFile = { inode: this.#inode(), content: new SimulatedFile() };
      entry = made;
      this.#parent(path).change((names) => names.set(basename(path), made));
    }
    if (entry === undefined) throw errno("ENOENT", path);
    nextHandle += 1;
    this.#handles.set(nextHandle, { entry, at: 0, owner: world().owner, path });
    handles.set(nextHandle, this);
    return nextHandle;
  }

  close(fd: number): void {
    handles.delete(fd);
    if (!this.#handles.delete(fd)) throw errno("EBADF", "close");
  }

  stat(target: string | number): { entry: Entry; size: number } {
    const entry = typeof target === "number" ? this.#opened(target).entry : this.#find(target);
    if (entry === undefined) throw errno("ENOENT", String(target));
    return { entry, size: entry instanceof Directory ? 4096 : entry.content.size };
  }

  read(fd: number, buffer: Uint8Array, position: number | null): number {
    const handle = this.#opened(fd);
    if (handle.entry instanceof Directory) throw errno("EISDIR", "read");
    const bytes = handle.entry.content.read(buffer, position ?? handle.at);
    if (position === null) handle.at += bytes;
    return bytes;
  }

  write(fd: number, bytes: Uint8Array, position: number | null): number {
    const handle = this.#opened(fd);
    const { entry } = handle;
    if (entry instanceof Directory) throw errno("EISDIR", "write");
    const at = position ?? handle.at;
    if (this.operations + 1 >= this.#crashAt) {
      // The process dies in the middle of the call.
      const part = Math.floor(this.#random() * (bytes.length + 1));
      entry.content.write(bytes.subarray(0, part), at);
    }
    this.#change(handle.path);
    this.#mayFail("write", handle.path);
    entry.content.write(bytes, at);
    if (position === null) handle.at += bytes.length;
    return bytes.length;
  }

  truncate(fd: number, size: number): void {
    const { entry, path } = this.#opened(fd);
    this.#change(path);
    this.#mayFail("write", path);
    if (!(entry instanceof Directory)) entry.content.truncate(size);
  }

  sync(fd: number): void {
    const { entry, path } = this.#opened(fd);
    this.#change(path);
    try {
      this.#mayFail("sync", path);
    } catch (error) {
      if (!(entry instanceof Directory)) entry.content.forgetUnsynced();
      throw error;
    }
    if (this.forgetsSyncs) return;
    if (entry instanceof Directory) entry.sync();
    else entry.content.sync();
  }

  mkdir(path: string, isRecursive: boolean): string | undefined {
    if (this.#find(path) !== undefined) {
      if (isRecursive) return undefined;
      throw errno("EEXIST", path);
    }
    let first = path;
    if (isRecursive && this.#find(dirname(path)) === undefined) {
      first = this.mkdir(dirname(path), true) ?? path;
    }
    this.#change(path);
    const made = new Directory(this.#inode());
    this.#parent(path).change((names) => names.set(basename(path), made));
    return first;
  }

  readdir(path: string): { name: string; isDirectory: boolean }[] {
    const entry = this.#find(path);
    if (!(entry instanceof Directory)) throw errno("ENOENT", path);
    return [...entry.names]
      .map(([name, child]) => ({ name, isDirectory: child instanceof Directory }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  rename(from: string, to: string): void {
    this.#change(to);
    const entry = this.#find(from);
    if (entry === undefined) throw errno("ENOENT", from);
    if (dirname(from) !== dirname(to)) throw errno("EXDEV", from);
    this.#parent(from).change((names) => {
      if (names.get(basename(from)) === entry) names.delete(basename(from));
      names.set(basename(to), entry);
    });
  }

  remove(path: string, { isForced = false, isRecursive = false } = {}): void {
    const entry = this.#find(path);
    if (entry === undefined) {
      if (isForced) return;
      throw errno("ENOENT", path);
    }
    if (entry instanceof Directory) {
      if (!isRecursive && entry.names.size > 0) throw errno("ENOTEMPTY", path);
      for (const name of [...entry.names.keys()]) this.remove(`${path}/${name}`, { isRecursive });
    }
    this.#change(path);
    this.#parent(path).change((names) => {
      if (names.get(basename(path)) === entry) names.delete(basename(path));
    });
  }

  #inode(): number {
    this.#inodes += 1;
    return this.#inodes;
  }

  #find(path: string): Entry | undefined {
    let entry: Entry | undefined = this.#root;
    for (const name of path.slice(this.root.length).split("/")) {
      if (name === "") continue;
      if (!(entry instanceof Directory)) return undefined;
      entry = entry.names.get(name);
    }
    return entry;
  }

  #parent(path: string): Directory {
    const parent = this.#find(dirname(path));
    if (!(parent instanceof Directory)) throw errno("ENOENT", path);
    return parent;
  }

  #opened(fd: number): { entry: Entry; at: number; path: string } {
    const handle = this.#handles.get(fd);
    if (handle?.owner.isDead === true) throw new SimulatedCrash("the process is gone");
    if (handle === undefined) throw errno("EBADF", "file");
    return handle;
  }

  #change(path: string): void {
    if (world().owner.isDead) throw new SimulatedCrash("the process is gone");
    this.operations += 1;
    if (this.operations < this.#crashAt) return;
    this.onCrash();
    throw new SimulatedCrash(`the process died while it changed ${path}`);
  }

  #mayFail(on: Fault["on"], path: string): void {
    for (const fault of this.#faults) {
      if (fault.on !== on || !fault.path.test(path)) continue;
      if (fault.after > 0) {
        fault.after -= 1;
        continue;
      }
      this.#faults.splice(this.#faults.indexOf(fault), 1);
      throw errno(fault.code, path);
    }
  }
}

const disks = new Map<string, SimulatedFs>();
const handles = new Map<number, SimulatedFs>();
let nextHandle = HANDLE_MIN;

export function forgetDisks(): void {
  disks.clear();
  handles.clear();
  nextHandle = HANDLE_MIN;
}

function errno(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: simulated failure, ${what}`), { code });
}

function diskOf(target: unknown): SimulatedFs | undefined {
  if (typeof target === "number") return handles.get(target);
  if (typeof target !== "string" || !target.startsWith(ROOT)) return undefined;
  return disks.get(target.slice(ROOT.length).split("/")[0] ?? "");
}

interface Options {
  readonly recursive?: boolean;
  readonly force?: boolean;
  readonly withFileTypes?: boolean;
  readonly encoding?: BufferEncoding;
  readonly flush?: boolean;
}

function optionsOf(value: unknown): Options {
  if (typeof value === "string") return { encoding: value as BufferEncoding };
  return value ?? {};
}

function statsOf(disk: SimulatedFs, target: string | number, options: unknown): object {
  const { entry, size } = disk.stat(target);
  const isBig = (options as { bigint?: boolean } | undefined)?.bigint === true;
  const number = (value: number): number | bigint => (isBig ? BigInt(value) : value);
  return {
    size: number(size),
    ino: number(entry.inode),
    birthtimeNs: BigInt(entry.inode),
    mode: 0o700,
    isDirectory: () => entry instanceof Directory,
    isFile: () => !(entry instanceof Directory),
  };
}

function readAll(disk: SimulatedFs, target: string | number): Buffer {
  const { entry, size } = disk.stat(target);
  if (entry instanceof Directory) throw errno("EISDIR", String(target));
  const bytes = Buffer.alloc(size);
  entry.content.read(bytes, 0);
  return bytes;
}

type Done = (error: Error | null, value?: unknown) => void;

/** The work of the thread pool: done at some later time, in whichever order. */
function onPool(disk: SimulatedFs, work: () => unknown, done: Done): void {
  const at = world();
  const { owner } = at;
  at.after(disk.syncMs(), owner, () => {
    let value: unknown;
    try {
      value = work();
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    done(null, value);
  });
}

const real = { ...fs };

function either<A extends unknown[], R>(
  name: keyof typeof real,
  simulated: (disk: SimulatedFs, ...values: A) => R,
): (...values: A) => R {
  const original = real[name] as unknown as (...values: A) => R;
  return (...values) => {
    const [target] = values;
    if (target === "/proc/sys/kernel/random/boot_id") return world().owner.machine.bootId as R;
    if (target === "/proc/self/timens_offsets") throw errno("ENOENT", "no time namespaces");
    const disk = diskOf(target);
    return disk === undefined ? original(...values) : simulated(disk, ...values);
  };
}

replaceBuiltin("node:fs", {
  existsSync: either("existsSync", (disk, path: string) => disk.exists(path)),
  accessSync: either("accessSync", (disk, path: string) => {
    disk.stat(path);
  }),
  openSync: either("openSync", (disk, path: string, flags: string = "r") => disk.open(path, flags)),
  closeSync: either("closeSync", (disk, fd: number) => {
    disk.close(fd);
  }),
  statSync: either("statSync", (disk, path: string, options: unknown) =>
    statsOf(disk, path, options),
  ),
  fstatSync: either("fstatSync", (disk, fd: number, options: unknown) =>
    statsOf(disk, fd, options),
  ),
  readSync: either(
    "readSync",
    (disk, fd: number, buffer: Uint8Array, from: number, length: number, at: number | null) =>
      disk.read(fd, buffer.subarray(from, from + length), at),
  ),
  writeSync: either(
    "writeSync",
    (
      disk,
      fd: number,
      bytes: Uint8Array,
      from: number = 0,
      length: number = bytes.length,
      at?: number | null,
    ) => disk.write(fd, bytes.subarray(from, from + length), at ?? null),
  ),
  ftruncateSync: either("ftruncateSync", (disk, fd: number, size: number) => {
    disk.truncate(fd, size);
  }),
  fsyncSync: either("fsyncSync", (disk, fd: number) => {
    disk.sync(fd);
  }),
  fdatasyncSync: either("fdatasyncSync", (disk, fd: number) => {
    disk.sync(fd);
  }),
  mkdirSync: either("mkdirSync", (disk, path: string, options: unknown) =>
    disk.mkdir(path, optionsOf(options).recursive === true),
  ),
  rmdirSync: either("rmdirSync", (disk, path: string) => {
    disk.remove(path);
  }),
  readdirSync: either("readdirSync", (disk, path: string, options: unknown) => {
    const entries = disk.readdir(path);
    if (optionsOf(options).withFileTypes !== true) return entries.map(({ name }) => name);
    return entries.map(({ name, isDirectory }) => ({
      ...{ name, parentPath: path },
      isDirectory: () => isDirectory,
      isFile: () => !isDirectory,
    }));
  }),
  readFileSync: either("readFileSync", (disk, target: string | number, options: unknown) => {
    const bytes = readAll(disk, target);
    const { encoding } = optionsOf(options);
    return encoding === undefined ? bytes : bytes.toString(encoding);
  }),
  writeFileSync: either(
    "writeFileSync",
    (disk, target: string | number, data: string | Uint8Array, options: unknown) => {
      const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data;
      const fd = typeof target === "number" ? target : disk.open(target, "w");
      disk.write(fd, bytes, typeof target === "number" ? null : 0);
      if (optionsOf(options).flush === true) disk.sync(fd);
      if (typeof target !== "number") disk.close(fd);
    },
  ),
  renameSync: either("renameSync", (disk, from: string, to: string) => {
    disk.rename(from, to);
  }),
  unlinkSync: either("unlinkSync", (disk, path: string) => {
    disk.remove(path);
  }),
  rmSync: either("rmSync", (disk, path: string, options: unknown) => {
    const { recursive, force } = optionsOf(options);
    disk.remove(path, { isRecursive: recursive === true, isForced: force === true });
  }),
  open: either("open", (disk, path: string, flags: string, ...rest: unknown[]) => {
    onPool(disk, () => disk.open(path, flags), rest.at(-1) as Done);
  }),
  close: either("close", (disk, fd: number, done: Done) => {
    onPool(
      disk,
      () => {
        disk.close(fd);
      },
      done,
    );
  }),
  fsync: either("fsync", (disk, fd: number, done: Done) => {
    onPool(
      disk,
      () => {
        disk.sync(fd);
      },
      done,
    );
  }),
  fdatasync: either("fdatasync", (disk, fd: number, done: Done) => {
    onPool(
      disk,
      () => {
        disk.sync(fd);
      },
      done,
    );
  }),
  unlink: either("unlink", (disk, path: string, done: Done) => {
    onPool(
      disk,
      () => {
        disk.remove(path);
      },
      done,
    );
  }),
});

/** A file written off the thread of the process: opened, written and synced at different times. */
async function writeFileLater(
  disk: SimulatedFs,
  path: string,
  data: string | Uint8Array,
  options: unknown,
): Promise<void> {
  const later = <T>(work: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      onPool(disk, work, (error, value) => {
        if (error === null) resolve(value as T);
        else reject(error);
      });
    });
  const fd = await later(() => disk.open(path, "w"));
  const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data;
  await later(() => disk.write(fd, bytes, 0));
  if (optionsOf(options).flush === true) {
    await later(() => {
      disk.sync(fd);
    });
  }
  disk.close(fd);
}

const realWriteFile = fs.promises.writeFile;

replaceBuiltin("node:fs/promises", {
  writeFile: (path: string, data: string | Uint8Array, options: unknown) => {
    const disk = diskOf(path);
    if (disk !== undefined) return writeFileLater(disk, path, data, options);
    return realWriteFile(path, data, options as never);
  },
});

// The product keeps some functions of node:fs as they are when it is loaded: it comes after them.
const { SimulatedFile } = await import("@etcd2/raft/testing");
