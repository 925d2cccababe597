/** /debug/vars, /metrics and /config/local/log: for operators. What they show is the server's. */
import { Router, type Request, type Response } from "express";
import { type ByteString, toByteString } from "@etcd2/store";
import { byMethod } from "../http/method-router.ts";
import { answer, answerNoContent, answerMessage } from "../http/answer.ts";
import { bodyOf } from "../http/body-limit.ts";
import { JsonDecodeError, JsonDocument } from "../json/json-document.ts";
import type { EtcdServer } from "../ports/ports.ts";

const LOG_LEVELS: ReadonlyMap<string, string> = new Map([
  ...names("CRITICAL", "CRITICAL", "C"),
  ...names("ERROR", "ERROR", "E", "0"),
  ...names("WARNING", "WARNING", "W", "1"),
  ...names("NOTICE", "NOTICE", "N", "2"),
  ...names("INFO", "INFO", "I", "3"),
  ...names("DEBUG", "DEBUG", "D", "4"),
  ...names("TRACE", "TRACE", "T", "5"),
]);

function names(level: string, ...spellings: string[]): [string, string][] {
  return spellings.map((spelling) => [spelling, level]);
}

/** The routes of this file. */
export function createDebugRouter(server: EtcdServer): Router {
  const router = Router({ strict: true, caseSensitive: true });
  router.all(
    "/debug/vars",
    byMethod("GET", {
      GET: (_req, res) => {
        answer(res, 200, ["Content-Type", "application/json; charset=utf-8"], varsText(server));
      },
    }),
  );
  router.all("/metrics", async (_req, res) => {
    const page = await server.metricsPage();
    answer(res, 200, ["Content-Type", page.contentType], toByteString(page.body));
  });
  router.all(
    "/config/local/log",
    byMethod("PUT", {
      PUT: (req, res) => {
        setLogLevel(server, req, res);
      },
    }),
  );
  return router;
}

function varsText(server: EtcdServer): string {
  const lines = [...server.debugVars()].map(
    ([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`,
  );
  return toByteString(`{\n${lines.join(",\n")}\n}\n`);
}

function setLogLevel(server: EtcdServer, req: Request, res: Response): void {
  let name: ByteString;
  try {
    name = JsonDocument.parseBody(bodyOf(req), "ignored").string("Level");
  } catch (error) {
    if (!(error instanceof JsonDecodeError)) throw error;
    answerMessage(res, 400, "Invalid json body");
    return;
  }
  const level = LOG_LEVELS.get(name.toUpperCase());
  if (level === undefined) {
    answerMessage(res, 400, `Invalid log level ${name}`);
    return;
  }
  server.setLogLevel(level);
  answerNoContent(res, []);
}
