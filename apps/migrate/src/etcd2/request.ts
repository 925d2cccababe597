/**
 * What an entry of a 2.x or 3.x log asks of the v2 store. Tells v2 requests from v3 ones; knows
 * nothing of how they are applied.
 */
import { FormatError } from "../io/format-error.ts";
import { ProtoReader } from "../io/proto-reader.ts";

export type RequestMethod = "PUT" | "POST" | "DELETE" | "QGET" | "SYNC";

export interface V2Request {
  readonly kind: "v2";
  readonly method: RequestMethod;
  /** Store path with namespace, as a byte string. */
  readonly path: string;
  readonly value: string;
  readonly dir: boolean;
  readonly prevValue: string;
  readonly prevIndex: number;
  readonly prevExist: boolean | undefined;
  /** Nanoseconds since 1970, 0 for none. */
  readonly expirationNs: bigint;
  /** For SYNC: expire up to this time. */
  readonly timeNs: bigint;
  readonly recursive: boolean;
  readonly refresh: boolean;
}

/** 3.5 publishes a member's name and the cluster version through v3 entries. */
export interface MemberAttributes {
  readonly kind: "memberAttributes";
  readonly memberId: string;
  readonly name: string;
  readonly clientUrls: readonly string[];
}

export interface ClusterVersion {
  readonly kind: "clusterVersion";
  readonly version: string;
}

/** A change of the v3 store: not carried over. */
export interface V3Request {
  readonly kind: "v3";
}

export type EntryRequest = V2Request | MemberAttributes | ClusterVersion | V3Request;

const V3: V3Request = { kind: "v3" };

/** Field numbers of a v3 request that reach the v2 store's cluster data. */
const CLUSTER_VERSION_SET = 1300;
const MEMBER_ATTRIBUTES_SET = 1301;

/**
 * Decodes the data of a normal entry.
 * @throws FormatError when it is neither a v2 nor a v3 request.
 */
export function decodeRequest(data: Buffer): EntryRequest {
  const method = methodOf(data);
  if (method !== undefined) return decodeV2(data, method);
  return decodeV3(data);
}

/** The text of field 2 if it is one of the five methods: that is what makes a v2 request. */
function methodOf(data: Buffer): RequestMethod | undefined {
  const reader = new ProtoReader(data);
  try {
    while (reader.next()) {
      if (reader.field === 2) {
        const name = reader.bytes().subarray(0, 8).toString("latin1");
        return isMethod(name) ? name : undefined;
      }
      if (reader.field !== 1) return undefined;
      reader.skip();
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  return undefined;
}

function isMethod(name: string): name is RequestMethod {
  switch (name) {
    case "PUT":
    case "POST":
    case "DELETE":
    case "QGET":
    case "SYNC":
      return true;
    default:
      return false;
  }
}

function decodeV2(data: Buffer, method: RequestMethod): V2Request {
  let path = "";
  let value = "";
  let dir = false;
  let prevValue = "";
  let prevIndex = 0;
  let prevExist: boolean | undefined;
  let expirationNs = 0n;
  let timeNs = 0n;
  let recursive = false;
  let refresh = false;
  const reader = new ProtoReader(data);
  while (reader.next()) {
    switch (reader.field) {
      case 3:
        path = reader.byteString();
        break;
      case 4:
        value = reader.byteString();
        break;
      case 5:
        dir = reader.boolean();
        break;
      case 6:
        prevValue = reader.byteString();
        break;
      case 7:
        prevIndex = reader.number();
        break;
      case 8:
        prevExist = reader.boolean();
        break;
      case 9:
        expirationNs = reader.signed();
        break;
      case 12:
        recursive = reader.boolean();
        break;
      case 15:
        timeNs = reader.signed();
        break;
      case 17:
        refresh = reader.boolean();
        break;
      default:
        reader.skip();
    }
  }
  // prettier-ignore
  return {
    kind: "v2", method, path, value, dir, prevValue, prevIndex, prevExist,
    expirationNs, timeNs, recursive, refresh,
  };
}

function decodeV3(data: Buffer): EntryRequest {
  const reader = new ProtoReader(data);
  let found: EntryRequest = V3;
  let fields = 0;
  while (reader.next()) {
    fields++;
    if (reader.field === 2) {
      const inner = reader.bytes();
      const method = methodOf(inner);
      if (method !== undefined) return decodeV2(inner, method);
    } else if (reader.field === CLUSTER_VERSION_SET) {
      found = { kind: "clusterVersion", version: firstText(reader.bytes()) };
    } else if (reader.field === MEMBER_ATTRIBUTES_SET) {
      found = decodeAttributes(reader.bytes());
    } else {
      // The header is field 100; requests have numbers from 3 on. Field 1 is the old place of
      // the id. A v2 request with an unknown method would show field 2 as text first.
      reader.skip();
    }
  }
  if (fields === 0) throw new FormatError("unreadable request");
  return found;
}

function firstText(message: Buffer): string {
  const reader = new ProtoReader(message);
  let text = "";
  while (reader.next()) {
    if (reader.field === 1) text = reader.byteString();
    else reader.skip();
  }
  return text;
}

function decodeAttributes(message: Buffer): MemberAttributes {
  const reader = new ProtoReader(message);
  let memberId = "";
  let name = "";
  const clientUrls: string[] = [];
  while (reader.next()) {
    if (reader.field === 1) memberId = reader.id();
    else if (reader.field === 2) {
      const inner = new ProtoReader(reader.bytes());
      while (inner.next()) {
        if (inner.field === 1) name = inner.byteString();
        else if (inner.field === 2) clientUrls.push(inner.byteString());
        else inner.skip();
      }
    } else reader.skip();
  }
  return { kind: "memberAttributes", memberId, name, clientUrls };
}
