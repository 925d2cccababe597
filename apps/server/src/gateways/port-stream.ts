/**
 * A connection between two threads: a stream of bytes over a message port, which waits for its other
 * end as a socket does. Knows nothing of what is sent.
 */
import { Duplex } from "node:stream";
import type { MessagePort } from "node:worker_threads";

/** Bytes; the end of them; or that those before were taken. */
type Message = Uint8Array | "end" | "taken";

type Done = (error?: Error | null) => void;

/** One end of the connection. */
export class PortStream extends Duplex {
  /** The request came over TLS: what asks a socket for it is told so. */
  readonly encrypted: boolean;
  readonly #port: MessagePort;
  #written: Done | undefined;
  /** Bytes came that the reader has had no room for since. */
  #owesTaken = false;

  constructor(port: MessagePort, encrypted = false) {
    super({ allowHalfOpen: true });
    this.encrypted = encrypted;
    this.#port = port;
    port.on("message", this.#receive);
    port.on("close", () => {
      this.destroy();
    });
  }

  /** As sockets have it; there is nothing to set. */
  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  override _read(): void {
    if (!this.#owesTaken) return;
    this.#owesTaken = false;
    this.#port.postMessage("taken" satisfies Message);
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    this.#written = done;
    this.#port.postMessage(chunk satisfies Message);
  }

  override _final(done: Done): void {
    this.#port.postMessage("end" satisfies Message);
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#port.close();
    done(error);
  }

  readonly #receive = (message: Message): void => {
    if (message === "end") {
      this.push(null);
    } else if (message === "taken") {
      const done = this.#written;
      this.#written = undefined;
      done?.();
    } else if (this.push(Buffer.from(message.buffer, message.byteOffset, message.byteLength))) {
      this.#port.postMessage("taken" satisfies Message);
    } else {
      this.#owesTaken = true;
    }
  };
}
