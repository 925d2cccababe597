/**
 * Reading what a v3 cluster holds at and below some paths: page by page at one revision. Keeps of a long
 * value its digest only.
 */
import { createHash } from "node:crypto";
import { methods } from "@etcd2/v3";
import type { KeyKind, KeyRange, V3Client, KeySpace } from "@etcd2/v3";

const PAGE = 2000;

/** Values up to this length are kept as they are. */
const VALUE_MAX = 160;

export interface TargetKey {
  readonly modRevision: number;
  /** 0n for none. */
  readonly lease: bigint;
  /** digestOf() the value. */
  readonly digest: string;
}

export interface TargetKeys {
  /** Revision at which all of it was read. */
  readonly revision: number;
  /** By their byte strings. */
  readonly keys: Map<string, TargetKey>;
}

/** Short values as they are, of others a hash: equal digests mean equal values. */
export function digestOf(value: string): string {
  if (value.length <= VALUE_MAX) return `=${value}`;
  return `#${createHash("sha256").update(value, "latin1").digest("latin1")}`;
}

/** Kinds of keys that a migration writes for nodes. */
const KINDS: readonly KeyKind[] = ["data", "directory", "lifetime", "sequence"];

/** The ranges of keys for nodes at and below these target paths. */
export function rangesAt(space: KeySpace, targets: readonly string[]): readonly KeyRange[] {
  return targets.flatMap((path) =>
    KINDS.flatMap((kind) => {
      const below = space.below(kind, path);
      if (path === "" && kind !== "sequence") return [below];
      const key = space.key(kind, path);
      return [{ key, rangeEnd: Buffer.concat([key, Buffer.of(0)]) }, below];
    }),
  );
}

/** Whether a key keeps the last in-order name below a directory. */
export function isSequence(space: KeySpace, key: string): boolean {
  const first = space.key("sequence", "").toString("latin1");
  return key === first || key.startsWith(`${first}/`);
}

/** Whether a key lies in one of the ranges. */
export function isInRanges(ranges: readonly KeyRange[], key: Uint8Array): boolean {
  return ranges.some(
    (range) => Buffer.compare(key, range.key) >= 0 && Buffer.compare(key, range.rangeEnd) < 0,
  );
}

/** Everything in the ranges at one revision. @throws V3Error */
export async function readTarget(
  client: V3Client,
  ranges: readonly KeyRange[],
  signal: AbortSignal,
): Promise<TargetKeys> {
  const keys = new Map<string, TargetKey>();
  let revision = 0;
  for (const range of ranges) {
    let key: Buffer = range.key;
    for (;;) {
      const answer = await client.call(
        methods.range,
        { key, rangeEnd: range.rangeEnd, limit: BigInt(PAGE), revision: BigInt(revision) },
        { signal, timeoutMs: 30_000 },
      );
      revision ||= Number(answer.header?.revision ?? 0n);
      for (const row of answer.kvs) {
        keys.set(Buffer.from(row.key).toString("latin1"), {
          modRevision: Number(row.modRevision),
          lease: row.lease,
          digest: digestOf(Buffer.from(row.value).toString("latin1")),
        });
      }
      const last = answer.kvs.at(-1);
      if (!answer.more || last === undefined) break;
      key = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }
  return { revision, keys };
}

/** One key of the ranges, to show that they are not empty; undefined when they are. */
export async function anyKey(
  client: V3Client,
  ranges: readonly KeyRange[],
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const { key, rangeEnd } of ranges) {
    const request = { key, rangeEnd, limit: 1n, keysOnly: true };
    const answer = await client.call(methods.range, request, { signal });
    const [first] = answer.kvs;
    if (first !== undefined) return Buffer.from(first.key).toString("utf8");
  }
  return undefined;
}
