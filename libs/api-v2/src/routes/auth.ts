/**
 * /v2/auth: the flag, users and roles. Owns paths, methods, bodies and answers; what an operation
 * does is in auth/auth-admin.ts.
 */
import { Router, type Request, type RequestHandler, type Response } from "express";
import { EtcdError, type ByteString } from "@etcd2/store";
import {
  answer,
  answerNotFound,
  answerNotAllowed,
  answerMessage,
  answerUnauthorized,
  jsonHeaders,
  type FlatHeaders,
} from "../http/answer.ts";
import type { AuthAdmin } from "../auth/auth-admin.ts";
import {
  AuthRefusal,
  readRole,
  readUser,
  roleText,
  userText,
  type AuthUser,
} from "../auth/auth-documents.ts";
import type { AuthStore } from "../auth/auth-store.ts";
import { bodyOf } from "../http/body-limit.ts";
import { targetOf } from "../http/front-door.ts";
import { JsonDecodeError, JsonDocument } from "../json/json-document.ts";
import { jsonString } from "../json/json-text.ts";
import type { EtcdServer } from "../ports/ports.ts";
import type { AdminCheck } from "./members.ts";

const PREFIX = "/v2/auth";

/** What the routes work with. */
export interface AuthParts {
  readonly server: EtcdServer;
  readonly store: AuthStore;
  readonly admin: AuthAdmin;
  readonly isAdmin: AdminCheck;
}

/** Routes below /v2/auth. */
export function createAuthRouter(parts: AuthParts): Router {
  const router = Router({ strict: true, caseSensitive: true });
  const handler = new AuthHandler(parts);
  const { passwords } = parts.server;
  const handle: RequestHandler = (req, res) => {
    // Who looks at users is about to make one: clients ask first whether it exists.
    passwords.prepare?.();
    return handler.handle(req, res);
  };
  router.use(PREFIX, handle);
  return router;
}

/** One resource: its methods in the order of Allow, and what they do. */
interface Resource {
  readonly allow: string;
  readonly needsRoot: (method: string) => boolean;
  readonly serve: (method: string, req: Request) => Promise<Reply> | Reply;
}

interface Reply {
  readonly status: number;
  readonly body: ByteString;
}

const DONE: Reply = { status: 200, body: "" };

class AuthHandler {
  readonly #parts: AuthParts;

  constructor(parts: AuthParts) {
    this.#parts = parts;
  }

  async handle(req: Request, res: Response): Promise<void> {
    const path = targetOf(req).path.slice(PREFIX.length);
    if (path !== "/enable" && !/^\/(?:users|roles)(?:\/|$)/.test(path)) {
      answerNotFound(res);
      return;
    }
    if (!isCapable(this.#parts.server.clusterVersion)) {
      const message = "Not capable of accessing auth feature during rolling upgrades.";
      answerMessage(res, 500, message);
      return;
    }
    const resource = this.#resource(path);
    if (resource === undefined) {
      answerMessage(res, 400, "Invalid path");
    } else if (!resource.allow.split(",").includes(req.method)) {
      answerNotAllowed(res, resource.allow);
    } else if (
      resource.needsRoot(req.method) &&
      !(await this.#parts.isAdmin(req.headers.authorization))
    ) {
      answerUnauthorized(res);
    } else {
      await this.#serve(resource, req, res);
    }
  }

  async #serve(resource: Resource, req: Request, res: Response): Promise<void> {
    try {
      const { status, body } = await resource.serve(req.method, req);
      answer(res, status, this.#headers(), body);
    } catch (error) {
      this.#refuse(res, error);
    }
  }

  /** The resource a path names, undefined for paths that are too deep. */
  #resource(path: ByteString): Resource | undefined {
    if (path === "/enable") return this.#flag();
    const [, kind, name, ...deeper] = path.replace(/\/$/, "").split("/");
    if (deeper.length > 0) return undefined;
    if (name === undefined) return kind === "users" ? this.#users() : this.#roles();
    return kind === "users" ? this.#user(name) : this.#role(name);
  }

  #flag(): Resource {
    const { store, admin } = this.#parts;
    return {
      allow: "GET,PUT,DELETE",
      needsRoot: (method) => method !== "GET",
      serve: async (method) => {
        // etcd 2.3.8 reads the flag here whatever the method, which its counters show.
        const isEnabled = store.isEnabled();
        if (method === "GET") return shown(`{"enabled":${String(isEnabled)}}`);
        await (method === "PUT" ? admin.enable() : admin.disable());
        return DONE;
      },
    };
  }

