/** The keys requests: which method, path, query and form belong to each operation. */
import type { Action } from "./client.ts";
import { cleanPath, encodeForm } from "../text/go-text.ts";
import type { Session } from "./session.ts";
import { decodeKeysResponse, EmptyBodyError, type KeysResponse } from "./wire.ts";

type Fields = Readonly<Record<string, string | Uint8Array | undefined>>;

export interface WriteOptions {
  /** undefined writes a directory. */
  readonly value: string | Uint8Array | undefined;
  /** Seconds; not sent when 0 or below. */
  readonly ttl: bigint;
  readonly prevExist?: boolean;
  /** "" is no condition. */
  readonly prevValue?: string;
  /** 0 is no condition. */
  readonly prevIndex?: bigint;
}

export interface DeleteOptions {
  readonly isDir?: boolean;
  readonly isRecursive?: boolean;
  readonly prevValue?: string;
  readonly prevIndex?: bigint;
}

const formType = "application/x-www-form-urlencoded";

function form(fields: Fields): string {
  const present: Record<string, string | Uint8Array> = {};
  for (const [name, value] of Object.entries(fields))
    if (value !== undefined) present[name] = value;
  return encodeForm(present);
}

function keyPath(key: string): (basePath: string) => string {
  const rooted = key === "" || key.startsWith("/") ? key : `/${key}`;
  return (basePath) => cleanPath(`${basePath}/v2/keys${rooted}`);
}

function conditions(options: { prevValue?: string; prevIndex?: bigint }): Fields {
  const { prevValue = "", prevIndex = 0n } = options;
  return {
    prevValue: prevValue === "" ? undefined : prevValue,
    prevIndex: prevIndex === 0n ? undefined : String(BigInt.asUintN(64, prevIndex)),
  };
}

function ttlField(ttl: bigint): string | undefined {
  return ttl > 0n ? String(ttl) : undefined;
}

async function send(session: Session, action: Action): Promise<KeysResponse> {
  const answer = await session.client.send(action, session.deadline());
  const header = answer.headers["x-etcd-index"];
  const index = typeof header === "string" ? header : undefined;
  return decodeKeysResponse(answer.status, index, answer.body);
}

/** Reads a key or lists a directory. */
export function getKey(
  session: Session,
  key: string,
  options: { quorum: boolean; recursive: boolean; sorted: boolean },
): Promise<KeysResponse> {
  const query = form({
    quorum: String(options.quorum),
    recursive: String(options.recursive),
    sorted: String(options.sorted),
  });
  return send(session, { method: "GET", path: keyPath(key), query });
}

/** Sets, creates or updates a key or a directory. */
export function putKey(
  session: Session,
  key: string,
  options: WriteOptions,
): Promise<KeysResponse> {
  const { value, prevExist } = options;
  return send(session, {
    method: "PUT",
    path: keyPath(key),
    query: form({
      ...conditions(options),
      dir: value === undefined ? "true" : undefined,
      prevExist: prevExist === undefined ? undefined : String(prevExist),
    }),
    body: form({ ttl: ttlField(options.ttl), value }),
    contentType: formType,
  });
}

/** Creates a key below a directory, named by the server in ascending order. */
export function postKey(
  session: Session,
  key: string,
  options: { value: string | Uint8Array; ttl: bigint },
): Promise<KeysResponse> {
  return send(session, {
    method: "POST",
    path: keyPath(key),
    body: form({ ttl: ttlField(options.ttl), value: options.value }),
    contentType: formType,
  });
}

/** Removes a key or a directory. */
export function deleteKey(
  session: Session,
  key: string,
  options: DeleteOptions,
): Promise<KeysResponse> {
  return send(session, {
    method: "DELETE",
    path: keyPath(key),
    query: form({
      ...conditions(options),
      dir: options.isDir === true ? "true" : undefined,
      recursive: options.isRecursive === true ? "true" : undefined,
    }),
    contentType: formType,
  });
}

/** Events of a key from after `afterIndex` on, one long poll each, without end; 0 starts now. */
export async function* watchKey(
  session: Session,
  key: string,
  options: { afterIndex: bigint; recursive: boolean },
): AsyncGenerator<KeysResponse, never> {
  // In 64 bits without a sign, as etcdctl 2.3.8: after -1 comes 0, which is now.
  let waitIndex = options.afterIndex === 0n ? 0n : BigInt.asUintN(64, options.afterIndex + 1n);
  for (;;) {
    const query = form({
      recursive: String(options.recursive),
      wait: "true",
      waitIndex: String(waitIndex),
    });
    let response: KeysResponse;
    try {
      response = await send(session, { method: "GET", path: keyPath(key), query, isWait: true });
    } catch (error) {
      if (error instanceof EmptyBodyError) continue;
      throw error;
    }
    waitIndex = BigInt(response.node.modifiedIndex) + 1n;
    yield response;
  }
}
