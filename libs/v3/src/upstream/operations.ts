/** The parts of transactions, in the form that the v3 client takes. Knows no v2. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  Compare_CompareResult as Result,
  Compare_CompareTarget as Target,
  type CompareSchema,
  type KeyValue,
  type RequestOpSchema,
  type ResponseOp,
} from "@etcd2/proto/v3/kv";
import type { KeyRange } from "../mapping/key-space.ts";

export type Operation = MessageInitShape<typeof RequestOpSchema>;
export type Guard = MessageInitShape<typeof CompareSchema>;

/** Operations that a server takes in one transaction: its default, which few change. */
export const OPERATIONS_MAX = 128;

export function readKey(key: Uint8Array): Operation {
  return { request: { case: "requestRange", value: { key } } };
}

export interface RangeOptions {
  readonly limit: number;
  readonly keysOnly?: boolean;
}

export function readRange({ key, rangeEnd }: KeyRange, options: RangeOptions): Operation {
  const { limit, keysOnly = false } = options;
  return {
    request: {
      case: "requestRange",
      value: { key, rangeEnd, limit: BigInt(limit), keysOnly },
    },
  };
}

/** @param lease 0 for none. */
export function put(key: Uint8Array, value: Uint8Array, lease: bigint): Operation {
  return { request: { case: "requestPut", value: { key, value, lease, prevKv: true } } };
}

export function remove(key: Uint8Array): Operation {
  return { request: { case: "requestDeleteRange", value: { key, prevKv: true } } };
}

export function removeRange({ key, rangeEnd }: KeyRange): Operation {
  return { request: { case: "requestDeleteRange", value: { key, rangeEnd } } };
}

export function isPut(operation: Operation): boolean {
  return operation.request?.case === "requestPut";
}

/** The key has not changed since it was read; undefined stands for its absence then. */
export function unchanged(key: Uint8Array, row: KeyValue | undefined): Guard {
  return row === undefined
    ? absent(key)
    : {
        key,
        result: Result.EQUAL_UNSPECIFIED,
        target: Target.MOD,
        targetUnion: { case: "modRevision", value: row.modRevision },
      };
}

export function absent(key: Uint8Array): Guard {
  return {
    key,
    result: Result.EQUAL_UNSPECIFIED,
    target: Target.VERSION_UNSPECIFIED,
    targetUnion: { case: "version", value: 0n },
  };
}

export function present(key: Uint8Array): Guard {
  return {
    key,
    result: Result.GREATER,
    target: Target.VERSION_UNSPECIFIED,
    targetUnion: { case: "version", value: 0n },
  };
}

export function emptyRange({ key, rangeEnd }: KeyRange): Guard {
  return { ...absent(key), rangeEnd };
}

/** The keys that one read brought. */
export function rowsOf(response: ResponseOp | undefined): readonly KeyValue[] {
  return response?.response.case === "responseRange" ? response.response.value.kvs : [];
}

/** What a put or a removal replaced. */
export function previousOf(response: ResponseOp | undefined): KeyValue | undefined {
  if (response?.response.case === "responsePut") return response.response.value.prevKv;
  return response?.response.case === "responseDeleteRange"
    ? response.response.value.prevKvs[0]
    : undefined;
}
