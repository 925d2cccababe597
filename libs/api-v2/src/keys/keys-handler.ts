/**
 * /v2/keys: reads, watches and writes. The hot path of the gateway: one object, no per-request
 * closures but those of a body or a proposal. Parameters, access, texts and streams have files
 * of their own.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { EtcdError, newKeyProblem, type ByteString } from "@etcd2/store";
import {
  answer,
  answerNotAllowed,
  answerKeyError,
  answerBusy,
  indexHeaders,
  type FlatHeaders,
} from "../http/answer.ts";
import { awaitBody, hasBody, readBody, type BodyResult } from "../http/body-limit.ts";
import { answerUnexpected } from "../http/error-handler.ts";
import { errorStatus } from "../http/error-status.ts";
import type { DirectRoute } from "../http/front-door.ts";
import { traceOf } from "../http/http-messages.ts";
import type { KeyAccess } from "./key-access.ts";
import { createKeyCounts, type KeyCounts } from "./key-counts.ts";
import { FormValues } from "./form-values.ts";
import type { KeyMethod } from "./key-parameters.ts";
import { FORM_BODY_BYTES_MAX } from "../ports/limits.ts";
import { answerRead } from "./read-response.ts";
import { parseMediaType } from "../http/media-type.ts";
import { badRequest, parseKeyRequest, PLAIN_GET, type KeyRequest } from "./parse-key-request.ts";
import type { Committed, KeysServer, RemoteStore } from "../ports/ports.ts";
import type { WatchBudget } from "./watch-budget.ts";
import { WatchStream, type WatchHost } from "./watch-stream.ts";
import { toWriteCommand } from "./write-command.ts";
import { eventText } from "../json/event-json.ts";

const ALLOW = "HEAD,GET,PUT,POST,DELETE";

/** The direct route /v2/keys. */
export class KeysHandler implements DirectRoute {
  readonly prefix = "/v2/keys";
  readonly #server: KeysServer;
  readonly #counts: KeyCounts;
  readonly #access: KeyAccess;
  readonly #watches: WatchHost;

  constructor(server: KeysServer, access: KeyAccess, budget: WatchBudget) {
    this.#server = server;
    this.#counts = createKeyCounts(server.meter);
    this.#access = access;
    this.#watches = { hub: server.hub, budget };
  }

  handle(req: IncomingMessage, res: ServerResponse, key: ByteString, query: string): void {
    const method = req.method;
    switch (method) {
      case "GET":
        if (query === "" && !hasBody(req)) this.#authorize(req, res, key, PLAIN_GET);
        else this.#parseComplete(req, res, key, method, query, undefined);
        return;
      case "HEAD":
      case "DELETE":
        this.#parseComplete(req, res, key, method, query, undefined);
        return;
      case "PUT":
      case "POST":
        this.#readForm(req, res, key, method, query);
        return;
      case undefined:
      default:
        answerNotAllowed(res, ALLOW);
    }
  }