  #users(): Resource {
    const { store } = this.#parts;
    return {
      allow: "GET",
      needsRoot: () => true,
      serve: () => {
        const users = store.userNames().flatMap((name) => {
          const user = store.user(name);
          return user === undefined ? [] : [this.#userWithRoles(user, "skipped")];
        });
        return shown(`{"users":${users.length === 0 ? "null" : `[${users.join(",")}]`}}`);
      },
    };
  }

  #roles(): Resource {
    const { store } = this.#parts;
    return {
      allow: "GET",
      needsRoot: () => true,
      serve: () => {
        const roles = store.roleNames().flatMap((name) => store.role(name) ?? []);
        return shown(`{"roles":[${roles.map(roleText).join(",")}]}`);
      },
    };
  }

  #user(name: ByteString): Resource {
    const { admin } = this.#parts;
    return {
      allow: "GET,PUT,DELETE",
      needsRoot: () => true,
      serve: async (method, req) => {
        if (method === "GET") return shown(this.#userWithRoles(admin.user(name), "refused"));
        if (method === "DELETE") {
          await admin.deleteUser(name);
          return DONE;
        }
        const request = readRequest(req, readUser);
        if (request.user !== name) {
          throw new AuthRefusal(400, "User JSON name does not match the name in the URL");
        }
        const { document, isNew } = await admin.putUser(request);
        return shown(userText({ ...document, password: "" }), isNew ? 201 : 200);
      },
    };
  }

  #role(name: ByteString): Resource {
    const { admin } = this.#parts;
    return {
      allow: "GET,PUT,DELETE",
      needsRoot: () => true,
      serve: async (method, req) => {
        if (method === "GET") return shown(roleText(admin.role(name)));
        if (method === "DELETE") {
          await admin.deleteRole(name);
          return DONE;
        }
        const request = readRequest(req, readRole);
        if (request.role !== name) {
          throw new AuthRefusal(400, "Role JSON name does not match the name in the URL");
        }
        const { document, isNew } = await admin.putRole(request);
        return shown(roleText(document), isNew ? 201 : 200);
      },
    };
  }

  /** A user with full roles. */
  #userWithRoles({ user, roles }: AuthUser, missing: "skipped" | "refused"): ByteString {
    const { admin, store } = this.#parts;
    const texts = (roles ?? []).flatMap((name) => {
      const role = missing === "refused" ? admin.role(name) : store.role(name);
      return role === undefined ? [] : [roleText(role)];
    });
    const list = texts.length === 0 ? "" : `,"roles":[${texts.join(",")}]`;
    return `{"user":${jsonString(user)}${list}}`;
  }

  #refuse(res: Response, error: unknown): void {
    let status = 500;
    let message = "Internal Server Error";
    if (error instanceof AuthRefusal) {
      ({ status, message } = error);
    } else if (error instanceof EtcdError) {
      this.#parts.server.log.warning(`auth change failed: ${error.message} (${error.cause})`);
    } else {
      throw error;
    }
    answerMessage(res, status, message, this.#headers());
  }

  #headers(): FlatHeaders {
    return jsonHeaders(this.#parts.server.clusterId);
  }
}

function shown(document: ByteString, status = 200): Reply {
  return { status, body: document + "\n" };
}

/** @throws AuthRefusal for a body that is no such document. */
function readRequest<T>(req: Request, read: (document: JsonDocument) => T): T {
  try {
    return read(JsonDocument.parseBody(bodyOf(req), "ignored"));
  } catch (cause) {
    if (!(cause instanceof JsonDecodeError)) throw cause;
    throw new AuthRefusal(400, "Invalid JSON in request body.", { cause });
  }
}

/** Auth came with 2.1: older members in the cluster would not enforce it. */
function isCapable(clusterVersion: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)\./.exec(clusterVersion) ?? [];
  if (major === undefined || minor === undefined) return false;
  return Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 1);
}
