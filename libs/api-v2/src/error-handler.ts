/** The last resort: a failure nobody expected becomes a log line and a 500, never a crash. */
import type { ErrorRequestHandler } from "express";
import { answerJson } from "./answer.ts";
import type { EtcdServer } from "./ports.ts";

/** Makes Express' error handler. */
export function createErrorHandler(server: EtcdServer): ErrorRequestHandler {
  return (error: unknown, req, res, _next) => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    server.log("error", `failed to serve ${req.method} ${req.originalUrl}: ${text}`);
    if (res.headersSent) res.destroy();
    else answerJson(res, 500, '{"message":"Internal Server Error"}');
  };
}
