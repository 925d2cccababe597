/**
 * Events and nodes as JSON text: field order, absent fields, times. Knows the shape of the v2
 * answers and nothing of HTTP.
 */
import type { ByteString, EtcdError, NodeExtern, StoreEvent } from "@etcd2/store";
import { jsonString } from "./json-text.ts";
import { SHARED_BYTES_MIN } from "../ports/limits.ts";

/** Length of the namespace "/1" in front of every client key. */
const NAMESPACE_LENGTH = 2;

/** Everything of a node before `nodes`, without the closing brace. */
export function nodeHead(node: NodeExtern): ByteString {
  let text = "{";
  if (node.key.length > NAMESPACE_LENGTH) {
    text += '"key":' + jsonString(node.key.slice(NAMESPACE_LENGTH));
  }
  if (node.value !== undefined) {
    text += (text.length > 1 ? "," : "") + '"value":' + jsonString(node.value);
  }
  if (node.dir) text += text.length > 1 ? ',"dir":true' : '"dir":true';
  if (node.expirationMs !== undefined) {
    text += (text.length > 1 ? "," : "") + '"expiration":"' + rfc3339(node.expirationMs) + '"';
  }
  if (node.ttl !== 0) text += (text.length > 1 ? "," : "") + '"ttl":' + String(node.ttl);
  return text;
}

/** What follows `nodes`, with the closing brace. Only the root has no indices. */
export function nodeTail(node: NodeExtern): string {
  let text = "";
  if (node.modifiedIndex !== 0) text += ',"modifiedIndex":' + String(node.modifiedIndex);
  if (node.createdIndex !== 0) text += ',"createdIndex":' + String(node.createdIndex);
  return text + "}";
}

/** A node without children. */
export function nodeText(node: NodeExtern): ByteString {
  return nodeHead(node) + nodeTail(node);
}

/** Unix milliseconds as UTC, trailing zeros of the fraction cut. */
export function rfc3339(unixMs: number): string {
  const text = new Date(unixMs).toISOString();
  let end = text.length - 1;
  while (text.charCodeAt(end - 1) === 0x30 && end > text.length - 4) end--;
  if (end === text.length - 4) end--;
  return text.slice(0, end) + "Z";
}

/** An event with its final newline. */
export function eventText(event: StoreEvent): ByteString {
  const text = '{"action":"' + event.action + '","node":' + nodeText(event.node);
  return event.prevNode === undefined
    ? text + "}\n"
    : text + ',"prevNode":' + nodeText(event.prevNode) + "}\n";
}

const shared = new WeakMap<StoreEvent, ByteString | Buffer>();

/**
 * eventText, made once however many watchers receive the event; as bytes when it is large, of which
 * all connections then send the same ones.
 */
export function sharedEventText(event: StoreEvent): ByteString | Buffer {
  let chunk = shared.get(event);
  if (chunk === undefined) {
    const text = eventText(event);
    chunk = text.length < SHARED_BYTES_MIN ? text : Buffer.from(text, "latin1");
    shared.set(event, chunk);
  }
  return chunk;
}

/** Body of an error answer of the keys API. */
export function errorText(error: EtcdError): ByteString {
  const { code, message, index } = error;
  let cause = error.cause;
  if (cause === "/1") cause = "/";
  else if (cause.startsWith("/1/")) cause = cause.slice(NAMESPACE_LENGTH);
  const head = '{"errorCode":' + String(code) + ',"message":"' + message + '"';
  return (
    head +
    (cause === "" ? "" : ',"cause":' + jsonString(cause)) +
    ',"index":' +
    String(index) +
    "}\n"
  );
}
