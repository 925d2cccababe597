/** A member that is written as a whole is one that a server finds. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Wal } from "@etcd2/raft/wal";
import { StateMachine, SteadyClock, StoreDirectory, writeCommand } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import { layoutOf } from "../src/layout.ts";
import { confStateIn, simpleConfState } from "../src/meta-rows.ts";
import { NewStore, writeLogStart } from "../src/write-member.ts";

const folder = mkdtempSync(join(tmpdir(), "etcd2-write-member-"));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

test("store and log begin together, and the store has no name before it is finished", async () => {
  const { storeDir, walDir } = layoutOf(folder, undefined);
  const [memberId, clusterId] = ["a", "c"].map((id) => id.padStart(16, "0")) as [string, string];
  const confState = simpleConfState([memberId], ["b".padStart(16, "0")]);
  const store = await NewStore.create(storeDir);
  const machine = await StateMachine.open({ kv: store.kv, clock: SteadyClock.open(store.kv) });
  assert.equal(new StoreDirectory(storeDir).current(), undefined);
  const command = writeCommand({ action: "set", path: "/1/k", value: "v" });
  await store.finish(machine, confState, [{ index: 7, term: 3, command }]);
  await writeLogStart(walDir, { memberId, clusterId, index: 7, term: 3, confState });

  const kv = await RocksKv.open(new StoreDirectory(storeDir).current() ?? "", { mustExist: true });
  const found = await StateMachine.open({ kv, clock: SteadyClock.open(kv) });
  assert.deepEqual([found.appliedIndex, found.appliedTerm], [7, 3]);
  assert.deepEqual(confStateIn(found), confState);
  await found.close();
  const { wal, metadata, hardState } = await Wal.open(walDir);
  assert.deepEqual(metadata, { memberId, clusterId });
  assert.deepEqual(hardState, { term: 3, vote: "", commit: 7 });
  assert.equal(wal.log.firstIndex(), 8);
  await wal.close();
});
