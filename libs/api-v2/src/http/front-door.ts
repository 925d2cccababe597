/**
 * The first and only step every request takes before routing: hosts and origins that are refused,
 * malformed targets, OPTIONS, CORS, path cleaning, and the short cut to the route that is handed in for
 * it. Knows no endpoint itself.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { NextFunction, Request, RequestHandler } from "express";
import type { ByteString } from "@etcd2/store";
import { answer, answerText, answerMessage } from "./answer.ts";
import { encodePath } from "./percent-encoding.ts";
import { HostPolicy, hostRefusal } from "./host-policy.ts";
import type { Targeted } from "./http-messages.ts";
import { OriginPolicy } from "./origin-policy.ts";
import type { PageOptions } from "../ports/ports.ts";
import { parseTarget, type RequestTarget } from "./request-target.ts";

const FOREIGN_PAGE =
  "Refused: the request comes from a page of another origin, which --cors does not allow";

/** The decoded target of a request that has come through the front door. */
export function targetOf(req: Request): RequestTarget {
  const { target } = req as Request & Targeted;
  if (target === undefined) throw new Error("the request has not come through the front door");
  return target;
}

/** A route that is served without the router: what is at `prefix` and below. */
export interface DirectRoute {
  /** A decoded, clean path without a slash at its end. */
  readonly prefix: ByteString;
  /** `rest` is the decoded, clean path below the prefix: "" or with a leading slash. */
  handle(req: IncomingMessage, res: ServerResponse, rest: ByteString, query: string): void;
}

/** Makes the middleware; requests for the direct route, if there is one, do not go on to the next. */
export function createFrontDoor(
  { cors, hostWhitelist = [], ownNames = [] }: PageOptions,
  direct?: DirectRoute,
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
      answerMessage(res, 403, FOREIGN_PAGE);
      return;
    }
    if (path !== cleanPath && req.method !== "CONNECT") {
      redirect(req, res, target);
    } else if (direct !== undefined && isAtOrBelow(path, direct.prefix)) {
      direct.handle(req, res, path.slice(direct.prefix.length), target.query);
    } else {
      (req as Request & Targeted).target = target;
      // Routes match the decoded path, however the client chose to encode it.
      req.url = encodePath(path);
      next();
    }
  }

  return enter;
}

const SLASH = 0x2f;

function isAtOrBelow(path: ByteString, prefix: ByteString): boolean {
  if (!path.startsWith(prefix)) return false;
  return path.length === prefix.length || path.charCodeAt(prefix.length) === SLASH;
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
