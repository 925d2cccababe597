/**
 * Owns sending one datagram to a Unix socket from this very process, which Node's own modules do
 * not offer: the C library is called through node:ffi, which is loaded for this alone. Linux on
 * 64-bit machines only.
 */
import { constants } from "node:os";
import { getSystemErrorMessage, getSystemErrorName } from "node:util";
import { setTimeout as delay } from "node:timers/promises";

/**
 * Sends a text to the socket of a path, or of an abstract name when it begins with "@".
 * @throws Error of the system call, or when the socket takes nothing for five seconds
 */
export type DatagramSender = (address: string, text: string) => Promise<void>;

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** The length of struct sockaddr_un, with its path of at most 107 bytes and a NUL. */
const ADDRESS_BYTES = 110;

/** A socket whose queue is full is tried again this often. */
const RETRY_MS = 50;
const RETRIES_MAX = 100;

interface Calls {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly sendto: (
    fd: number,
    bytes: Buffer,
    length: bigint,
    flags: number,
    address: Buffer,
    addressLength: number,
  ) => bigint;
  readonly close: (fd: number) => number;
  readonly errno: () => number;
}

async function systemCalls(): Promise<Calls | undefined> {
  if (process.platform !== "linux" || !/^(?:x64|arm64)$/.test(process.arch)) return undefined;
  try {
    const { dlopen, getInt32 } = await import("node:ffi");
    const { functions } = dlopen(null, {
      socket: { arguments: ["int32", "int32", "int32"], return: "int32" },
      sendto: {
        arguments: ["int32", "buffer", "uint64", "int32", "buffer", "uint32"],
        return: "int64",
      },
      close: { arguments: ["int32"], return: "int32" },
      __errno_location: { arguments: [], return: "pointer" },
    });
    return {
      socket: functions.socket,
      sendto: functions.sendto,
      close: functions.close,
      errno: () => getInt32(functions.__errno_location(), 0),
    };
  } catch {
    // The runtime is built without the module, or the C library is an unusual one.
    return undefined;
  }
}

/** struct sockaddr_un, and how much of it counts. */
function socketAddress(address: string): { bytes: Buffer; length: number } {
  const isAbstract = address.startsWith("@");
  const name = Buffer.from(isAbstract ? `\0${address.slice(1)}` : `${address}\0`);
  if (2 + name.length > ADDRESS_BYTES) throw new Error(`${address} is too long for a socket`);
  const bytes = Buffer.alloc(ADDRESS_BYTES);
  bytes.writeUInt16LE(AF_UNIX, 0);
  name.copy(bytes, 2);
  return { bytes, length: 2 + name.length };
}

function failure(call: string, errno: number, address: string): Error {
  return new Error(
    `${call} ${address}: ${getSystemErrorName(-errno)}: ${getSystemErrorMessage(-errno)}`,
  );
}

/** Undefined where this process cannot send such a datagram. */
export async function openDatagramSender(): Promise<DatagramSender | undefined> {
  const calls = await systemCalls();
  if (calls === undefined) return undefined;
  return async (address, text) => {
    const to = socketAddress(address);
    const bytes = Buffer.from(text);
    const fd = calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) throw failure("socket", calls.errno(), address);
    try {
      for (let tries = 0; ; tries++) {
        const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
        const sent = calls.sendto(fd, bytes, BigInt(bytes.length), flags, to.bytes, to.length);
        if (sent >= 0n) return;
        const errno = calls.errno();
        const { EAGAIN, EINTR } = constants.errno;
        if ((errno !== EAGAIN && errno !== EINTR) || tries === RETRIES_MAX)
          throw failure("send to", errno, address);
        await delay(RETRY_MS);
      }
    } finally {
      calls.close(fd);
    }
  };
}
