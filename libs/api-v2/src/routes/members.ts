/**
 * /v2/members: the membership as JSON and requests to change it. Checks ids, content type, JSON
 * and URLs, in this order; whether a change is possible is the server's to say.
 */
import { Router, type Request, type Response } from "express";
import { AddressError, checkedUrls, socketUrl } from "@etcd2/net-url";
import { type ByteString, fromByteString, toByteString } from "@etcd2/store";
import {
  answer,
  answerNotAllowed,
  answerNoContent,
  answerMessage,
  answerUnauthorized,
  jsonHeaders,
  textErrorHeaders,
  CLUSTER_ID,
  type FlatHeaders,
} from "../http/answer.ts";
import { bodyOf } from "../http/body-limit.ts";
import { targetOf } from "../http/front-door.ts";
import { JsonDecodeError, JsonDocument } from "../json/json-document.ts";
import { jsonString } from "../json/json-text.ts";
import { isJsonType } from "../http/media-type.ts";
import {
  MembershipError,
  type EtcdServer,
  type Member,
  type MembershipErrorCode,
} from "../ports/ports.ts";

const PREFIX = "/v2/members";

/** What the leader can be asked to do about a member, beyond etcd 2.3.8: POST .../<id>/<order>. */
const ORDER = /^([0-9a-fA-F]+)\/(promote|move-leader)$/;

/** Statuses of orders that are refused. */
const ORDER_STATUS: Readonly<Record<MembershipErrorCode, number>> = {
  notFound: 404,
  removed: 410,
  unsafe: 412,
  peerUrlExists: 409,
  idExists: 409,
  timeout: 500,
  outcomeUnknown: 500,
  stopped: 500,
};

/** Whether the request may change the membership: root access while auth is on. */
export type AdminCheck = (authorization: string | undefined) => boolean | Promise<boolean>;

/** Routes at and below /v2/members. */
export function createMembersRouter(server: EtcdServer, isAdmin: AdminCheck): Router {
  const router = Router({ strict: true, caseSensitive: true });
  const handler = new MembersHandler(server, isAdmin);
  router.use(PREFIX, (req, res) => handler.handle(req, res));
  return router;
}

class MembersHandler {
  readonly #server: EtcdServer;
  readonly #isAdmin: AdminCheck;

  constructor(server: EtcdServer, isAdmin: AdminCheck) {
    this.#server = server;
    this.#isAdmin = isAdmin;
  }

