/**
 * Request bodies: collected up to a limit, or refused. Knows sizes and streams; what the bytes
 * mean is decided by the caller.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { NextFunction } from "express";
import type { ByteString } from "@etcd2/store";
import { answerMessage } from "./answer.ts";
import { BusyError } from "./busy-error.ts";
import { onBodyBroken } from "./http-messages.ts";
import { BODIES_BYTES_MAX, DISCARD_BYTES_MAX, JSON_BODY_BYTES_MAX } from "../ports/limits.ts";

/** A body that was announced and did not come whole; the message is for the client. */
export class BrokenBodyError extends Error {
  override readonly name = "BrokenBodyError";
}

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
 * @param fail Called in place of `done` with a BusyError when too many bodies are arriving at one
 *   time, and with a BrokenBodyError when the body does not come whole.
 */
export function readBody(
  req: IncomingMessage,
  bytesMax: number,
  done: (body: BodyResult) => void,
  fail: (error: BusyError | BrokenBodyError) => void,
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
      fail(new BusyError("too many request bodies are arriving"));
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
  onBodyBroken(req, (reason) => {
    if (isRefused) return;
    isRefused = true;
    release();
    fail(new BrokenBodyError(reason));
  });
  req.on("error", ignoreAbort);
}

/**
 * Waits for the announced body and throws it away: what a request asks for is not done before all
 * of it has come, whether the body matters or not.
 */
export function awaitBody(
  req: IncomingMessage,
  done: () => void,
  fail: (error: BrokenBodyError) => void,
): void {
  if (!hasBody(req)) {
    done();
    return;
  }
  let size = 0;
  req.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > DISCARD_BYTES_MAX) req.destroy();
  });
  req.on("end", done);
  onBodyBroken(req, (reason) => {
    fail(new BrokenBodyError(reason));
  });
  req.on("error", ignoreAbort);
}

/** A connection lost in the middle of a body needs no answer; the socket's owner knows. */
function ignoreAbort(): void {
  // Nothing is left to do: the request will never be complete.
}

const received = new WeakMap<IncomingMessage, ByteString>();

/**
 * Middleware for routes that read small bodies or none: goes on when the body has come whole. More
 * than a JSON document may have is refused.
 */
export function receiveBody(req: IncomingMessage, res: ServerResponse, next: NextFunction): void {
  if (!hasBody(req)) {
    next();
  } else if (req.method !== "POST" && req.method !== "PUT") {
    awaitBody(req, next, next);
  } else {
    const take = (body: BodyResult): void => {
      if (body === undefined) {
        answerMessage(res, 400, "http: request body too large");
      } else {
        received.set(req, body);
        next();
      }
    };
    readBody(req, JSON_BODY_BYTES_MAX, take, next);
  }
}

/** The body of a request that has come through receiveBody, "" when it has none. */
export function bodyOf(req: IncomingMessage): ByteString {
  return received.get(req) ?? "";
}
