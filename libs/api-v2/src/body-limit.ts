/**
 * Request bodies: collected up to a limit, or refused. Knows sizes and streams; what the bytes
 * mean is decided by the caller.
 */
import type { IncomingMessage } from "node:http";
import type { ByteString } from "@etcd2/store";
import { BusyError } from "./busy-error.ts";
import { BODIES_BYTES_MAX, DISCARD_BYTES_MAX } from "./limits.ts";

/** Bytes of incomplete bodies at this moment. One process has one gateway. */
let heldBytes = 0;

/** Bytes of bodies still arriving. */
export function bodyBytesHeld(): number {
  return heldBytes;
}

/**
 * Outcome of reading a body: its bytes, or that it is larger than allowed. A client that goes
 * away is told nothing, so that nothing is called then.
 */
export type BodyResult = ByteString | undefined;

/** Whether the request announces a body. */
export function hasBody(req: IncomingMessage): boolean {
  const length = req.headers["content-length"];
  if (length !== undefined) return length !== "0";
  return req.headers["transfer-encoding"] !== undefined;
}

/**
 * Collects the body and calls `done` once: with the bytes, or with undefined as soon as it is
 * seen to exceed the limit. The rest of a refused body is read and thrown away, so that the
 * answer reaches a client that is still sending.
 * @param onBusy Called in place of `done` when too many bodies are arriving at one time.
 */
export function readBody(
  req: IncomingMessage,
  bytesMax: number,
  done: (body: BodyResult) => void,
  onBusy: (error: BusyError) => void,
): void {
  if (!hasBody(req)) {
    done("");
    return;
  }
  let text = "";
  let chunks: Buffer[] | undefined;
  let size = 0;
  /** Of the chunks: a body that comes at once is not counted. */
  let held = 0;
  let isRefused = false;
  const release = (): void => {
    heldBytes -= held;
    held = 0;
    chunks = undefined;
  };
  req.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (isRefused) {
      if (size > bytesMax + DISCARD_BYTES_MAX) req.destroy();
    } else if (size > bytesMax) {
      isRefused = true;
      release();
      done(undefined);
    } else if (size === chunk.length) {
      text = chunk.toString("latin1");
    } else if (heldBytes + chunk.length > BODIES_BYTES_MAX) {
      isRefused = true;
      release();
      onBusy(new BusyError("too many request bodies are arriving"));
    } else {
      if (chunks === undefined) {
        chunks = [];
        req.on("close", release);
      }
      chunks.push(chunk);
      held += chunk.length;
      heldBytes += chunk.length;
    }
  });
  req.on("end", () => {
    if (isRefused) return;
    const body = chunks === undefined ? text : text + Buffer.concat(chunks).toString("latin1");
    release();
    done(body);
  });
  req.on("error", ignoreAbort);
}

/** A connection lost in the middle of a body needs no answer; the socket's owner knows. */
function ignoreAbort(): void {
  // Nothing is left to do: the request will never be complete.
}

/**
 * readBody for callers that can wait; never settles when the client goes away.
 * @throws BusyError
 */
export function bodyOf(req: IncomingMessage, bytesMax: number): Promise<BodyResult> {
  return new Promise((resolve, reject) => {
    readBody(req, bytesMax, resolve, reject);
  });
}
