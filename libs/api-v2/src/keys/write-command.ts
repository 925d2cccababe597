/** The write that a keys request asks for: which operation, and when the node expires. */
import type { ByteString, WriteCommand } from "@etcd2/store";
import type { KeyRequest } from "./parse-key-request.ts";

/**
 * Earlier expirations mean "permanent" in the tree, so a clock that shows an earlier time, as one
 * without a battery does after a start, is taken to show this: 2000-01-01T00:00:00Z.
 */
const CLOCK_MIN_MS = 946_684_800_000;

/**
 * The write a request asks for. `wallMs` is Unix time, from which the expiration that is shown
 * follows; the life of the node is the TTL alone. `path` carries the namespace.
 */
export function toWriteCommand(
  request: KeyRequest,
  path: ByteString,
  wallMs: number,
): WriteCommand {
  const nowMs = Math.max(wallMs, CLOCK_MIN_MS);
  const action = writeAction(request);
  const conditional = action === "compareAndSwap" || action === "compareAndDelete";
  const isDelete = request.method === "DELETE";
  const expirationMs =
    request.ttl === undefined || isDelete ? undefined : expirationOf(request.ttl, nowMs);
  return {
    action,
    path,
    value: isDelete ? "" : request.value,
    dir: request.dir || (isDelete && request.recursive),
    recursive: request.recursive,
    prevValue: conditional ? request.prevValue : "",
    prevIndex: conditional ? request.prevIndex : 0,
    refresh: request.refresh && !isDelete && action !== "create" && action !== "createInOrder",
    expirationMs,
    ttlMs: expirationMs === undefined ? undefined : expirationMs - nowMs,
  };
}

function writeAction(request: KeyRequest): WriteCommand["action"] {
  const conditional = request.prevValue !== "" || request.prevIndex > 0;
  if (request.method === "POST") return "createInOrder";
  if (request.method === "DELETE") return conditional ? "compareAndDelete" : "delete";
  if (request.prevExist === false) return "create";
  if (conditional) return "compareAndSwap";
  return request.prevExist === true ? "update" : "set";
}

/** Beyond this many seconds the sum may leave the signed 64 bit range of nanoseconds. */
const TTL_SAFE_SECONDS = 1e9;

/**
 * etcd 2.3.8 adds in signed 64 bit nanoseconds, which wrap around: a huge TTL can end in the
 * past. The result is exact to the millisecond.
 */
function expirationOf(ttl: string, nowMs: number): number {
  const seconds = Number(ttl);
  if (seconds <= TTL_SAFE_SECONDS) return nowMs + seconds * 1000;
  const nanoseconds = BigInt.asIntN(64, BigInt(nowMs) * 1_000_000n + BigInt(ttl) * 1_000_000_000n);
  return Number(nanoseconds / 1_000_000n);
}
