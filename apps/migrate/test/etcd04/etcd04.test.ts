import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { MigrateError } from "../../src/errors.ts";
import { readConf04, readStandbyInfo } from "../../src/etcd04/conf.ts";
import type { Log04Record } from "../../src/etcd04/log.ts";
import { Log04Reader } from "../../src/etcd04/log.ts";
import { listSnapshots04 } from "../../src/etcd04/snapshot.ts";
import { FileCursor } from "../../src/io/file-cursor.ts";
import type { TailDamage } from "../../src/tail.ts";
import { record04 } from "../support/old-formats.ts";
import { replayDirectory } from "../support/replay-directory.ts";
import { TempDir } from "../support/temp-dir.ts";

const NEVER = "0001-01-01T00:00:00Z";
const T0 = Date.UTC(2030, 0, 1);

function at(seconds: number): string {
  return new Date(T0 + seconds * 1000).toISOString();
}

function set(index: number, key: string, value: string, expireTime = NEVER): Buffer {
  return record04(index, "etcd:set", { key, value, expireTime, dir: false });
}

function join(index: number, name: string, port = 7000 + index): Buffer {
  const raftURL = `http://h:${port}`;
  return record04(index, "etcd:join", { name, raftURL, etcdURL: `http://h:${port - 3000}` });
}

function readLog(bytes: Buffer): { records: Log04Record[]; tail: TailDamage | undefined } {
  using dir = new TempDir();
  writeFileSync(dir.at("log"), bytes);
  const cursor = new FileCursor(dir.at("log"));
  try {
    const reader = new Log04Reader(cursor);
    const records: Log04Record[] = [];
    for (let r = reader.next(); r !== undefined; r = reader.next()) records.push({ ...r });
    return { records, tail: reader.tail };
  } finally {
    cursor.close();
  }
}

function writeDirectory(dir: TempDir, records: readonly Buffer[], conf?: object): string {
  mkdirSync(dir.at("snapshot"), { recursive: true });
  writeFileSync(dir.at("log"), Buffer.concat(records));
  writeFileSync(dir.at("conf"), JSON.stringify(conf ?? { commitIndex: 1, peers: [] }));
  return dir.path;
}

function isCorrupt(text: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof MigrateError, String(error));
    assert.match(error.describe(), text);
    return true;
  };
}

