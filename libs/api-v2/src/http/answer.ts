/**
 * Writing complete answers: status, headers in one flat array, body as latin1 text. Knows the
 * framing rules of http-api.md §1; the texts come from the callers.
 */
import type { ServerResponse } from "node:http";
import type { ByteString, EtcdError } from "@etcd2/store";
import { errorStatus } from "./error-status.ts";
import { LENGTH_KNOWN_BYTES_MAX, RETRY_AFTER_SECONDS } from "../ports/limits.ts";
import { jsonString } from "../json/json-text.ts";
import { errorText } from "../json/event-json.ts";

/** Headers as name, value, name, value. */
export type FlatHeaders = string[];

/** The header that names the cluster. */
export const CLUSTER_ID = "X-Etcd-Cluster-Id";

/**
 * Sends a complete answer. Takes over `headers`. Bodies above about 2 KiB are chunked; HEAD gets
 * the headers only, which the runtime sees to.
 */
export function answer(
  res: ServerResponse,
  status: number,
  headers: FlatHeaders,
  body: ByteString,
): void {
  if (body.length <= LENGTH_KNOWN_BYTES_MAX) headers.push("Content-Length", String(body.length));
  res.writeHead(status, headers);
  if (body === "") res.end();
  else res.end(body, "latin1");
}

/** A plain text error of the transport: 404, 405, 503. */
export function answerText(res: ServerResponse, status: number, body: string, allow = ""): void {
  const headers = textErrorHeaders();
  if (allow !== "") headers.push("Allow", allow);
  answer(res, status, headers, body);
}

/** The headers of a plain text error. */
export function textErrorHeaders(): FlatHeaders {
  return ["Content-Type", "text/plain; charset=utf-8", "X-Content-Type-Options", "nosniff"];
}

/** 404 for paths that do not exist. */
export function answerNotFound(res: ServerResponse): void {
  answerText(res, 404, "404 page not found\n");
}

/** 405 with the methods that would do. */
export function answerNotAllowed(res: ServerResponse, allow: string): void {
  answerText(res, 405, "Method Not Allowed\n", allow);
}

/** An error of the keys API. */
export function answerKeyError(res: ServerResponse, clusterId: string, error: EtcdError): void {
  answer(res, errorStatus(error.code), errorHeaders(clusterId, error), errorText(error));
}

/** The headers of a JSON answer, with the id of the cluster where the endpoint shows it. */
export function jsonHeaders(clusterId?: string): FlatHeaders {
  const headers = ["Content-Type", "application/json"];
  if (clusterId !== undefined) headers.push(CLUSTER_ID, clusterId);
  return headers;
}

/** The headers of an answer of the keys API: where the store stood, and where the log did. */
export function indexHeaders(
  clusterId: string,
  etcdIndex: number,
  raftIndex: number,
  raftTerm: number,
): FlatHeaders {
  return [
    "Content-Type",
    "application/json",
    CLUSTER_ID,
    clusterId,
    "X-Etcd-Index",
    String(etcdIndex),
    "X-Raft-Index",
    String(raftIndex),
    "X-Raft-Term",
    String(raftTerm),
  ];
}

/**
 * 503 with an error of the keys API: there is no room for the request at this member just now.
 * Clients of etcd 2.3.8 go on to the next member.
 */
export function answerBusy(res: ServerResponse, clusterId: string, error: EtcdError): void {
  const headers = [...errorHeaders(clusterId, error), "Retry-After", String(RETRY_AFTER_SECONDS)];
  answer(res, 503, headers, errorText(error));
}

function errorHeaders(clusterId: string, error: EtcdError): FlatHeaders {
  return [...jsonHeaders(clusterId), "X-Etcd-Index", String(error.index)];
}

/** JSON without further headers. */
export function answerJson(res: ServerResponse, status: number, body: ByteString): void {
  answer(res, status, jsonHeaders(), body);
}

/** An error as most endpoints tell it: a document with a message. Takes over `headers`. */
export function answerMessage(
  res: ServerResponse,
  status: number,
  message: ByteString,
  headers: FlatHeaders = jsonHeaders(),
): void {
  answer(res, status, headers, `{"message":${jsonString(message)}}`);
}

/** 401 of the endpoints other than keys. */
export function answerUnauthorized(res: ServerResponse, headers?: FlatHeaders): void {
  answerMessage(res, 401, "Insufficient credentials", headers);
}

/** 204: done, with nothing to say and no Content-Type. */
export function answerNoContent(res: ServerResponse, headers: FlatHeaders): void {
  res.writeHead(204, headers);
  res.end();
}
