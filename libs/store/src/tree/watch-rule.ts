/** Which events a watch is told of: http-api.md §7.1, the same rule live and in the history. */
import type { ByteString } from "../model/byte-string.ts";
import type { WatchKey } from "../model/ports.ts";
import type { RecordedEvent } from "./recorded-event.ts";

/** Whether `path` lies below `directory` (not at it). */
export function isBelow(path: ByteString, directory: ByteString): boolean {
  return (
    path.length > directory.length &&
    path.charCodeAt(directory.length) === 0x2f &&
    path.startsWith(directory)
  );
}

/** Whether the part of `path` behind its first `from` bytes has an element that begins with "_". */
function hasHiddenPart(path: ByteString, from: number): boolean {
  return path.includes("/_", from);
}

/** Whether a watch gets an event. */
export function matchesWatch(watch: WatchKey, event: RecordedEvent): boolean {
  if (event.refresh) return false;
  const key = event.node.key;
  const watched = watch.path;
  if (key.length === watched.length) return key === watched;
  if (key.length > watched.length) {
    return watch.recursive && isBelow(key, watched) && !hasHiddenPart(key, watched.length);
  }
  return event.removed !== undefined && isBelow(watched, key) && event.removed.has(watched);
}
