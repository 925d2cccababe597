/** Looking up one past event of a v2 server, with the limits old servers put on that. */
import { setTimeout as sleep } from "node:timers/promises";
import { decodeWatchEvent, LineSplitter } from "./watch-event.ts";
import type { WatchEvent } from "./watch-event.ts";
import type { V2Client } from "./v2-client.ts";

/**
 * A server sends an event from its history together with the headers; when none comes within this
 * time after them, the history holds none.
 */
const SILENCE_MS = 2000;

const EVENT_CLEARED = 400;

export type HistoryAnswer =
  | { readonly kind: "event"; readonly event: WatchEvent }
  /** The history holds nothing that matches from the index on. */
  | { readonly kind: "none" }
  /** The history does not go back that far. */
  | { readonly kind: "cleared" }
  /** No answer worth anything. */
  | { readonly kind: "failed" };

/** The first event at or after `sinceIndex`. */
export async function firstEventSince(
  client: V2Client,
  root: string,
  sinceIndex: number,
  signal: AbortSignal,
): Promise<HistoryAnswer> {
  const query = { wait: "true", recursive: "true", waitIndex: String(sinceIndex) };
  const quiet = new AbortController();
  const either = AbortSignal.any([signal, quiet.signal]);
  try {
    const stream = await client.stream({ method: "GET", key: root, query }, either);
    if (stream.status === EVENT_CLEARED) {
      stream.close();
      return { kind: "cleared" };
    }
    if (stream.status !== 200) {
      stream.close();
      return { kind: "failed" };
    }
    const event = readOne(stream.chunks);
    const silence = sleep(SILENCE_MS, undefined, { signal: either, ref: false }).then(
      () => "silence" as const,
      () => "silence" as const,
    );
    const first = await Promise.race([event, silence]);
    stream.close();
    if (first === "silence") return { kind: "none" };
    return first === undefined ? { kind: "failed" } : { kind: "event", event: first };
  } catch {
    return { kind: "failed" };
  } finally {
    quiet.abort();
  }
}

async function readOne(chunks: AsyncIterable<Buffer>): Promise<WatchEvent | undefined> {
  const splitter = new LineSplitter();
  try {
    for await (const chunk of chunks) {
      for (const line of splitter.push(chunk)) return decodeWatchEvent(line);
    }
  } catch {
    return undefined;
  }
  return undefined;
}
