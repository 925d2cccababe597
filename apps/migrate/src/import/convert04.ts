/**
 * From a replayed 0.4 store to one as this server keeps it: the machines under `_etcd` become
 * members under /0, everything else stays with its indexes and its history.
 */
import type { Kv } from "@etcd2/store";
import { StateMachine, StoreBuilder, walkTree } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import type { Pacer } from "../pacer.ts";
import { ReplayClock, TargetStore } from "../replay/target-store.ts";
import { isClusterNode04, memberNodes04 } from "../sources/source04.ts";
import type { OpenedSource, ReplayResult } from "../sources/source.ts";

const ROWS = 512;
const ETCD_PATH = "/1/_etcd";

/** Copies the store of `from` into the empty `to`. */
async function convert04(
  from: StateMachine,
  to: Kv,
  result: ReplayResult,
  pacer: Pacer,
): Promise<void> {
  const builder = new StoreBuilder(to, new ReplayClock());
  for (const node of memberNodes04(result.members)) {
    builder.addNode({ ...node, expirationMs: undefined });
  }
  const keepsEtcd = from.reader.peekChildren(ETCD_PATH).some(({ key }) => !isClusterNode04(key));
  const listing = walkTree(from.kv);
  try {
    for (let rows = listing.next(ROWS); rows.length > 0; rows = listing.next(ROWS)) {
      for (const { node } of rows) {
        if (isClusterNode04(node.key) || (node.key === ETCD_PATH && !keepsEtcd)) continue;
        const { key: path, dir, createdIndex, modifiedIndex, expirationMs } = node;
        const value = node.value ?? "";
        builder.addNode({ path, dir, value, createdIndex, modifiedIndex, expirationMs });
        if (pacer.due()) await pacer.pause();
      }
    }
  } finally {
    listing.close();
  }
  const { history } = from;
  for (let next = history.firstIndex; next <= history.lastIndex;) {
    for (const event of history.read(next)) {
      builder.addEvent(event);
      next = event.etcdIndex + 1;
    }
  }
  builder.finish({
    raftIndex: from.appliedIndex,
    raftTerm: from.appliedTerm,
    etcdIndex: from.reader.etcdIndex,
    stats: from.reader.stats,
  });
}

/** A store that has been filled, and what was found on the way. */
export interface Replayed {
  readonly machine: StateMachine;
  readonly result: ReplayResult;
}

/** Replays a source into the empty `kv`. */
export async function replayInto(kv: Kv, source: OpenedSource, pacer: Pacer): Promise<Replayed> {
  const store = new TargetStore(kv);
  const result = await source.replay(store, pacer);
  return { machine: store.settle(), result };
}

/** Replays a 0.4 source in the folder `aside`, then copies it without its `_etcd` part into `kv`. */
export async function replayConverted(
  kv: Kv,
  aside: string,
  source: OpenedSource,
  pacer: Pacer,
): Promise<Replayed> {
  const old = await RocksKv.open(aside);
  try {
    const { machine, result } = await replayInto(old, source, pacer);
    await convert04(machine, kv, result, pacer);
    return { machine: await StateMachine.open({ kv, clock: new ReplayClock() }), result };
  } finally {
    await old.close().catch(() => undefined);
  }
}