  #readForm(
    req: IncomingMessage,
    res: ServerResponse,
    key: ByteString,
    method: KeyMethod,
    query: string,
  ): void {
    const type = parseMediaType(req.headers["content-type"]);
    if (!type.isForm) {
      this.#parseComplete(req, res, key, method, query, type.problem);
      return;
    }
    const given = new FormValues();
    const fail = (error: unknown): void => {
      answerUnexpected(this.#server, req, res, error);
    };
    const take = (body: BodyResult): void => {
      try {
        if (body === undefined) {
          this.#refuse(res, badRequest(210, "http: POST too large"));
        } else {
          const problem = given.add(body);
          this.#parse(req, res, key, method, query, given, type.problem ?? problem);
        }
      } catch (error) {
        fail(error);
      }
    };
    readBody(req, FORM_BODY_BYTES_MAX, take, fail);
  }

  /** Parses a request whose body does not matter, when that has come. */
  #parseComplete(
    req: IncomingMessage,
    res: ServerResponse,
    key: ByteString,
    method: KeyMethod,
    query: string,
    problem: ByteString | undefined,
  ): void {
    const fail = (error: unknown): void => {
      answerUnexpected(this.#server, req, res, error);
    };
    const parse = (): void => {
      this.#parse(req, res, key, method, query, new FormValues(), problem);
    };
    if (!hasBody(req)) {
      parse();
      return;
    }
    const parseLate = (): void => {
      try {
        parse();
      } catch (error) {
        fail(error);
      }
    };
    awaitBody(req, parseLate, fail);
  }

  #parse(
    req: IncomingMessage,
    res: ServerResponse,
    key: ByteString,
    method: KeyMethod,
    query: string,
    given: FormValues,
    bodyProblem: ByteString | undefined,
  ): void {
    const problem = bodyProblem ?? given.add(query);
    const request =
      problem === undefined ? parseKeyRequest(method, given) : badRequest(210, problem);
    if (request instanceof EtcdError) this.#refuse(res, request);
    else this.#authorize(req, res, key, request);
  }

  #authorize(
    req: IncomingMessage,
    res: ServerResponse,
    key: ByteString,
    request: KeyRequest,
  ): void {
    if (this.#access.isOpen()) {
      this.#execute(req, res, key, request);
      return;
    }
    let allowed: boolean | Promise<boolean>;
    try {
      allowed = this.#access.allows(req.headers.authorization, key, request);
    } catch (error) {
      answerUnexpected(this.#server, req, res, error);
      return;
    }
    if (typeof allowed === "boolean") {
      this.#decide(req, res, key, request, allowed);
      return;
    }
    allowed
      .then((late) => {
        this.#decide(req, res, key, request, late);
      })
      .catch((error: unknown) => {
        answerUnexpected(this.#server, req, res, error);
      });
  }

  #decide(
    req: IncomingMessage,
    res: ServerResponse,
    key: ByteString,
    request: KeyRequest,
    allowed: boolean,
  ): void {
    if (allowed) this.#execute(req, res, key, request);
    else this.#refuse(res, badRequest(110, "Insufficient credentials"));
  }

  #execute(req: IncomingMessage, res: ServerResponse, key: ByteString, request: KeyRequest): void {
    const path = "/1" + (key.endsWith("/") ? key.slice(0, -1) : key);
    const { method } = request;
    if (
      this.#server.remote !== undefined &&
      (request.wait || method === "GET" || method === "HEAD")
    ) {
      // As in etcd 2.3.8, quorum=true does not wait.
      if (request.wait && !(method === "GET" && request.quorum)) {
        this.#watchRemote(this.#server.remote, req, res, path, request);
      } else this.#readRemote(this.#server.remote, req, res, path, request);
    } else if (method === "GET" && request.quorum) {
      // As in etcd 2.3.8, which does not wait then.
      this.#quorumRead(req, res, path, request);
    } else if (request.wait) {
      this.#watch(req, res, path, request);
    } else if (method === "GET" || method === "HEAD") {
      this.#counts.received.add(1, method);
      this.#read(req, res, path, request, method, performance.now());
    } else {
      this.#write(req, res, path, request);
    }
  }

  #read(
    req: IncomingMessage,
    res: ServerResponse,
    path: ByteString,
    request: KeyRequest,
    label: string,
    startMs: number,
  ): void {
    if (request.recursive) this.#counts.reads.add(1, "getRecursive");
    try {
      const result = this.#server.reader.get(path, request);
      const headers = this.#headers(result.etcdIndex);
      answerRead(res, headers, result, request.method === "HEAD");
      this.#counts.seconds.observe((performance.now() - startMs) / 1000, label);
    } catch (error) {
      this.#fail(req, res, label, error);
    }
  }

  #quorumRead(
    req: IncomingMessage,
    res: ServerResponse,
    path: ByteString,
    request: KeyRequest,
  ): void {
    this.#counts.received.add(1, "QGET");
    const startMs = performance.now();
    this.#server.readIndex((error) => {
      if (error === undefined) this.#read(req, res, path, request, "QGET", startMs);
      else this.#fail(req, res, "QGET", error);
    }, traceOf(req));
  }

  #readRemote(
    remote: RemoteStore,
    req: IncomingMessage,
    res: ServerResponse,
    path: ByteString,
    request: KeyRequest,
  ): void {
    const label = request.method === "GET" && request.quorum ? "QGET" : request.method;
    this.#counts.received.add(1, label);
    if (request.recursive) this.#counts.reads.add(1, "getRecursive");
    const startMs = performance.now();
    remote
      .read(path, request, req.headers.authorization, traceOf(req))
      .then((result) => {
        if (res.destroyed) {
          result.children?.close();
          return;
        }
        answerRead(res, this.#headers(result.etcdIndex), result, request.method === "HEAD");
        this.#counts.seconds.observe((performance.now() - startMs) / 1000, label);
      })
      .catch((error: unknown) => {
        this.#fail(req, res, label, error);
      });
  }

  #watchRemote(
    remote: RemoteStore,
    req: IncomingMessage,
    res: ServerResponse,
    path: ByteString,
    request: KeyRequest,
  ): void {
    if (!this.#admitsWatch(res, path)) return;
    const options = { recursive: request.recursive, sinceIndex: request.waitIndex };
    remote
      .startWatch(path, options, req.headers.authorization)
      .then(({ sinceIndex, etcdIndex }) => {
        // Others may have come in the meantime.
        if (!this.#watches.budget.hasRoom()) this.#admitsWatch(res, path);
        else this.#startWatch(req, res, path, request, sinceIndex, etcdIndex);
      })
      .catch((error: unknown) => {
        this.#fail(req, res, request.method, error);
      });
  }

  #watch(req: IncomingMessage, res: ServerResponse, path: ByteString, request: KeyRequest): void {
    if (!this.#admitsWatch(res, path)) return;
    const { etcdIndex } = this.#server.reader;
    this.#startWatch(req, res, path, request, request.waitIndex, etcdIndex);
  }

  /** Whether there is room for one more watch, of a key that may exist; else it is refused. */
  #admitsWatch(res: ServerResponse, path: ByteString): boolean {
    this.#counts.watches.add(1);
    const { budget } = this.#watches;
    if (!budget.hasRoom()) {
      const cause = `etcdserver: too many watches: ${budget.watchesMax} are open (--max-client-watchers)`;
      this.#turnAway(res, new EtcdError(300, cause, this.#server.reader.etcdIndex));
      return false;
    }
    return !this.#refusesNewKey(res, path, false);
  }

  #startWatch(
    req: IncomingMessage,
    res: ServerResponse,
    path: ByteString,
    request: KeyRequest,
    sinceIndex: number,
    etcdIndex: number,
  ): void {
    try {
      WatchStream.start(this.#watches, req, res, this.#headers(etcdIndex), {
        path,
        recursive: request.recursive,
        sinceIndex,
        stream: request.stream,
      });
      traceOf(req)?.watching();
    } catch (error) {
      this.#fail(req, res, request.method, error);
    }
  }

  #write(req: IncomingMessage, res: ServerResponse, path: ByteString, request: KeyRequest): void {
    const { method } = request;
    const command = toWriteCommand(request, path, Date.now());
    const { action } = command;
    if (action === "set" || action === "create" || action === "createInOrder") {
      if (this.#refusesNewKey(res, path, action === "createInOrder")) return;
    }
    this.#counts.received.add(1, method);
    const startMs = performance.now();
    const done = (result: Committed | EtcdError): void => {
      if (result instanceof EtcdError) {
        this.#fail(req, res, method, withGivenIndex(result, request));
        return;
      }
      try {
        this.#answerWrite(res, result);
        this.#counts.seconds.observe((performance.now() - startMs) / 1000, method);
      } catch (error) {
        answerUnexpected(this.#server, req, res, error);
      }
    };
    const { remote } = this.#server;
    if (remote === undefined) {
      this.#server.propose(command, done, traceOf(req));
      return;
    }
    remote
      .write(command, req.headers.authorization, traceOf(req))
      .then(done)
      .catch((error: unknown) => {
        this.#fail(
          req,
          res,
          method,
          error instanceof EtcdError ? withGivenIndex(error, request) : error,
        );
      });
  }

  /**
   * Refuses what would make, or wait for, a key beyond the limits of new ones; earlier versions had
   * none, so that such keys may exist.
   */
  #refusesNewKey(res: ServerResponse, path: ByteString, inOrder: boolean): boolean {
    const problem = newKeyProblem(path, inOrder);
    if (problem === undefined || this.#server.reader.peek(path) !== undefined) return false;
    this.#refuse(res, badRequest(209, problem));
    return true;
  }

  #answerWrite(res: ServerResponse, { event, raftIndex, raftTerm }: Committed): void {
    const isNew =
      event.action === "create" || (event.action === "set" && event.prevNode === undefined);
    const headers = indexHeaders(this.#server.clusterId, event.etcdIndex, raftIndex, raftTerm);
    answer(res, isNew ? 201 : 200, headers, eventText(event));
  }

  #headers(etcdIndex: number): FlatHeaders {
    const { clusterId, raftIndex, raftTerm } = this.#server;
    return indexHeaders(clusterId, etcdIndex, raftIndex, raftTerm);
  }

  /** A request that was never carried out. */
  #refuse(res: ServerResponse, error: EtcdError): void {
    answerKeyError(res, this.#server.clusterId, error);
  }

  /** Sends a client elsewhere: on 503 those of etcd 2.3.8 try the next member. */
  #turnAway(res: ServerResponse, error: EtcdError): void {
    answerBusy(res, this.#server.clusterId, error);
  }

  /** A request that failed while it was carried out. */
  #fail(req: IncomingMessage, res: ServerResponse, label: string, error: unknown): void {
    if (!(error instanceof EtcdError)) {
      answerUnexpected(this.#server, req, res, error);
      return;
    }
    this.#counts.failed.add(1, label, String(errorStatus(error.code)));
    answerKeyError(res, this.#server.clusterId, error);
  }
}

/** Shows a number beyond the safe integers as it was given, in the cause of a failed compare. */
function withGivenIndex(error: EtcdError, request: KeyRequest): EtcdError {
  if (error.code !== 101 || request.prevIndexText === undefined) return error;
  const stand = `[${Number.MAX_SAFE_INTEGER} != `;
  const at = error.cause.lastIndexOf(stand);
  if (at < 0) return error;
  const rest = error.cause.slice(at + stand.length);
  const cause = `${error.cause.slice(0, at)}[${request.prevIndexText} != ${rest}`;
  return new EtcdError(error.code, cause, error.index);
}
