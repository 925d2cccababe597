/** Events of a v2 watch as text lines, decoded into what a mirror has to do. */
import { JsonScanner, memberOf } from "../io/json-scanner.ts";
import type { JsonValue } from "../io/json-scanner.ts";
import { FormatError } from "../io/format-error.ts";

export interface WatchEvent {
  readonly index: number;
  /** Byte string. */
  readonly key: string;
  readonly isRemoval: boolean;
  /** Whether the node is, or the removed node was, a directory. */
  readonly dir: boolean;
  readonly value: string;
  /** Seconds left when it happened; undefined for permanent. */
  readonly ttl: number | undefined;
}

const REMOVALS: ReadonlySet<string> = new Set(["delete", "compareAndDelete", "expire"]);

/** Decodes one event document. @throws FormatError when it is none. */
export function decodeWatchEvent(line: Buffer): WatchEvent {
  const event = new JsonScanner([line]).value();
  const action = memberOf(event, "action");
  const node = memberOf(event, "node");
  const previous = memberOf(event, "prevNode");
  const index = memberOf(node, "modifiedIndex");
  if (typeof action !== "string" || typeof index !== "number") {
    throw new FormatError("the answer to a watch is no event");
  }
  const isRemoval = REMOVALS.has(action);
  const dir = memberOf(node, "dir") === true || (isRemoval && memberOf(previous, "dir") === true);
  const ttl = memberOf(node, "ttl");
  const hasExpiration = memberOf(node, "expiration") !== undefined;
  return {
    index,
    key: textOf(memberOf(node, "key"), "/"),
    isRemoval,
    dir,
    value: textOf(memberOf(node, "value"), ""),
    ttl: typeof ttl === "number" ? ttl : hasExpiration ? 0 : undefined,
  };
}

function textOf(value: JsonValue | undefined, fallback: string): string {
  return typeof value === "string" ? value : fallback;
}

/** Cuts a byte stream into lines. */
export class LineSplitter {
  #rest: Buffer[] = [];

  *push(chunk: Buffer): Generator<Buffer> {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, from);
      if (end < 0) break;
      const line = Buffer.concat([...this.#rest, chunk.subarray(from, end)]);
      this.#rest = [];
      from = end + 1;
      if (line.length > 0) yield line;
    }
    if (from < chunk.length) this.#rest.push(chunk.subarray(from));
  }
}
