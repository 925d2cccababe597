/**
 * The port between the write-ahead log and the disk.
 *
 * Owns the list of what the log asks of a file system, and nothing of what is stored in it.
 * node-file-system.ts implements it for real; simulated-disk.ts in memory, with crashes and faults.
 * Everything a disk may take long for is a SlowOperation, which can be performed at once, on the
 * calling thread, or on the thread pool. Failures are thrown as errors with an errno `code`.
 */

/** An open file. */
export type FileHandle = number;

/**
 * "read": an existing file; "readWrite": an existing file; "create": a new or emptied file,
 * readable and writable, for its owner alone.
 */
export type OpenMode = "read" | "readWrite" | "create";

/** Work whose duration is the disk's to decide. */
export type SlowOperation =
  /** Content, and the size where reading it back needs it (fdatasync). */
  | { readonly kind: "syncData"; readonly file: FileHandle }
  /** Content and all that is known about the file (fsync). */
  | { readonly kind: "syncFile"; readonly file: FileHandle }
  /** The names in a directory. */
  | { readonly kind: "syncDirectory"; readonly path: string }
  /** Removes a name; a name that is gone already is no error. */
  | { readonly kind: "remove"; readonly path: string };

/** The file operations of the log. They throw the errors of node:fs, with `code`. */
export interface FileSystem {
  /** Creates a directory and its parents, for their owner alone; durable on return. */
  makeDirectory(path: string): void;
  /** Names in a directory; none when it does not exist. */
  readDirectory(path: string): readonly string[];
  open(path: string, mode: OpenMode): FileHandle;
  close(file: FileHandle): void;
  /** Size in bytes. */
  size(file: FileHandle): number;
  /** Fills `buffer` from `position` on; returns the bytes read, fewer only at the end. */
  read(file: FileHandle, buffer: Uint8Array, position: number): number;
  /** Writes all of `bytes` at `position`. */
  write(file: FileHandle, bytes: Uint8Array, position: number): void;
  /** Cuts the file, or extends it by zeros that occupy no space. */
  truncate(file: FileHandle, size: number): void;
  rename(from: string, to: string): void;
  /** Performs the operation on this thread. */
  perform(operation: SlowOperation): void;
  /** Performs the operation elsewhere. */
  performOnPool(operation: SlowOperation): Promise<void>;
  /**
   * Keeps every other process, and every other log of this process, out of a directory.
   * @returns what releases it.
   * @throws FatalError when another holds it.
   */
  lock(directory: string): () => void;
}

/** Work that stops at each slow operation, so that one text serves both ways of performing them. */
export type Steps<T> = Generator<SlowOperation, T, void>;

/** Where work stands: at its next slow operation, or at its end. */
export type StepResult<T> = IteratorResult<SlowOperation, T>;

/** Performs all steps on this thread. A failure is raised where the work stopped. */
export function runInline<T>(fileSystem: FileSystem, steps: Steps<T>): T {
  let step = steps.next();
  while (step.done !== true) {
    try {
      fileSystem.perform(step.value);
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next();
  }
  return step.value;
}

/** Performs all slow operations on the thread pool. A failure is raised where the work stopped. */
export async function runOnPool<T>(fileSystem: FileSystem, steps: Steps<T>): Promise<T> {
  let step = steps.next();
  while (step.done !== true) {
    try {
      await fileSystem.performOnPool(step.value);
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next();
  }
  return step.value;
}

/** The errno code of a failure, or "" when it has none. */
export function errorCode(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
}
