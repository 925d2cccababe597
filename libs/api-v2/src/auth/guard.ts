/**
 * Turns away requests whose endpoint asks for more than the caller has shown, before any router
 * sees them. Endpoints that ask for credentials themselves, says their rule, are passed by.
 */
import type { RequestHandler } from "express";
import { answerUnauthorized, jsonHeaders } from "../http/answer.ts";
import { targetOf } from "../http/front-door.ts";
import type { Access } from "./access.ts";
import { callerOf, ruleFor, type Strictness } from "./endpoint-rules.ts";

/** Makes the middleware. */
export function createGuard(access: Access, strictness: Strictness): RequestHandler {
  return function guard(req, res, next) {
    const rule = ruleFor(targetOf(req).path, req.method);
    const caller = rule === undefined || rule.asksItself ? "anyone" : callerOf(rule, strictness);
    if (caller === "anyone") {
      next();
      return;
    }
    const decide = (allowed: boolean): void => {
      if (allowed) {
        next();
        return;
      }
      answerUnauthorized(res, [...jsonHeaders(), "WWW-Authenticate", 'Basic realm="etcd"']);
    };
    const { authorization } = req.headers;
    const allowed =
      caller === "root" ? access.isAdmin(authorization) : access.isUser(authorization);
    if (allowed instanceof Promise) allowed.then(decide).catch(next);
    else decide(allowed);
  };
}
