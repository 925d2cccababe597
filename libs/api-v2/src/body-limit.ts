/**
 * Request bodies: collected up to a limit, or refused. Knows sizes and streams; what the bytes
 * mean is decided by the caller.
 */
import type { IncomingMessage } from "node:http";
import type { ByteString } from "@etcd2/store";
import { DISCARD_BYTES_MAX } from "./limits.ts";

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
 * seen to exceed the limit. The rest of an oversized body is read and thrown away, so that the
 * answer reaches a client that is still sending.
 */
export function readBody(
  req: IncomingMessage,
  bytesMax: number,
  done: (body: BodyResult) => void,
): void {
  if (!hasBody(req)) {
    done("");
    return;
  }
  let text = "";
  let chunks: Buffer[] | undefined;
  let size = 0;
  req.on("data", (chunk: Buffer) => {
    const before = size;
    size += chunk.length;
    if (before > bytesMax) {
      if (size > bytesMax + DISCARD_BYTES_MAX) req.destroy();
    } else if (size > bytesMax) {
      chunks = undefined;
      done(undefined);
    } else if (before === 0) {
      text = chunk.toString("latin1");
    } else {
      chunks ??= [];
      chunks.push(chunk);
    }
  });
  req.on("end", () => {
    if (size > bytesMax) return;
    done(chunks === undefined ? text : text + Buffer.concat(chunks).toString("latin1"));
  });
  req.on("error", ignoreAbort);
}

/** A connection lost in the middle of a body needs no answer; the socket's owner knows. */
function ignoreAbort(): void {
  // Nothing is left to do: the request will never be complete.
}

/** readBody for callers that can wait; never settles when the client goes away. */
export function bodyOf(req: IncomingMessage, bytesMax: number): Promise<BodyResult> {
  return new Promise((resolve) => {
    readBody(req, bytesMax, resolve);
  });
}