describe("a 0.4 log", () => {
  const records = [join(1, "a"), record04(2, "raft:nop", undefined), set(3, "/k", "v".repeat(50))];
  const whole = Buffer.concat(records);

  it("is read record by record", () => {
    const { records: read, tail } = readLog(whole);
    assert.deepEqual(
      read.map(({ index, name }) => `${index} ${name}`),
      ["1 etcd:join", "2 raft:nop", "3 etcd:set"],
    );
    assert.equal(tail, undefined);
  });

  it("cut at any byte of its last record is a torn tail that starts there", () => {
    const start = whole.length - (records[2]?.length ?? 0);
    for (let size = start + 1; size < whole.length; size++) {
      const { records: read, tail } = readLog(whole.subarray(0, size));
      assert.equal(read.length, 2);
      assert.deepEqual(
        { ...tail, file: "" },
        { file: "", offset: start, bytes: size - start, kind: "cutShort" },
      );
    }
  });

  it("with zeros behind its last record is told apart from one that is cut", () => {
    const { records: read, tail } = readLog(Buffer.concat([whole, Buffer.alloc(100)]));
    assert.equal(read.length, 3);
    assert.equal(tail?.kind, "zeroFilled");
  });

  it("with a damaged length is refused, not cut there", () => {
    const damaged = Buffer.from(whole);
    // The first record now claims to reach beyond the file.
    damaged.write("   fffff", 0);
    assert.throws(() => readLog(damaged), isCorrupt(/offset 0: the record's length/));
    damaged.write("  banana", 0);
    assert.throws(() => readLog(damaged), isCorrupt(/offset 0: no record starts here/));
  });

  it("with a gap in its indexes is refused", () => {
    const gap = Buffer.concat([set(1, "/a", "1"), set(3, "/b", "2")]);
    assert.throws(() => readLog(gap), isCorrupt(/log index 3 follows 1/));
  });

  it("with an unknown command is refused, with its name and place", async () => {
    using dir = new TempDir();
    const first = join(1, "a");
    writeDirectory(dir, [first, record04(2, "etcd:frobnicate", {})]);
    await assert.rejects(
      replayDirectory(dir.path),
      isCorrupt(new RegExp(`offset ${first.length}: unknown command "etcd:frobnicate"`)),
    );
    const { notices } = await replayDirectory(dir.path, { skipCorrupt: true });
    assert.deepEqual(
      notices.map(({ code }) => code),
      ["dropped"],
    );
  });

  it("whose terms go backwards is refused", async () => {
    using dir = new TempDir();
    const nop = record04(3, "raft:nop", undefined, 1);
    writeDirectory(dir, [join(1, "a"), record04(2, "raft:nop", undefined, 5), nop]);
    await assert.rejects(replayDirectory(dir.path), isCorrupt(/term 1 follows a higher one/));
  });
});

describe("replaying a 0.4 log", () => {
  it("names in-order keys by their index, without padding", async () => {
    using dir = new TempDir();
    const create = { key: "/q", value: "x", expireTime: NEVER, unique: true, dir: false };
    writeDirectory(dir, [
      join(1, "a"),
      record04(2, "etcd:create", create),
      record04(3, "etcd:create", create),
    ]);
    const { keys } = await replayDirectory(dir.path);
    assert.deepEqual([...keys.keys()], ["/q", "/q/2", "/q/3"]);
  });

  it("expires keys in the order of their times, an index each, and keeps the rest", async () => {
    using dir = new TempDir();
    const time = at(10);
    writeDirectory(dir, [
      join(1, "a"),
      set(2, "/late", "x", at(9.5)),
      set(3, "/early", "x", at(9.4)),
      set(4, "/stays", "x", at(11)),
      record04(5, "etcd:sync", { time }),
      set(6, "/after", "x"),
    ]);
    const { keys, etcdIndex } = await replayDirectory(dir.path);
    assert.deepEqual([...keys.keys()], ["/after", "/stays"]);
    assert.equal(etcdIndex, 7);
    assert.equal(keys.get("/stays")?.expiration, at(11).slice(0, 23));
    assert.equal(keys.get("/after")?.createdIndex, 7);
  });

  it("tells two expirations within one millisecond apart", async () => {
    using dir = new TempDir();
    writeDirectory(dir, [
      join(1, "a"),
      set(2, "/due", "x", "2030-01-01T00:00:05.000100Z"),
      set(3, "/not-yet", "x", "2030-01-01T00:00:05.000900Z"),
      record04(4, "etcd:sync", { time: "2030-01-01T00:00:05.000500Z" }),
      set(5, "/then", "x"),
    ]);
    const { keys } = await replayDirectory(dir.path);
    assert.deepEqual([...keys.keys()], ["/not-yet", "/then"]);
    assert.equal(keys.get("/then")?.createdIndex, 5);
  });

  it("keeps to the rules of joining", async () => {
    using dir = new TempDir();
    writeDirectory(
      dir,
      [
        join(1, "a", 7001),
        join(2, "b", 7002),
        // The same peer URL again, a known machine again, and one beyond the active size.
        join(3, "imposter", 7002),
        join(4, "a", 7001),
        record04(5, "etcd:setClusterConfig", { config: { activeSize: 3 } }),
        join(6, "c", 7003),
        join(7, "d", 7004),
        join(8, "b", 7012),
        record04(9, "etcd:remove", { name: "c" }),
        set(10, "/k", "v"),
      ],
      { commitIndex: 2, peers: [{ name: "b", connectionString: "" }] },
    );
    const { result, keys, others } = await replayDirectory(dir.path);
    assert.deepEqual(
      result.members.map(({ name, peerUrls }) => `${name} ${peerUrls.join()}`),
      ["a http://h:7001", "b http://h:7012"],
    );
    // a, b, config, c, b's new URL, the removal, and the key.
    assert.equal(keys.get("/k")?.createdIndex, 7);
    assert.ok(others.size === 0 || [...others.keys()].every((key) => key.startsWith("/0")));
  });

  it("never lets a failed comparison or a read count", async () => {
    using dir = new TempDir();
    const swap = { key: "/k", value: "new", expireTime: NEVER, prevValue: "wrong", prevIndex: 0 };
    writeDirectory(dir, [
      join(1, "a"),
      set(2, "/k", "old"),
      record04(3, "etcd:compareAndSwap", swap),
      record04(4, "etcd:get", { key: "/k", recursive: true, Sorted: true }),
      record04(5, "etcd:compareAndSwap", { ...swap, prevValue: "", prevIndex: 2 }),
    ]);
    const { keys } = await replayDirectory(dir.path);
    assert.deepEqual(keys.get("/k"), {
      value: "new",
      dir: false,
      createdIndex: 2,
      modifiedIndex: 3,
      expiration: undefined,
    });
  });
});

describe("a 0.4 snapshot", () => {
  function writeSnapshot(dir: TempDir, name: string, lastIndex: number, state: object): void {
    const text = JSON.stringify({
      lastIndex,
      lastTerm: 0,
      peers: [],
      state: Buffer.from(JSON.stringify(state)).toString("base64"),
      path: "",
    });
    const checksum = crc32(text).toString(16).padStart(8, "0");
    writeFileSync(dir.at("snapshot", name), `${checksum}\n${text}`);
  }

  const node = (path: string, index: number, value: string, children: object | null): object => ({
    Path: path,
    CreatedIndex: index,
    ModifiedIndex: index,
    ExpireTime: NEVER,
    ACL: "",
    Value: value,
    Children: children,
  });
  const machine = "etcd=http%3A%2F%2Fh%3A4001&raft=http%3A%2F%2Fh%3A7001";
  const state = (value: string): object => ({
    Root: node("/", 0, "", {
      _etcd: node("/_etcd", 1, "", {
        machines: node("/_etcd/machines", 1, "", {
          a: node("/_etcd/machines/a", 1, machine, null),
        }),
      }),
      k: node("/k", 2, value, null),
      late: node("/late", 3, "x", null),
    }),
    WatcherHub: {
      EventHistory: {
        Queue: {
          Events: [
            {
              action: "set",
              node: { key: "/late", value: "x", modifiedIndex: 3, createdIndex: 3 },
            },
            {
              action: "update",
              node: { key: "/k", value, modifiedIndex: 4, createdIndex: 2 },
              prevNode: { key: "/k", value: "first", modifiedIndex: 2, createdIndex: 2 },
            },
            null,
          ],
        },
      },
    },
    CurrentIndex: 4,
    CurrentVersion: 2,
  });

  it("is chosen by term and index as numbers, and goes before the log", async () => {
    using dir = new TempDir();
    writeDirectory(dir, [set(9, "/old", "x"), set(10, "/old", "x"), set(11, "/new", "x")]);
    writeSnapshot(dir, "0_9.ss", 9, state("nine"));
    writeSnapshot(dir, "0_10.ss", 10, state("ten"));
    assert.match(listSnapshots04(dir.at("snapshot"))[0] ?? "", /0_10\.ss$/);
    const replayed = await replayDirectory(dir.path, { name: "a" });
    assert.deepEqual([...replayed.keys.keys()], ["/k", "/late", "/new"]);
    assert.equal(replayed.keys.get("/k")?.value, "ten");
    assert.equal(replayed.etcdIndex, 5);
    assert.equal(replayed.historyFirstIndex, 3);
  });

  it("gets back the modified indexes that only its events still know", async () => {
    using dir = new TempDir();
    writeDirectory(dir, [set(11, "/new", "x")]);
    writeSnapshot(dir, "0_10.ss", 10, state("v"));
    const { keys } = await replayDirectory(dir.path, { name: "a" });
    assert.equal(keys.get("/k")?.createdIndex, 2);
    assert.equal(keys.get("/k")?.modifiedIndex, 4);
    assert.equal(keys.get("/late")?.modifiedIndex, 3);
  });

  it("that is damaged gives way to an older one, or stops the import", async () => {
    using dir = new TempDir();
    writeDirectory(dir, [set(10, "/ten", "x"), set(11, "/eleven", "x")]);
    writeSnapshot(dir, "0_10.ss", 10, state("ten"));
    const newest = readFileSync(dir.at("snapshot", "0_10.ss"));
    newest[100] = (newest[100] ?? 0) ^ 1;
    writeFileSync(dir.at("snapshot", "0_10.ss"), newest);
    await assert.rejects(
      replayDirectory(dir.path, { name: "a" }),
      isCorrupt(/0_10\.ss.*crc mismatch/),
    );
    writeSnapshot(dir, "0_9.ss", 9, state("nine"));
    const { keys, notices } = await replayDirectory(dir.path, { name: "a" });
    assert.deepEqual([...keys.keys()], ["/eleven", "/k", "/late", "/ten"]);
    assert.equal(notices[0]?.code, "damagedSnapshot");
  });

  it("missing before a log that begins later stops the import", async () => {
    using dir = new TempDir();
    writeDirectory(dir, [set(7, "/k", "x")]);
    await assert.rejects(replayDirectory(dir.path), isCorrupt(/the log begins at index 7/));
  });
});

describe("the small files of 0.4", () => {
  it("may be missing, and are checked when there", () => {
    using dir = new TempDir();
    assert.equal(readConf04(dir.at("conf")), undefined);
    writeFileSync(dir.at("conf"), '{"commitIndex":7,"peers":[{"name":"b"}]}');
    assert.deepEqual(readConf04(dir.at("conf")), { commitIndex: 7, peers: ["b"] });
    writeFileSync(dir.at("conf"), '{"commitIndex":"seven"}');
    assert.throws(() => readConf04(dir.at("conf")), isCorrupt(/"commitIndex" has the wrong type/));
    writeFileSync(dir.at("standby_info"), '{"Running":false,"Cluster":null,"SyncInterval":5}');
    assert.deepEqual(readStandbyInfo(dir.at("standby_info")), { running: false, cluster: [] });
  });

  it("of a machine that left standby do not stop the import", async () => {
    using dir = new TempDir();
    writeDirectory(dir, [join(1, "a"), set(2, "/k", "v")]);
    writeFileSync(dir.at("standby_info"), '{"Running":false,"Cluster":[],"SyncInterval":5}');
    assert.equal((await replayDirectory(dir.path)).keys.size, 1);
  });
});
