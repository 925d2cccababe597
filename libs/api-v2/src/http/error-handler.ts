/**
 * The last resort: a failure nobody expected becomes a log line and a 500, never a crash; lack of
 * room becomes a 503. A fault of the store ends the member.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ErrorRequestHandler } from "express";
import { EtcdError, isStoreFailure } from "@etcd2/store";
import { answerBusy, answerKeyError, answerMessage, jsonHeaders } from "./answer.ts";
import { BrokenBodyError } from "./body-limit.ts";
import { isBusy } from "./busy-error.ts";
import { RETRY_AFTER_SECONDS } from "../ports/limits.ts";
import type { KeysServer } from "../ports/ports.ts";

/** Logs an unexpected failure of a request and answers it as far as that is still possible. */
export function answerUnexpected(
  server: KeysServer,
  req: IncomingMessage,
  res: ServerResponse,
  error: unknown,
): void {
  if (isBusy(error)) {
    answerTooBusy(server, req, res, error);
    return;
  }
  if (error instanceof BrokenBodyError) {
    answerBrokenBody(server, req, res, error);
    return;
  }
  if (isStoreFailure(error)) server.storageFailed(error);
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  // The query may hold a value.
  const path = (req.url ?? "").replace(/\?.*$/s, "");
  server.log.error(`failed to serve ${req.method ?? ""} ${path}: ${text}`);
  if (res.headersSent) res.destroy();
  else answerMessage(res, 500, "Internal Server Error");
}

/** 400 in the words of etcd 2.3.8 for a form, or a document, that ended too early. */
function answerBrokenBody(
  server: KeysServer,
  req: IncomingMessage,
  res: ServerResponse,
  { message }: Error,
): void {
  if (res.headersSent) res.destroy();
  else if (isKeysRequest(req)) {
    answerKeyError(res, server.clusterId, new EtcdError(210, message, 0));
  } else {
    answerMessage(res, 400, message);
  }
}

function isKeysRequest(req: IncomingMessage): boolean {
  return /^\/v2\/keys(?:\/|\?|$)/.test(req.url ?? "");
}

/** 503 in the form that the endpoint's other errors have. */
function answerTooBusy(
  server: KeysServer,
  req: IncomingMessage,
  res: ServerResponse,
  { message }: Error,
): void {
  const cause = `etcdserver: ${message}`;
  if (res.headersSent) {
    res.destroy();
  } else if (isKeysRequest(req)) {
    answerBusy(res, server.clusterId, new EtcdError(300, cause, server.reader.etcdIndex));
  } else {
    const headers = [...jsonHeaders(), "Retry-After", String(RETRY_AFTER_SECONDS)];
    answerMessage(res, 503, cause, headers);
  }
}

/** Makes Express' error handler. */
export function createErrorHandler(server: KeysServer): ErrorRequestHandler {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- Express counts the parameters.
  return (error: unknown, req, res, _next) => {
    answerUnexpected(server, req, res, error);
  };
}
