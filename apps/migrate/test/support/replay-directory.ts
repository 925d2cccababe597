/** Replays a directory into memory, as an import does, and says what came out. */
import { fromByteString, MemoryKv, walkTree } from "@etcd2/store";
import { detectSource } from "../../src/detect.ts";
import type { Notice } from "../../src/notices.ts";
import { Pacer } from "../../src/pacer.ts";
import { TargetStore } from "../../src/replay/target-store.ts";
import { openOldSource } from "../../src/sources/open-source.ts";
import type { ReplayResult } from "../../src/sources/source.ts";
import type { FlatNode } from "./fixtures.ts";

export interface Replayed {
  readonly format: string;
  readonly result: ReplayResult;
  /** The users' keys by path, `_etcd` of 0.4 left out. */
  readonly keys: ReadonlyMap<string, FlatNode>;
  /** Everything else: /0, /2. */
  readonly others: ReadonlyMap<string, string>;
  readonly etcdIndex: number;
  readonly historyFirstIndex: number;
  readonly notices: readonly Notice[];
}

export interface ReplayOptions {
  readonly name?: string | undefined;
  readonly skipCorrupt?: boolean;
  readonly walDir?: string;
}

export async function replayDirectory(
  directory: string,
  options: ReplayOptions = {},
): Promise<Replayed> {
  const notices: Notice[] = [];
  const notice = (item: Notice): void => {
    notices.push(item);
  };
  const source = detectSource(directory, { walDir: options.walDir, notice });
  const { name, skipCorrupt = false } = options;
  const progress = (): void => undefined;
  const opened = openOldSource(source, { name, skipCorrupt, notice, progress });
  const store = new TargetStore(new MemoryKv());
  const result = await opened.replay(store, new Pacer());
  const machine = store.settle();
  const keys = new Map<string, FlatNode>();
  const others = new Map<string, string>();
  const listing = walkTree(machine.kv);
  for (let rows = listing.next(100); rows.length > 0; rows = listing.next(100)) {
    for (const { node } of rows) {
      if (!node.key.startsWith("/1/")) others.set(node.key, fromByteString(node.value ?? ""));
      if (!node.key.startsWith("/1/") || node.key.startsWith("/1/_etcd")) continue;
      const { dir, createdIndex, modifiedIndex, expirationMs } = node;
      keys.set(fromByteString(node.key.slice(2)), {
        value: node.value === undefined ? undefined : fromByteString(node.value),
        dir,
        createdIndex,
        modifiedIndex,
        expiration:
          expirationMs === undefined
            ? undefined
            : new Date(expirationMs).toISOString().slice(0, 23),
      });
    }
  }
  return {
    format: opened.format,
    result,
    keys,
    others,
    etcdIndex: machine.reader.etcdIndex,
    historyFirstIndex: machine.history.firstIndex,
    notices,
  };
}
