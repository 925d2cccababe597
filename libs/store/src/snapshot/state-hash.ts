/**
 * A digest of the replicated state, to compare members at the same applied index: the tree, the
 * etcd index and the counters of writes. Leaves out what is local: deadlines, reads counted here,
 * the extent of the history, host values.
 */
import { createHash } from "node:crypto";
import { ByteReader, ByteWriter, asBuffer } from "../encoding/bytes.ts";
import { PREFIX, pathOfKey, prefixRange } from "../encoding/keyspace.ts";
import type { Kv } from "../kv/kv.ts";
import { readNodeRecord, writeNodeRecord } from "../encoding/node-record.ts";
import { type Schedule, yieldTurn } from "../clock/schedule.ts";
import type { StoreState } from "../encoding/state-row.ts";
import type { SweepFilter } from "../nodes/sweep-filter.ts";
import { STATS_FIELDS } from "../tree/store-stats.ts";
import { TreeNode } from "../tree/tree-node.ts";

const SLICE_ROWS = 512;

/** The digest, and the applied entry it belongs to. */
export interface StateHash {
  readonly raftIndex: number;
  readonly raftTerm: number;
  readonly etcdIndex: number;
  /** Hexadecimal SHA-256. */
  readonly hash: string;
}

/** Reads the store in slices; the state hashed is that of the call. */
export async function hashState(
  kv: Kv,
  state: StoreState,
  sweeps: SweepFilter,
  schedule: Schedule,
): Promise<StateHash> {
  const { raftIndex, raftTerm, etcdIndex } = state;
  const iterator = kv.iterator(prefixRange(PREFIX.node));
  const hash = createHash("sha256");
  const writer = new ByteWriter(4096);
  const reader = new ByteReader();
  writer.varint(etcdIndex);
  for (const field of STATS_FIELDS) {
    if (field !== "getsSuccess" && field !== "getsFail") writer.varint(state.stats[field]);
  }
  hash.update(writer.view());
  try {
    for (;;) {
      const rows = iterator.nextMany(SLICE_ROWS);
      if (rows.length === 0) break;
      for (let i = 0; i < rows.length; i += 2) {
        const [key, value] = [rows[i], rows[i + 1]];
        if (key === undefined || value === undefined) continue;
        reader.reset(value);
        const node = readNodeRecord(reader);
        if (sweeps.isSwept(pathOfKey(key), node.createdIndex)) continue;
        writer.length = 0;
        writer.sizedText(asBuffer(key).toString("latin1"));
        const { dir, createdIndex, modifiedIndex, expirationMs } = node;
        const shared = new TreeNode(dir, node.value, createdIndex, modifiedIndex, expirationMs, 0);
        writer.uint32(node.value.length);
        writeNodeRecord(writer, shared);
        hash.update(writer.view());
      }
      await yieldTurn(schedule);
    }
  } finally {
    iterator.close();
  }
  return { raftIndex, raftTerm, etcdIndex, hash: hash.digest("hex") };
}
