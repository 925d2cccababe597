/**
 * Whether another program holds one of the locks on a file that servers of the original take: flock, as
 * etcd up to 2.2 and the v3 store do, or a lock of an open file description. Asks the kernel about the file
 * itself, since its list of locks leaves out those of other containers, and names files of some file systems
 * otherwise than stat does. The C library is called through node:ffi; Linux on 64-bit machines only.
 */
import { closeSync, openSync } from "node:fs";
import { constants } from "node:os";

const LOCK_SH = 1;
const LOCK_NB = 4;
const F_OFD_GETLK = 36;

/** struct flock: type and whence, start, length, pid. */
const FLOCK_BYTES = 32;
const F_WRLCK = 1;
const F_UNLCK = 2;

interface Calls {
  readonly flock: (fd: number, operation: number) => number;
  readonly fcntl: (fd: number, command: number, argument: Buffer) => number;
  readonly errno: () => number;
}

let calls: Calls | undefined;
let isLookedUp = false;

function systemCalls(): Calls | undefined {
  if (isLookedUp) return calls;
  isLookedUp = true;
  if (process.platform !== "linux" || !/^(?:x64|arm64)$/.test(process.arch)) return undefined;
  try {
    const { dlopen, getInt32 } = process.getBuiltinModule("node:ffi");
    const { functions } = dlopen(null, {
      flock: { arguments: ["int32", "int32"], return: "int32" },
      fcntl: { arguments: ["int32", "int32", "buffer"], return: "int32" },
      __errno_location: { arguments: [], return: "pointer" },
    });
    calls = {
      flock: functions.flock,
      fcntl: functions.fcntl,
      errno: () => getInt32(functions.__errno_location(), 0),
    };
  } catch {
    // The runtime is built without the module, or the C library is an unusual one.
  }
  return calls;
}

/**
 * True when somebody has the file locked against others. The look itself locks it, shared and for a moment.
 * @returns undefined where it cannot be told: no such file, no such calls, a file system without locks.
 */
export function isLockedByOther(path: string): boolean | undefined {
  const found = systemCalls();
  if (found === undefined) return undefined;
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return undefined;
  }
  try {
    const record = Buffer.alloc(FLOCK_BYTES);
    record.writeInt16LE(F_WRLCK, 0);
    const isAnswered = found.fcntl(fd, F_OFD_GETLK, record) === 0;
    if (isAnswered && record.readInt16LE(0) !== F_UNLCK) return true;
    if (found.flock(fd, LOCK_SH | LOCK_NB) === 0) return false;
    if (found.errno() === constants.errno.EWOULDBLOCK) return true;
    return isAnswered ? false : undefined;
  } finally {
    closeSync(fd);
  }
}