  async handle(req: Request, res: Response): Promise<void> {
    // The path below the collection: "" or the text after its slash.
    const rest = targetOf(req).path.slice(PREFIX.length + 1);
    const { method } = req;
    if (method === "GET") {
      this.#show(res, rest);
    } else if (method !== "POST" && method !== "PUT" && method !== "DELETE") {
      answerNotAllowed(res, "GET,POST,DELETE,PUT");
    } else if (!(await this.#isAdmin(req.headers.authorization))) {
      answerUnauthorized(res);
    } else {
      try {
        await this.#change(req, res, rest, method);
      } catch (error) {
        this.#explain(res, method, rest, error);
      }
    }
  }

  #show(res: Response, rest: ByteString): void {
    const { membership } = this.#server;
    if (rest === "") {
      const members = membership.list().map(memberText).join(",");
      answer(res, 200, this.#headers(), `{"members":[${members}]}\n`);
    } else if (rest === "leader") {
      const leader = membership.leader();
      if (leader === undefined) this.#refuse(res, 503, "During election");
      else answer(res, 200, this.#headers(), memberText(leader) + "\n");
    } else {
      this.#refuse(res, 404, "Not found");
    }
  }

  async #change(
    req: Request,
    res: Response,
    rest: ByteString,
    method: "POST" | "PUT" | "DELETE",
  ): Promise<void> {
    const { membership } = this.#server;
    if (method === "POST") {
      const order = ORDER.exec(rest);
      if (order === null) await this.#add(req, res);
      else await this.#order(res, order[1] ?? "", order[2] ?? "");
      return;
    }
    if (rest === "") {
      // Unlike every other 405 this one names no methods.
      const headers = [...textErrorHeaders(), CLUSTER_ID, this.#server.clusterId];
      answer(res, 405, headers, "Method Not Allowed\n");
      return;
    }
    const id = canonicalId(rest);
    if (id === undefined) {
      this.#refuse(res, 404, `No such member: ${rest}`);
    } else if (method === "DELETE") {
      await membership.remove(id);
      this.#done(res);
    } else {
      const given = this.#readMember(req, res);
      if (given === undefined) return;
      await membership.updatePeerURLs(id, given.urls);
      this.#done(res);
    }
  }

  async #add(req: Request, res: Response): Promise<void> {
    const given = this.#readMember(req, res);
    if (given === undefined) return;
    const { urls, isLearner } = given;
    const member = await this.#server.membership.add(urls, { learner: isLearner });
    answer(res, 201, this.#headers(), memberText(member) + "\n");
  }

  /** Refusals carry their reason: nobody depends on etcd 2.3.8's silence here. */
  async #order(res: Response, text: ByteString, order: string): Promise<void> {
    const { membership } = this.#server;
    const id = canonicalId(text) ?? text;
    try {
      if (order === "promote") await membership.promote(id);
      else await membership.moveLeader(id);
    } catch (error) {
      if (!(error instanceof MembershipError)) throw error;
      const message = error.code === "notFound" ? `No such member: ${id}` : error.message;
      this.#refuse(res, ORDER_STATUS[error.code], toByteString(message));
      return;
    }
    this.#done(res);
  }

  /** The member a body describes, or undefined when the request has been refused. */
  #readMember(req: Request, res: Response): { urls: string[]; isLearner: boolean } | undefined {
    const type = req.headers["content-type"] ?? "";
    if (!isJsonType(type)) {
      this.#refuse(res, 415, `Bad Content-Type ${type}, accept application/json`);
      return undefined;
    }
    try {
      const document = JsonDocument.parseBody(bodyOf(req), "refused");
      const given = document.strings("peerURLs") ?? [];
      const urls = checkedUrls(given.map(fromByteString), socketUrl).map(({ text }) => text);
      return { urls, isLearner: document.isTrue("isLearner") };
    } catch (error) {
      if (!(error instanceof JsonDecodeError || error instanceof AddressError)) throw error;
      this.#refuse(res, 400, toByteString(error.message));
      return undefined;
    }
  }

  #explain(res: Response, method: string, rest: ByteString, error: unknown): void {
    if (!(error instanceof MembershipError)) throw error;
    const id = canonicalId(rest) ?? rest;
    if (error.code === "peerUrlExists") this.#refuse(res, 409, "etcdserver: peerURL exists");
    else if (error.code === "idExists") this.#refuse(res, 409, "etcdserver: ID exists");
    else if (error.code === "notFound") this.#refuse(res, 404, `No such member: ${id}`);
    else if (error.code === "outcomeUnknown") this.#refuse(res, 500, toByteString(error.message));
    else if (error.code === "removed" && method === "DELETE") {
      this.#refuse(res, 410, `Member permanently removed: ${id}`);
    } else {
      this.#server.log.warning(`membership change refused: ${error.code}: ${error.message}`);
      this.#refuse(res, 500, "Internal Server Error");
    }
  }

  #refuse(res: Response, status: number, message: ByteString): void {
    answerMessage(res, status, message, this.#headers());
  }

  #done(res: Response): void {
    answerNoContent(res, [CLUSTER_ID, this.#server.clusterId]);
  }

  #headers(): FlatHeaders {
    return jsonHeaders(this.#server.clusterId);
  }
}

/** A hexadecimal id of at most 64 bit without leading zeros; undefined when it is none. */
function canonicalId(text: ByteString): string | undefined {
  if (!/^[0-9a-fA-F]+$/.test(text)) return undefined;
  const id = text.toLowerCase().replace(/^0+(?=.)/, "");
  return id.length > 16 ? undefined : id;
}

function memberText(member: Member): ByteString {
  const { id, name, peerURLs, clientURLs } = member;
  return (
    `{"id":${jsonString(toByteString(id))},"name":${jsonString(toByteString(name))},` +
    `"peerURLs":${listText(peerURLs)},"clientURLs":${listText(clientURLs)}` +
    // Only where etcd 2.3.8 has no words: a cluster without learners looks as it always did.
    (member.isLearner ? ',"isLearner":true}' : "}")
  );
}

function listText(texts: readonly string[]): ByteString {
  return "[" + texts.map((text) => jsonString(toByteString(text))).join(",") + "]";
}
