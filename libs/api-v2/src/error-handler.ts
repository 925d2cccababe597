/** The last resort: a failure nobody expected becomes a log line and a 500, never a crash. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ErrorRequestHandler } from "express";
import { answerJson } from "./answer.ts";
import type { EtcdServer } from "./ports.ts";

/** Logs an unexpected failure of a request and answers it as far as that is still possible. */
export function answerUnexpected(
  server: EtcdServer,
  req: IncomingMessage,
  res: ServerResponse,
  error: unknown,
): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  server.log("error", `failed to serve ${req.method ?? ""} ${req.url ?? ""}: ${text}`);
  if (res.headersSent) res.destroy();
  else answerJson(res, 500, '{"message":"Internal Server Error"}');
}

/** Makes Express' error handler. */
export function createErrorHandler(server: EtcdServer): ErrorRequestHandler {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- Express counts the parameters.
  return (error: unknown, req, res, _next) => {
    answerUnexpected(server, req, res, error);
  };
}
