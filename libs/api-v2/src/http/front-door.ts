/**
 * The first and only step every request takes before routing: hosts and origins that are refused,
 * malformed targets, OPTIONS, CORS, path cleaning, and the short cut to the keys API. Knows no
 * endpoint but /v2/keys.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { NextFunction, Request, RequestHandler } from "express";
import { answer, answerJson, answerText } from "./answer.ts";
import { encodePath } from "./percent-encoding.ts";
import { HostPolicy, hostRefusal } from "./host-policy.ts";
import type { Targeted } from "./http-messages.ts";
import { OriginPolicy } from "./origin-policy.ts";
import type { PageOptions } from "../ports/ports.ts";
import { parseTarget, type RequestTarget } from "./request-target.ts";
import type { KeysHandler } from "../keys/keys-handler.ts";

const KEYS = "/v2/keys";

const FOREIGN_PAGE =
  '{"message":"Refused: the request comes from a page of another origin, which --cors does not allow"}';

/** The decoded target of a request that has come through the front door. */
export function targetOf(req: Request): RequestTarget {
  const { target } = req as Request & Targeted;
  if (target === undefined) throw new Error("the request has not come through the front door");
  return target;
}

/** Makes the middleware. */
export function createFrontDoor(
  keys: Pick<KeysHandler, "handle">,
  { cors, hostWhitelist = [], ownNames = [] }: PageOptions,
): RequestHandler {
  const origins = new OriginPolicy(cors);
  const hosts = new HostPolicy({ whitelist: hostWhitelist, ownNames });

  function enter(req: Request, res: ServerResponse, next: NextFunction): void {
    if (!hosts.permits(req)) {
      answerText(res, 421, hostRefusal(req));
      return;
    }
    origins.addHeaders(req, res);
    const target = parseTarget(req.url);
    if (target === undefined) {
      answerMalformed(req, res);
      return;
    }
    if (req.method === "OPTIONS") {
      answer(res, 200, [], "");
      return;
    }
    const { path, cleanPath } = target;
    if (!origins.permits(req, cleanPath)) {
      answerJson(res, 403, FOREIGN_PAGE);
      return;
    }
    if (path !== cleanPath && req.method !== "CONNECT") {
      redirect(req, res, target);
    } else if (path.startsWith(KEYS) && (path.length === 8 || path.charCodeAt(8) === 0x2f)) {
      keys.handle(req, res, path.slice(8), target.query);
    } else {
      (req as Request & Targeted).target = target;
      // Routes match the decoded path, however the client chose to encode it.
      req.url = encodePath(path);
      next();
    }
  }

  return enter;
}

/** A target that is no path, or has a broken escape. */
function answerMalformed(req: IncomingMessage, res: ServerResponse): void {
  if (req.url === "*") {
    if (req.method === "OPTIONS") answer(res, 200, [], "");
    else answer(res, 400, ["Connection", "close"], "");
    return;
  }
  const headers = ["Content-Type", "text/plain; charset=utf-8", "Connection", "close"];
  answer(res, 400, headers, "400 Bad Request");
}

/** Nothing of a request to an unclean path is carried out. */
function redirect(req: IncomingMessage, res: ServerResponse, target: RequestTarget): void {
  const query = target.query === "" ? "" : "?" + target.query;
  const location = encodePath(target.cleanPath) + query;
  const headers = ["Location", location];
  if (req.method !== "GET" && req.method !== "HEAD") {
    answer(res, 301, headers, "");
    return;
  }
  headers.push("Content-Type", "text/html; charset=utf-8");
  if (req.method === "HEAD") {
    res.writeHead(301, headers);
    res.end();
    return;
  }
  answer(res, 301, headers, `<a href="${escapeHtml(location)}">Moved Permanently</a>.\n\n`);
}

const HTML: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => HTML[character] ?? character);
}
