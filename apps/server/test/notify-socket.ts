/**
 * What systemd is to a service: a datagram socket that tells which process sent each message, as
 * the kernel vouches for it (SO_PASSCRED). Run as a program it receives, in C calls that block,
 * and prints one line per message; tests start it with NotifySocket.listen.
 */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dlopen, getInt32, getRawPointer } from "node:ffi";

export interface Notification {
  readonly pid: number;
  readonly text: string;
}

export class NotifySocket {
  readonly #child: ChildProcess;
  readonly received: Notification[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Listens at an abstract address ("@name") or a path. */
  static async listen(address: string): Promise<NotifySocket> {
    const child = spawn(process.execPath, ["--no-warnings", import.meta.filename, address], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const socket = new NotifySocket(child);
    let text = "";
    child.stdout.setEncoding("utf8");
    const listening = new Promise<void>((resolve, reject) => {
      child.once("exit", (status) => {
        reject(new Error(`the receiver ended with ${String(status)}`));
      });
      child.stdout.on("data", (part: string) => {
        text += part;
        const lines = text.split("\n");
        text = lines.pop() ?? "";
        for (const line of lines) {
          if (line === "listening") resolve();
          else socket.received.push(JSON.parse(line) as Notification);
        }
      });
    });
    await listening;
    return socket;
  }

  async close(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_PASSCRED = 16;

function receive(address: string): never {
  const { functions: libc } = dlopen(null, {
    socket: { arguments: ["int32", "int32", "int32"], return: "int32" },
    bind: { arguments: ["int32", "buffer", "uint32"], return: "int32" },
    setsockopt: {
      arguments: ["int32", "int32", "int32", "buffer", "uint32"],
      return: "int32",
    },
    recvmsg: { arguments: ["int32", "buffer", "int32"], return: "int64" },
    __errno_location: { arguments: [], return: "pointer" },
  });
  const must = (call: string, result: number): number => {
    if (result < 0) throw new Error(`${call}: errno ${getInt32(libc.__errno_location(), 0)}`);
    return result;
  };
  const fd = must("socket", libc.socket(AF_UNIX, SOCK_DGRAM, 0));
  const one = Buffer.from(new Uint32Array([1]).buffer);
  must("setsockopt", libc.setsockopt(fd, SOL_SOCKET, SO_PASSCRED, one, one.length));
  const name = Buffer.from(address.startsWith("@") ? `\0${address.slice(1)}` : `${address}\0`);
  const family = Buffer.from(new Uint16Array([AF_UNIX]).buffer);
  const bound = Buffer.concat([family, name]);
  must("bind", libc.bind(fd, bound, bound.length));
  process.stdout.write("listening\n");
  const data = Buffer.alloc(4096);
  const control = Buffer.alloc(64);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(getRawPointer(data), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  const message = Buffer.alloc(56);
  for (;;) {
    message.fill(0);
    message.writeBigUInt64LE(getRawPointer(vector), 16);
    message.writeBigUInt64LE(1n, 24);
    message.writeBigUInt64LE(getRawPointer(control), 32);
    message.writeBigUInt64LE(BigInt(control.length), 40);
    const length = must("recvmsg", Number(libc.recvmsg(fd, message, 0)));
    // After the header of the control message: pid, uid, gid.
    const pid = control.readInt32LE(16);
    process.stdout.write(`${JSON.stringify({ pid, text: data.toString("utf8", 0, length) })}\n`);
  }
}

if (process.argv[1] === import.meta.filename) receive(process.argv[2] ?? "");
