/** The keys API: which method, path, query and form belong to each operation, and what comes back. */
import type { Answer, CallOptions, Cluster } from "./cluster.ts";
import { errorIn } from "./cluster.ts";
import { encodeForm, type FormFields, keyPath } from "./encoding.ts";
import {
  EmptyAnswerError,
  errorCodes,
  isEtcdError,
  ProtocolError,
  RefusedError,
} from "./errors.ts";
import {
  flagOf,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "./json.ts";

interface NodeFacts {
  /** Absolute, without a final slash; "/" for the root. */
  readonly key: string;
  /** Store index of its creation; 0 for the root. */
  readonly createdIndex: number;
  /** Store index of its last change; 0 for the root. */
  readonly modifiedIndex: number;
  /** Seconds left, rounded up; undefined for a node without an end. */
  readonly ttl: number | undefined;
  /** When it ends by the server's wall clock; undefined for a node without an end. */
  readonly expiration: Date | undefined;
}

/** A key with a value. */
export interface FileNode extends NodeFacts {
  readonly dir: false;
  /** "" also where an event does not show it, such as in the node of a removal. */
  readonly value: string;
}

/** A directory. */
export interface DirectoryNode extends NodeFacts {
  readonly dir: true;
  /** What it holds, hidden keys left out; empty where it was not asked for. */
  readonly nodes: readonly KeyNode[];
}

export type KeyNode = FileNode | DirectoryNode;

export type KeyAction =
  "get" | "set" | "create" | "update" | "compareAndSwap" | "delete" | "compareAndDelete" | "expire";

/** The answer to an operation on a key. */
export interface KeysResponse<N extends KeyNode = KeyNode> {
  readonly action: KeyAction;
  readonly node: N;
  /** What was there before; undefined where nothing was, and for reads. */
  readonly prevNode: KeyNode | undefined;
  /** X-Etcd-Index: for a read, a watch from the next index misses nothing. 0 where it is hidden. */
  readonly index: number;
  /** Whether the key is new. */
  readonly isCreated: boolean;
}

/** Seconds to live: a whole number from 0 up. */
type Seconds = number | bigint;

export interface GetOptions extends CallOptions {
  /** Everything below a directory, not its children alone. Default false. */
  readonly recursive?: boolean;
  /** Children in the order of their keys. Default false: in any order. */
  readonly sorted?: boolean;
  /** Never stale: confirmed by a majority. Default false. */
  readonly quorum?: boolean;
}

export interface SetOptions extends CallOptions {
  /** The key ends after so many seconds. Default: never; a key that had an end loses it. */
  readonly ttl?: Seconds;
}

/** What must hold for a compare operation; with both, both. */
export interface Condition {
  /** The value it has now; not empty. */
  readonly prevValue?: string | Uint8Array;
  /** The modifiedIndex it has now. */
  readonly prevIndex?: number | bigint;
}

export interface DeleteOptions extends CallOptions {
  /** A directory with all it holds. Default false. */
  readonly recursive?: boolean;
  /** An empty directory. Default false. */
  readonly dir?: boolean;
}

export interface RefreshOptions extends CallOptions, Condition {}

type Value = string | Uint8Array;

const FORM_TYPE = "application/x-www-form-urlencoded";

/** A node of an answer. */
function decodeNode(record: JsonObject): KeyNode {
  const expiration = textOf(record, "expiration");
  const facts: NodeFacts = {
    key: textOf(record, "key") || "/",
    createdIndex: numberOf(record, "createdIndex"),
    modifiedIndex: numberOf(record, "modifiedIndex"),
    ttl: expiration === "" ? undefined : numberOf(record, "ttl"),
    expiration: expiration === "" ? undefined : new Date(expiration),
  };
  return flagOf(record, "dir")
    ? { ...facts, dir: true, nodes: objectsOf(record, "nodes").map(decodeNode) }
    : { ...facts, dir: false, value: textOf(record, "value") };
}

/** @throws EtcdError, RefusedError, ProtocolError. */
export function decodeKeysAnswer({ status, body, header }: Answer): KeysResponse {
  if (status >= 400) {
    const error = errorIn(status, body);
    if (error !== undefined) throw error;
    throw new RefusedError(status, `unexpected status code ${status}`);
  }
  if (body === "") throw new EmptyAnswerError();
  const record = parseObject(body);
  if (typeof record["action"] !== "string" || record["node"] === undefined) {
    throw new ProtocolError("the answer shows no node");
  }
  return {
    action: record["action"] as KeyAction,
    node: decodeNode(objectOf(record, "node")),
    prevNode:
      record["prevNode"] === undefined ? undefined : decodeNode(objectOf(record, "prevNode")),
    index: Number(header("x-etcd-index") ?? 0) || 0,
    isCreated: status === 201,
  };
}

function checkTtl(ttl: Seconds | undefined): Seconds | undefined {
  if (ttl === undefined || typeof ttl === "bigint") return ttl;
  if (!Number.isSafeInteger(ttl) || ttl < 0) {
    throw new RangeError(`a TTL is a whole number of seconds from 0 up, not ${ttl}`);
  }
  return ttl;
}

function conditions({ prevValue, prevIndex }: Condition): FormFields {
  if (prevValue?.length === 0) throw new RangeError("prevValue cannot be empty");
  return { prevValue, prevIndex };
}

/** Operations on keys. Keys begin with a slash, or get one. */
export class KeysApi {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Reads a key or lists a directory. @throws EtcdError 100 when it is not there. */
  get(key: string, options: GetOptions = {}): Promise<KeysResponse> {
    const { recursive, sorted, quorum } = options;
    const query = {
      recursive: onlyTrue(recursive),
      sorted: onlyTrue(sorted),
      quorum: onlyTrue(quorum),
    };
    return this.#send("GET", key, query, undefined, options);
  }

  /** As get(), but resolves to undefined when the key is not there. */
  async find(key: string, options: GetOptions = {}): Promise<KeysResponse | undefined> {
    try {
      return await this.get(key, options);
    } catch (error) {
      if (isEtcdError(error, errorCodes.keyNotFound)) return undefined;
      throw error;
    }
  }

  /** Writes a key, whether or not it is there. */
  async set(key: string, value: Value, options: SetOptions = {}): Promise<KeysResponse<FileNode>> {
    return this.#put(key, {}, { value, ttl: checkTtl(options.ttl) }, options);
  }

  /** Writes a new key. @throws EtcdError 105 when it is there. */
  async create(
    key: string,
    value: Value,
    options: SetOptions = {},
  ): Promise<KeysResponse<FileNode>> {
    return this.#put(key, { prevExist: false }, { value, ttl: checkTtl(options.ttl) }, options);
  }

  /** Writes a key that is there. @throws EtcdError 100 when it is not. */
  async update(
    key: string,
    value: Value,
    options: SetOptions = {},
  ): Promise<KeysResponse<FileNode>> {
    return this.#put(key, { prevExist: true }, { value, ttl: checkTtl(options.ttl) }, options);
  }

  /** Writes a key if it is as the condition says. @throws EtcdError 101 when it is not. */
  async compareAndSwap(
    key: string,
    value: Value,
    condition: Condition,
    options: SetOptions = {},
  ): Promise<KeysResponse<FileNode>> {
    const form = { value, ttl: checkTtl(options.ttl) };
    return this.#put(key, needed(condition), form, options);
  }

  /** Writes a new key below a directory; the server names it, each later than the one before. */
  async createInOrder(
    dir: string,
    value: Value,
    options: SetOptions = {},
  ): Promise<KeysResponse<FileNode>> {
    const form = { value, ttl: checkTtl(options.ttl) };
    return this.#send("POST", dir, {}, form, options) as Promise<KeysResponse<FileNode>>;
  }

  /** Gives a key another end, without a change that watches see. */
  async refresh(key: string, ttl: Seconds, options: RefreshOptions = {}): Promise<KeysResponse> {
    const form = { ttl: checkTtl(ttl), refresh: true, prevExist: true };
    return this.#send("PUT", key, conditions(options), form, options);
  }

  /** Makes a directory. @throws EtcdError 105 when something is there. */
  async mkdir(key: string, options: SetOptions = {}): Promise<KeysResponse<DirectoryNode>> {
    const form = { ttl: checkTtl(options.ttl) };
    const query = { dir: true, prevExist: false };
    return this.#send("PUT", key, query, form, options) as Promise<KeysResponse<DirectoryNode>>;
  }

  /** Gives a directory an end, or none. */
  async updateDirectory(
    key: string,
    options: SetOptions = {},
  ): Promise<KeysResponse<DirectoryNode>> {
    const form = { ttl: checkTtl(options.ttl) };
    const query = { dir: true, prevExist: true };
    return this.#send("PUT", key, query, form, options) as Promise<KeysResponse<DirectoryNode>>;
  }

  /** Removes a key, or a directory where the options say so. */
  delete(key: string, options: DeleteOptions = {}): Promise<KeysResponse> {
    const query = { dir: onlyTrue(options.dir), recursive: onlyTrue(options.recursive) };
    return this.#send("DELETE", key, query, undefined, options);
  }

  /** Removes a key if it is as the condition says. @throws EtcdError 101 when it is not. */
  async compareAndDelete(
    key: string,
    condition: Condition,
    options: CallOptions = {},
  ): Promise<KeysResponse> {
    return this.#send("DELETE", key, needed(condition), undefined, options);
  }

  #put(
    key: string,
    query: FormFields,
    form: FormFields,
    options: CallOptions,
  ): Promise<KeysResponse<FileNode>> {
    return this.#send("PUT", key, query, form, options) as Promise<KeysResponse<FileNode>>;
  }

  async #send(
    method: "GET" | "PUT" | "POST" | "DELETE",
    key: string,
    query: FormFields,
    form: FormFields | undefined,
    options: CallOptions,
  ): Promise<KeysResponse> {
    const action = { method, path: keyPath(key), query: encodeForm(query) };
    const withBody =
      form === undefined ? action : { ...action, body: encodeForm(form), contentType: FORM_TYPE };
    return decodeKeysAnswer(await this.#cluster.send(withBody, options));
  }
}

function onlyTrue(flag: boolean | undefined): true | undefined {
  return flag === true ? true : undefined;
}

function needed(condition: Condition): FormFields {
  if (condition.prevValue === undefined && condition.prevIndex === undefined) {
    throw new RangeError("a comparison needs prevValue or prevIndex");
  }
  return conditions(condition);
}
