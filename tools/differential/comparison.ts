/**
 * What counts as the same answer: status, headers and body after everything that must differ
 * between two servers, or is different by decision, has been made equal. Knows no requests.
 */
import type { RawResponse } from "@etcd2/test-support/traces";

/** Headers that name a moment, a cluster or a way of framing. */
const IGNORED_HEADERS = new Set([
  "date",
  "connection",
  "content-length",
  "transfer-encoding",
  "x-raft-index",
  "x-raft-term",
  "x-etcd-cluster-id",
  // The comparator of version 3.4 sends these with every answer.
  "access-control-allow-headers",
  "access-control-allow-methods",
  "access-control-allow-origin",
]);

/** Headers of which only the presence is compared. */
const PRESENT_HEADERS = new Set(["x-raft-index", "x-raft-term", "x-etcd-cluster-id"]);

/** A response in comparable form. */
export interface Comparable {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Brings a response into comparable form; listings without an order are sorted. */
export function comparable(response: RawResponse, isSorted: boolean): Comparable {
  const headers: Record<string, string> = {};
  for (const [name, value] of [...response.headers].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (PRESENT_HEADERS.has(name)) headers[name] = "present";
    else if (!IGNORED_HEADERS.has(name)) headers[name] = value;
  }
  const text = withoutTimes(response.body);
  return { status: response.status, headers, body: isSorted ? text : sortedListing(text) };
}

/** Expirations are compared by the `ttl` beside them, which may be off by one. */
export function withoutTimes(body: string): string {
  return body
    .replaceAll(/"expiration":"[^"]*"/g, '"expiration":"T"')
    .replaceAll(/"ttl":(-?\d+)/g, (_, ttl: string) => `"ttl":~${Math.round(Number(ttl) / 10)}`);
}

function sortedListing(text: string): string {
  if (!text.includes('"nodes":[')) return text;
  try {
    const document: unknown = JSON.parse(text.replaceAll('"ttl":~', '"ttl":'));
    sortNodes(document);
    return JSON.stringify(document);
  } catch {
    return text;
  }
}

interface Listed {
  key?: string;
  node?: Listed;
  nodes?: Listed[];
}

function sortNodes(document: unknown): void {
  const { node, nodes } = document as Listed;
  if (node !== undefined) sortNodes(node);
  nodes?.forEach(sortNodes);
  nodes?.sort((a, b) => ((a.key ?? "") < (b.key ?? "") ? -1 : 1));
}

/** Where two responses differ, undefined when they are the same. */
export function difference(a: Comparable, b: Comparable): string | undefined {
  const parts: string[] = [];
  if (a.status !== b.status) parts.push(`status ${a.status} and ${b.status}`);
  const names = new Set([...Object.keys(a.headers), ...Object.keys(b.headers)]);
  for (const name of names) {
    const [left, right] = [a.headers[name], b.headers[name]];
    if (left !== right) parts.push(`${name}: ${left ?? "(absent)"} and ${right ?? "(absent)"}`);
  }
  if (a.body !== b.body) parts.push(`body\n    ${quote(a.body)}\n    ${quote(b.body)}`);
  return parts.length === 0 ? undefined : parts.join("; ");
}

const SHOWN_MAX = 600;

function quote(body: string): string {
  return JSON.stringify(body.length > SHOWN_MAX ? `${body.slice(0, SHOWN_MAX)}...` : body);
}
