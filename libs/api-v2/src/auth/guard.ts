/**
 * Turns away requests whose endpoint asks for more than the caller has shown, before any router
 * sees them. Keys, and changes of users and members, have answers of their own for that, given in
 * the order the original gives them: those requests pass.
 */
import type { RequestHandler } from "express";
import { answer } from "../answer.ts";
import { targetOf } from "../front-door.ts";
import type { Access } from "./access.ts";
import { callerOf, type Strictness } from "./endpoint-rules.ts";

/** Answer for themselves, with the same rules. */
const OWN_CHECKS = ["/v2/keys", "/v2/admin/"];

const REFUSAL = '{"message":"Insufficient credentials"}';

/** Makes the middleware. */
export function createGuard(access: Access, strictness: Strictness): RequestHandler {
  return function guard(req, res, next) {
    const { path } = targetOf(req);
    const caller = callerOf(path, req.method, strictness);
    const isTheirs = caller === "root" && /^\/v2\/(?:members|auth)(?:\/|$)/.test(path);
    if (caller === "anyone" || isTheirs || OWN_CHECKS.some((start) => path.startsWith(start))) {
      next();
      return;
    }
    const decide = (allowed: boolean): void => {
      if (allowed) {
        next();
        return;
      }
      const headers = ["Content-Type", "application/json"];
      headers.push("WWW-Authenticate", 'Basic realm="etcd"');
      answer(res, 401, headers, REFUSAL);
    };
    const { authorization } = req.headers;
    const allowed =
      caller === "root" ? access.isAdmin(authorization) : access.isUser(authorization);
    if (allowed instanceof Promise) allowed.then(decide).catch(next);
    else decide(allowed);
  };
}
