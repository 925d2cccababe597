/**
 * From parameters to a checked keys request: the table of http-api.md §2, in its order. Knows
 * values and causes; does not know where parameters come from or what is done with the request.
 */
import { EtcdError, type ByteString, type ErrorCode, type WriteCommand } from "@etcd2/store";
import type { KeyParams } from "./key-params.ts";

/** Methods of the keys API. */
export type KeyMethod = "GET" | "HEAD" | "PUT" | "POST" | "DELETE";

/** A keys request whose parameters are valid. */
export interface KeyRequest {
  readonly method: KeyMethod;
  readonly recursive: boolean;
  readonly sorted: boolean;
  readonly wait: boolean;
  readonly dir: boolean;
  readonly quorum: boolean;
  readonly stream: boolean;
  readonly refresh: boolean;
  /** undefined when the parameter is not given. */
  readonly prevExist: boolean | undefined;
  readonly prevValue: ByteString;
  /** Clamped to the largest safe integer, which no index reaches. */
  readonly prevIndex: number;
  /** The number as given, in canonical decimal; only for numbers that were clamped. */
  readonly prevIndexText: string | undefined;
  readonly waitIndex: number;
  /** Seconds as decimal digits, undefined for permanent. */
  readonly ttl: string | undefined;
  readonly value: ByteString;
}

const NO_PARAMS: Omit<KeyRequest, "method"> = {
  recursive: false,
  sorted: false,
  wait: false,
  dir: false,
  quorum: false,
  stream: false,
  refresh: false,
  prevExist: undefined,
  prevValue: "",
  prevIndex: 0,
  prevIndexText: undefined,
  waitIndex: 0,
  ttl: undefined,
  value: "",
};

/** The request of a GET without any parameter. */
export const PLAIN_GET: KeyRequest = { method: "GET", ...NO_PARAMS };

/** A malformed request: index 0. */
export function badRequest(code: ErrorCode, cause: ByteString): EtcdError {
  return new EtcdError(code, cause, 0);
}

/** Checks all parameters, whether or not the method uses them. */
export function parseKeyRequest(method: KeyMethod, params: KeyParams): KeyRequest | EtcdError {
  const prevIndex = parseUint(params.prevIndex);
  if (prevIndex === undefined) return badRequest(203, 'invalid value for "prevIndex"');
  const waitIndex = parseUint(params.waitIndex);
  if (waitIndex === undefined) return badRequest(203, 'invalid value for "waitIndex"');
  const recursive = parseBoolean(params.recursive);
  if (recursive === undefined) return badRequest(209, 'invalid value for "recursive"');
  const sorted = parseBoolean(params.sorted);
  if (sorted === undefined) return badRequest(209, 'invalid value for "sorted"');
  const wait = parseBoolean(params.wait);
  if (wait === undefined) return badRequest(209, 'invalid value for "wait"');
  const dir = parseBoolean(params.dir);
  if (dir === undefined) return badRequest(209, 'invalid value for "dir"');
  const quorum = parseBoolean(params.quorum);
  if (quorum === undefined) return badRequest(209, 'invalid value for "quorum"');
  const stream = parseBoolean(params.stream);
  if (stream === undefined) return badRequest(209, 'invalid value for "stream"');
  if (wait && method !== "GET") {
    return badRequest(209, '"wait" can only be used with GET requests');
  }
  if (params.prevValue === "") return badRequest(201, '"prevValue" cannot be empty');
  const ttl = params.ttl === "" ? undefined : params.ttl;
  if (ttl !== undefined && parseUint(ttl) === undefined) {
    return badRequest(202, 'invalid value for "ttl"');
  }
  const prevExist = parseBoolean(params.prevExist);
  if (prevExist === undefined) return badRequest(209, "invalid value for prevExist");
  const refresh = parseBoolean(params.refresh);
  if (refresh === undefined) return badRequest(209, "invalid value for refresh");
  const value = params.value ?? "";
  if (refresh && value !== "") return badRequest(211, "A value was provided on a refresh");
  if (refresh && ttl === undefined) return badRequest(212, "No TTL value set");
  return {
    method,
    recursive,
    sorted,
    wait,
    dir,
    quorum,
    stream,
    refresh,
    prevExist: params.prevExist === undefined ? undefined : prevExist,
    prevValue: params.prevValue ?? "",
    prevIndex,
    prevIndexText: prevIndex === Number.MAX_SAFE_INTEGER ? canonical(params.prevIndex) : undefined,
    waitIndex,
    ttl,
    value,
  };
}

/**
 * Earlier expirations mean "permanent" in the tree, so a clock that shows an earlier time, as one
 * without a battery does after a start, is taken to show this: 2000-01-01T00:00:00Z.
 */
const CLOCK_MIN_MS = 946_684_800_000;

/**
 * The write a request asks for. `wallMs` is Unix time, from which the expiration that is shown
 * follows; the life of the node is the TTL alone. `path` carries the namespace.
 */
export function writeCommand(request: KeyRequest, path: ByteString, wallMs: number): WriteCommand {
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
 * The original adds in signed 64 bit nanoseconds, which wrap around: a huge TTL can end in the
 * past. The result is exact to the millisecond.
 */
function expirationOf(ttl: string, nowMs: number): number {
  const seconds = Number(ttl);
  if (seconds <= TTL_SAFE_SECONDS) return nowMs + seconds * 1000;
  const nanoseconds = BigInt.asIntN(64, BigInt(nowMs) * 1_000_000n + BigInt(ttl) * 1_000_000_000n);
  return Number(nanoseconds / 1_000_000n);
}

/** Digits that certainly fit a safe integer. */
const SAFE_DIGITS = 15;
const UINT64_MAX = (1n << 64n) - 1n;

/** Unsigned decimal of 64 bit, clamped to safe integers; 0 when not given, undefined when bad. */
function parseUint(text: ByteString | undefined): number | undefined {
  if (text === undefined) return 0;
  if (text === "") return undefined;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x30 || code > 0x39) return undefined;
  }
  if (text.length <= SAFE_DIGITS) return Number(text);
  const digits = canonical(text);
  if (digits.length > 20) return undefined;
  const exact = BigInt(digits);
  if (exact > UINT64_MAX) return undefined;
  return Math.min(Number(exact), Number.MAX_SAFE_INTEGER);
}

/** Decimal digits without leading zeros. */
function canonical(digits: string | undefined): string {
  if (digits === undefined) return "0";
  let at = 0;
  while (at < digits.length - 1 && digits.charCodeAt(at) === 0x30) at++;
  return digits.slice(at);
}

/** False when not given, undefined when the text is none of the twelve accepted forms. */
function parseBoolean(text: ByteString | undefined): boolean | undefined {
  switch (text) {
    case undefined:
    case "0":
    case "f":
    case "F":
    case "false":
    case "FALSE":
    case "False":
      return false;
    case "1":
    case "t":
    case "T":
    case "true":
    case "TRUE":
    case "True":
      return true;
    default:
      return undefined;
  }
}
