/**
 * Answers of the v2 API as records: what the JSON means, with missing members filled in. Anything
 * that is no JSON object of the expected kind becomes an error with the words of etcdctl 2.3.8.
 */
import { ClientError, EtcdApiError } from "../errors/errors.ts";

export interface StoreNode {
  readonly key: string;
  readonly isDir: boolean;
  readonly value: string;
  /** undefined when the answer has no list, which JSON output shows as null. */
  readonly nodes: readonly StoreNode[] | undefined;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
  /** RFC 3339. */
  readonly expiration: string | undefined;
  /** Seconds; 0 for none. */
  readonly ttl: number;
}

export interface KeysResponse {
  readonly action: string;
  readonly node: StoreNode;
  readonly prevNode: StoreNode | undefined;
  /** X-Etcd-Index; 0 when the answer has none. */
  readonly index: number;
}

export interface Member {
  readonly id: string;
  /** "" until the member has started. */
  readonly name: string;
  readonly peerURLs: readonly string[];
  readonly clientURLs: readonly string[];
  readonly isLearner: boolean;
}

type Json = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The member of that name if it is a text, else "". */
export function textOf(record: Json, name: string): string {
  const value = record[name];
  return typeof value === "string" ? value : "";
}

function numberOf(record: Json, name: string): number {
  const value = record[name];
  return typeof value === "number" ? value : 0;
}

/** The members of a list that are records. */
export function recordsOf(record: Json, name: string): readonly Json[] {
  const value = record[name];
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

/** The members of a list that are texts. */
export function textsOf(record: Json, name: string): readonly string[] {
  const value = record[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

/** A nested record, empty when there is none. */
export function recordOf(record: Json, name: string): Json {
  const value = record[name];
  return isRecord(value) ? value : {};
}

/** What a text that is no JSON looks like to a strict reader. */
function syntaxComplaint(text: string): string {
  const trimmed = text.trim();
  const first = trimmed[0];
  if (first === undefined) return "unexpected end of JSON input";
  const number = /^-?\d+/.exec(trimmed)?.[0];
  if (number !== undefined) {
    const next = trimmed.slice(number.length).trim()[0] ?? "";
    return `invalid character '${next}' after top-level value`;
  }
  return `invalid character '${first}' looking for beginning of value`;
}

/** A body that must be a JSON object. @throws ClientError otherwise. */
export function decodeObject(body: Buffer): Json {
  const text = body.toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ClientError(syntaxComplaint(text), { cause: error });
  }
  if (value === null) return {};
  if (!isRecord(value)) throw new ClientError("json: cannot unmarshal into an object");
  return value;
}

function decodeNode(value: unknown): StoreNode | undefined {
  if (!isRecord(value)) return undefined;
  const { nodes, expiration } = value;
  return {
    key: textOf(value, "key"),
    isDir: value["dir"] === true,
    value: textOf(value, "value"),
    nodes: Array.isArray(nodes) ? nodes.flatMap((node) => decodeNode(node) ?? []) : undefined,
    createdIndex: numberOf(value, "createdIndex"),
    modifiedIndex: numberOf(value, "modifiedIndex"),
    expiration: typeof expiration === "string" ? expiration : undefined,
    ttl: numberOf(value, "ttl"),
  };
}

const emptyNode: StoreNode = {
  key: "",
  isDir: false,
  value: "",
  nodes: undefined,
  createdIndex: 0,
  modifiedIndex: 0,
  expiration: undefined,
  ttl: 0,
};

const notEtcd =
  "client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint.";

/** The body was empty, which ends a long poll without an event. */
export class EmptyBodyError extends ClientError {
  override readonly name = "EmptyBodyError";
  constructor() {
    super("client: response body is empty");
  }
}

/** The answer to a keys request. @throws EtcdApiError for an error answered, ClientError for junk. */
export function decodeKeysResponse(
  status: number,
  etcdIndex: string | undefined,
  body: Buffer,
): KeysResponse {
  const isSuccess = status === 200 || status === 201;
  if (isSuccess && body.length === 0) throw new EmptyBodyError();
  let record: Json;
  try {
    record = decodeObject(body);
  } catch (error) {
    throw new ClientError(notEtcd, { cause: error });
  }
  if (!isSuccess) {
    throw new EtcdApiError(
      numberOf(record, "errorCode"),
      textOf(record, "message"),
      textOf(record, "cause"),
      numberOf(record, "index"),
    );
  }
  return {
    action: textOf(record, "action"),
    node: decodeNode(record["node"]) ?? emptyNode,
    prevNode: decodeNode(record["prevNode"]),
    index: Number(etcdIndex ?? 0),
  };
}

/** One member as the members API shows it. */
export function decodeMember(record: Json): Member {
  return {
    id: textOf(record, "id"),
    name: textOf(record, "name"),
    peerURLs: textsOf(record, "peerURLs"),
    clientURLs: textsOf(record, "clientURLs"),
    isLearner: record["isLearner"] === true,
  };
}

/** The list of GET /v2/members. */
export function decodeMembers(body: Buffer): readonly Member[] {
  return recordsOf(decodeObject(body), "members").map(decodeMember);
}
