/**
 * Reads plain connections into one buffer that all of them share, which the runtime offers for
 * connections that a program opens (`onread` of net.Socket) and not for those that a server
 * accepts. It saves an allocation of 64 KiB and a pass through the stream for every packet, about a
 * tenth of the time of a small request. Where the runtime has no such switch nothing is changed.
 */
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";

const shared = Buffer.allocUnsafeSlow(64 << 10);

/** Views of the beginning of the buffer, by length: most packets are small and much alike. */
const views: (Buffer | undefined)[] = [];
const VIEWS_MAX = 2048;

function view(size: number): Buffer {
  if (size >= VIEWS_MAX) return shared.subarray(0, size);
  return (views[size] ??= shared.subarray(0, size));
}

/** What the runtime's socket has for `onread`. */
interface Switches {
  readonly _handle?: { readonly useUserBuffer?: (buffer: Uint8Array) => void } | null;
  [key: symbol]: unknown;
}

function symbolOf(socket: Socket, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === description);
}

/**
 * Has `take` called with every packet, in place of "data" events. The bytes are those of the shared
 * buffer: they are gone when `take` returns.
 * @returns whether that is so; else packets come as "data" events, as always.
 */
export function readShared(socket: Duplex, take: (bytes: Buffer) => void): boolean {
  if (!(socket instanceof Socket) || socket instanceof TLSSocket) return false;
  const switches = socket as unknown as Switches;
  const handle = switches._handle;
  const buffer = symbolOf(socket, "kBuffer");
  const callback = symbolOf(socket, "kBufferCb");
  if (typeof handle?.useUserBuffer !== "function") return false;
  if (buffer === undefined || callback === undefined) return false;
  switches[buffer] = shared;
  switches[callback] = (size: number): boolean => {
    take(view(size));
    return true;
  };
  handle.useUserBuffer(shared);
  return true;
}
