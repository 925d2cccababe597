/** A state on its way between members: what fails leaves the old one in use, or ends the member. */
import { createLogger } from "@etcd2/observability";
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { layoutOf, META_CONF_STATE } from "@etcd2/member-dir";
import { EMPTY_CONF_STATE, encodeConfState } from "@etcd2/raft";
import type { RaftNode, SnapshotMessage, SnapshotSink } from "@etcd2/raft";
import {
  StateMachine,
  StoreDirectory,
  StoreError,
  StoreWatcherHub,
  writeCommand,
} from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import { Cluster } from "../../src/cluster/cluster.ts";
import { MemberStorage } from "../../src/storage/member-storage.ts";
import { SnapshotExchange } from "../../src/consensus/snapshot-exchange.ts";

const CLUSTER = "00000000000000c1";
const [SENDER, RECEIVER] = ["00000000000000a1", "00000000000000a2"] as const;

describe("a state on its way between members", () => {
  let directory = "";
  let sender: MemberStorage;
  let receiver: MemberStorage;
  let fatal: string[] = [];
  let lines: string[] = [];
  let installed = 0;
  let onInstalled: () => void;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "etcd2-exchange-"));
    [fatal, lines, installed] = [[], [], 0];
    onInstalled = () => undefined;
    const make = (name: string, memberId: string): Promise<MemberStorage> =>
      MemberStorage.create(
        {
          layout: layoutOf(join(directory, name), undefined),
          watchHistory: 100,
          onWalSync: () => undefined,
          onSlowWalSync: () => undefined,
          log: createLogger((_level, line) => lines.push(line)),
        },
        { memberId, clusterId: CLUSTER },
        "{}",
      );
    sender = await make("sender", SENDER);
    receiver = await make("receiver", RECEIVER);
    for (let index = 1; index <= 20; index += 1) {
      const command = writeCommand({
        action: "set",
        path: `/1/k${index}`,
        value: "x".repeat(1000),
      });
      sender.machine.apply([{ index, term: 3, command }]);
    }
    const confState = encodeConfState({ ...EMPTY_CONF_STATE, voters: [SENDER, RECEIVER] });
    sender.machine.apply([], new Map([[META_CONF_STATE, confState]]));
    receiver.machine.apply([], new Map([[META_CONF_STATE, confState]]));
  });
  afterEach(async () => {
    mock.restoreAll();
    await sender.close();
    await receiver.close();
    rmSync(directory, { recursive: true });
  });

  function exchangeOf(storage: MemberStorage): SnapshotExchange {
    const node = {
      exclusively: <T>(work: () => Promise<T>) => work(),
      wantsSnapshot: () => true,
      snapshotInstalled: () => undefined,
    };
    return new SnapshotExchange({
      storage,
      cluster: new Cluster(() => storage.machine.reader),
      hub: new StoreWatcherHub(storage.machine),
      // The exchange calls nothing else.
      node: node as unknown as RaftNode,
      onInstalled: () => {
        installed += 1;
        onInstalled();
      },
      log: createLogger((_level, line) => lines.push(line)),
      onFatal: (error) => fatal.push(error.message),
    });
  }

  const announced = (): SnapshotMessage => ({
    ...{ type: "snapshot", from: SENDER, to: RECEIVER, term: 3 },
    snapshot: sender.snapshotMetadata(),
  });

  /** Sends all there is, as the peer port does. */
  async function transfer(exchange: SnapshotExchange, message = announced()): Promise<void> {
    const sink: SnapshotSink = exchange.openSink(message);
    try {
      for await (const chunk of exchangeOf(sender).openSource()) await sink.write(chunk);
    } catch (error) {
      await sink.abort(error as Error);
      throw error;
    }
    await sink.commit();
  }

  const keyOf = (storage: MemberStorage): string | undefined =>
    storage.machine.reader.peek("/1/k7")?.value;

  const generations = (): readonly string[] =>
    readdirSync(receiver.layout.storeDir).filter((name) => name.startsWith("generation"));

  async function assertOldServes(exchange: SnapshotExchange, reason: RegExp): Promise<void> {
    const old = receiver.machine;
    await assert.rejects(transfer(exchange), reason);
    assert.equal(receiver.machine, old);
    assert.deepEqual([keyOf(receiver), fatal, installed], [undefined, [], 0]);
    assert.deepEqual(generations(), ["generation-00000001"], "its room is given back");
    assert.equal(
      new StoreDirectory(receiver.layout.storeDir).current(),
      join(receiver.layout.storeDir, "generation-00000001"),
    );
    receiver.machine.apply([], new Map([["local-test", Buffer.from("1")]]));
  }

  async function assertWorks(exchange: SnapshotExchange): Promise<void> {
    await transfer(exchange);
    assert.deepEqual([keyOf(receiver), fatal, installed], ["x".repeat(1000), [], 1]);
  }

  it("arrives whole", async () => {
    await assertWorks(exchangeOf(receiver));
  });

  for (const code of ["ENOSPC", "EIO"]) {
    it(`leaves the old state in use after ${code} when rows are written, and works the next time`, async () => {
      const exchange = exchangeOf(receiver);
      for (const failing of [1, 2]) {
        const original = Reflect.get<RocksKv, "batch">(RocksKv.prototype, "batch");
        let count = 0;
        const batch = mock.method(RocksKv.prototype, "batch", function (this: RocksKv) {
          const made = original.call(this);
          count += 1;
          if (count !== failing) return made;
          made.write = () => {
            throw new StoreError("storage", `the store could not be written: ${code}`);
          };
          return made;
        });
        await assertOldServes(exchange, new RegExp(code)).finally(() => {
          batch.mock.restore();
        });
      }
      await assertWorks(exchange);
    });

    it(`leaves the old state in use after ${code} when the new one is opened`, async () => {
      const exchange = exchangeOf(receiver);
      const open = mock.method(RocksKv, "open", () =>
        Promise.reject(new StoreError("storage", code)),
      );
      await assertOldServes(exchange, new RegExp(code));
      open.mock.restore();
      await assertWorks(exchange);
    });

    it(`leaves the old state in use after ${code} when a place is made, and works the next time`, async () => {
      const exchange = exchangeOf(receiver);
      const next = mock.method(StoreDirectory.prototype, "next", () => {
        throw Object.assign(new Error(code), { code });
      });
      await assertOldServes(exchange, new RegExp(code));
      next.mock.restore();
      await assertWorks(exchange);
    });
  }

  it("is refused when it is not what was announced", async () => {
    const exchange = exchangeOf(receiver);
    const message = announced();
    const later = { ...message, snapshot: { ...message.snapshot, index: 99 } };
    await assert.rejects(transfer(exchange, later), /is of entry 20 of term 3, announced was 99/);
    assert.deepEqual([keyOf(receiver), fatal, installed], [undefined, [], 0]);
  });

  it("ends the member when it is named, and nobody knows whether the disk keeps that", async () => {
    const name = join(receiver.layout.storeDir, "CURRENT");
    mock.method(StoreDirectory.prototype, "switchTo", (path: string) => {
      writeFileSync(name, `${path.slice(receiver.layout.storeDir.length + 1)}\n`);
      throw Object.assign(new Error("EIO"), { code: "EIO" });
    });
    await assert.rejects(transfer(exchangeOf(receiver)));
    assert.deepEqual(fatal, ["a snapshot could not be taken over: EIO"]);
    assert.equal(generations().length, 2, "neither is removed");
  });

  it("ends the member when what follows a take-over fails", async () => {
    onInstalled = () => {
      throw new Error("no peers");
    };
    await assert.rejects(transfer(exchangeOf(receiver)));
    assert.deepEqual(fatal, ["a snapshot could not be taken over: no peers"]);
  });

  it("ends the member whose state in use lost its name", () => {
    const exchange = exchangeOf(receiver);
    rmSync(join(receiver.layout.storeDir, "CURRENT"));
    assert.throws(() => exchange.openSink(announced()), /does not name the state in use/);
    assert.equal(fatal.length, 1);
    assert.deepEqual(generations(), ["generation-00000001"]);
    mkdirSync(join(receiver.layout.storeDir, "CURRENT"));
    assert.throws(() => exchange.openSink(announced()));
    assert.deepEqual(generations(), ["generation-00000001"]);
  });

  it("ends the member that cannot read its own state to the end, and not one that closes", async () => {
    for (const [code, ends] of [
      ["storage", 1],
      ["corrupt", 2],
      ["closed", 2],
    ] as const) {
      mock.method(StateMachine.prototype, "exportSnapshot", () => ({
        next: () => Promise.reject(new StoreError(code, code)),
      }));
      const source = exchangeOf(sender).openSource()[Symbol.asyncIterator]();
      await assert.rejects(source.next(), StoreError);
      assert.equal(fatal.length, ends);
    }
  });
});
