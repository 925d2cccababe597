/**
 * GET /console/…: the figures, the health, values byte for byte, and whether credentials are valid,
 * for the page of the console alone.
 */
import { type Request, type Response, Router } from "express";
import { EtcdError, toByteString } from "@etcd2/store";
import type { Access } from "../auth/access.ts";
import { targetOf } from "../http/front-door.ts";
import { byMethod } from "../http/method-router.ts";
import {
  answer,
  answerJson,
  answerKeyError,
  answerNoContent,
  answerUnauthorized,
} from "../http/answer.ts";
import { FormValues } from "../keys/form-values.ts";
import { parseKeyRequest } from "../keys/parse-key-request.ts";
import type { ConsoleData, EtcdServer } from "../ports/ports.ts";
import type { AdminCheck } from "./members.ts";

function parameter(req: Request, name: string): string {
  return new URLSearchParams(targetOf(req).query).get(name) ?? "";
}

/** Milliseconds of the parameter `since`; 0 for everything when it is absent or no number. */
function sinceOf(req: Request): number {
  const text = parameter(req, "since");
  return /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

/** What the routes need. */
export interface ConsoleRouterParts {
  readonly server: EtcdServer;
  readonly access: Access;
  readonly data: ConsoleData;
  readonly mayAsk: AdminCheck;
}

/** The bytes of a value as they are: JSON has no place for those that are not UTF-8. */
async function answerValue(
  { server, access }: ConsoleRouterParts,
  req: Request,
  res: Response,
): Promise<void> {
  const key = toByteString(parameter(req, "key"));
  const request = parseKeyRequest("GET", new FormValues());
  try {
    if (request instanceof EtcdError) throw request;
    const path = key.startsWith("/") ? key : `/${key}`;
    if (!access.isOpen() && !(await access.allows(req.headers.authorization, path, request))) {
      answerUnauthorized(res);
      return;
    }
    const { node } = server.reader.get(`/1${path}`, { recursive: false });
    answer(res, 200, ["Content-Type", "application/octet-stream"], node.value ?? "");
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    answerKeyError(res, server.clusterId, error);
  }
}

export function createConsoleRouter(parts: ConsoleRouterParts): Router {
  const { data, mayAsk } = parts;
  const router = Router({ strict: true, caseSensitive: true });
  const answers = (path: string, ask: (req: Request) => Promise<string>): void => {
    router.all(
      path,
      byMethod("GET", {
        GET: async (req, res) => {
          if (await mayAsk(req.headers.authorization)) {
            answerJson(res, 200, toByteString(await ask(req)));
          } else answerUnauthorized(res);
        },
      }),
    );
  };
  answers("/console/members", () => data.members());
  answers("/console/health", (req) => data.health(sinceOf(req)));
  router.all(
    "/console/user",
    byMethod("GET", {
      GET: async (req, res) => {
        if (await parts.access.isUser(req.headers.authorization)) answerNoContent(res, []);
        else answerUnauthorized(res);
      },
    }),
  );
  router.all(
    "/console/value",
    byMethod("GET", { GET: (req, res) => answerValue(parts, req, res) }),
  );
  return router;
}
