/** What works on files: plans of new clusters, and copies of directories whose store lags its log. */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { MemberChangeSchema } from "@etcd2/proto/command";
import { type Entry, encodeConfChange, encodeConfState, readWal, Wal } from "@etcd2/raft/wal";
import {
  encodeCommand,
  StateMachine,
  SteadyClock,
  StoreDirectory,
  writeCommand,
} from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import { backupDirectory } from "../../src/offline/backup.ts";
import { planCluster, type PlanOptions } from "../../src/offline/cluster-plan.ts";

const folder = mkdtempSync(join(tmpdir(), "etcd2-offline-"));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const SELF = "00000000000000aa";
const OTHER = "00000000000000bb";

function setEntry(index: number, key: string): Entry {
  const command = writeCommand({ action: "set", path: `/1/${key}`, value: `${index}` });
  const data = encodeCommand({ session: 1, sequence: index }, command);
  return { term: 1, index, type: "normal", data };
}

function memberEntry(
  index: number,
  id: string,
  type: "addVoter" | "addLearner" | "update" | "remove",
  peerUrl = `http://127.0.0.1:1${index}`,
): Entry {
  const record = create(MemberChangeSchema, { id, peerUrls: [peerUrl] });
  const data = encodeConfChange({
    transition: "auto",
    changes: [{ type, nodeId: id }],
    context: toBinary(MemberChangeSchema, record),
  });
  return { term: 1, index, type: "confChange", data };
}

interface Source {
  readonly voters: readonly string[];
  /** The whole log, from index 1. */
  readonly entries: readonly Entry[];
  readonly commit: number;
  /** Entries the store has applied; they must be plain ones. */
  readonly applied: number;
}

/** A member's directory as a crash may leave it. */
async function makeSource(name: string, source: Source): Promise<string> {
  const memberDir = join(folder, name, "member");
  mkdirSync(memberDir, { recursive: true });
  const directory = new StoreDirectory(join(memberDir, "store"));
  const path = directory.next();
  const kv = await RocksKv.open(path);
  const machine = await StateMachine.open({ kv, clock: SteadyClock.open(kv) });
  const confState = {
    ...{ voters: source.voters, learners: [], votersOutgoing: [], learnersNext: [] },
    autoLeave: false,
  };
  machine.apply([], new Map([["conf-state", encodeConfState(confState)]]));
  for (const { index, term } of source.entries.slice(0, source.applied)) {
    const command = writeCommand({ action: "set", path: `/1/k${index}`, value: `${index}` });
    machine.apply([{ index, term, command }]);
  }
  machine.flushDurable();
  await machine.close();
  directory.switchTo(path);
  const metadata = { memberId: SELF, clusterId: "00000000000000cc" };
  const wal = await Wal.create(join(memberDir, "wal"), { metadata });
  await wal.save(source.entries, { term: 1, vote: "", commit: source.commit }, true);
  await wal.close();
  return join(folder, name);
}

/** Values of the client keys in a copy, with the index each was made at, and its members. */
async function readCopy(
  backupDir: string,
): Promise<{ keys: Record<string, number>; members: number; removed: number }> {
  const path = new StoreDirectory(join(backupDir, "member", "store")).current();
  assert.ok(path !== undefined);
  const kv = await RocksKv.open(path);
  const { reader } = await StateMachine.open({ kv, clock: SteadyClock.open(kv) });
  const keys = reader
    .peekChildren("/1")
    .map(({ key, createdIndex }) => [key.slice(3), createdIndex]);
  const members = reader.peekChildren("/0/members").length;
  const removed = reader.peekChildren("/0/removed_members").length;
  await kv.close();
  return { keys: Object.fromEntries(keys) as Record<string, number>, members, removed };
}

async function backup(dataDir: string, name: string): Promise<string> {
  const backupDir = join(folder, name);
  await backupDirectory({ dataDir, walDir: "", backupDir, backupWalDir: "" });
  return backupDir;
}

describe("a copy of a directory whose store lags its log", () => {
  const plain = [1, 2, 3, 4, 5].map((index) => setEntry(index, `k${index}`));

  test("has the committed entries of a cluster, and not those beyond", async () => {
    const source = { voters: [SELF, OTHER], entries: plain, commit: 4, applied: 2 };
    const copy = await readCopy(await backup(await makeSource("many", source), "many-copy"));
    assert.deepEqual(copy, { keys: { k1: 1, k2: 2, k3: 3, k4: 4 }, members: 1, removed: 0 });
  });

  test("has every entry of a member that was alone, since it may have been acknowledged", async () => {
    const source = { voters: [SELF], entries: plain, commit: 3, applied: 2 };
    const copy = await readCopy(await backup(await makeSource("alone", source), "alone-copy"));
    assert.deepEqual(Object.keys(copy.keys), ["k1", "k2", "k3", "k4", "k5"]);
  });

  test("counts changes of the membership as the server does, and keeps none of them", async () => {
    const entries = [
      setEntry(1, "k1"),
      memberEntry(2, OTHER, "addVoter"),
      setEntry(3, "k3"),
      memberEntry(4, OTHER, "remove"),
      setEntry(5, "k5"),
    ];
    const source = { voters: [SELF], entries, commit: 5, applied: 1 };
    const copy = await readCopy(await backup(await makeSource("conf", source), "conf-copy"));
    // One event for the addition, two for the removal.
    assert.deepEqual(copy, { keys: { k1: 1, k3: 3, k5: 6 }, members: 1, removed: 0 });
  });

  test("leaves out the changes of the membership that a server refuses", async () => {
    const taken = "http://127.0.0.1:12";
    const entries = [
      setEntry(1, "k1"),
      memberEntry(2, OTHER, "addVoter", taken),
      memberEntry(3, SELF, "addVoter"),
      memberEntry(4, "00000000000000cc", "addVoter", taken),
      memberEntry(5, OTHER, "addVoter", "http://127.0.0.1:15"),
      memberEntry(6, SELF, "update", taken),
      memberEntry(7, SELF, "addLearner"),
      setEntry(8, "k8"),
    ];
    const source = { voters: [SELF, OTHER], entries, commit: 8, applied: 1 };
    const copy = await readCopy(await backup(await makeSource("refused", source), "refused-copy"));
    // One event for each of the two that were added, none for the four after them.
    assert.deepEqual(copy, { keys: { k1: 1, k8: 4 }, members: 1, removed: 0 });
  });

  test("begins where the copied store ends, under ids of its own", async () => {
    const source = { voters: [SELF], entries: plain, commit: 5, applied: 5 };
    const dataDir = await makeSource("ids", source);
    const before = readdirSync(join(dataDir, "member", "wal")).sort();
    const copies = [await backup(dataDir, "ids-1"), await backup(dataDir, "ids-2")];
    assert.deepEqual(readdirSync(join(dataDir, "member", "wal")).sort(), before);
    const ids = copies.map((copy) => {
      const reading = readWal(join(copy, "member", "wal"));
      let step = reading.next();
      while (step.done !== true) step = reading.next();
      assert.equal(step.value?.marker?.snapshot.index, 6);
      return step.value.metadata.memberId;
    });
    assert.equal(new Set([...ids, SELF]).size, 3);
  });

  test("is not made of a log with damage in its middle, and leaves nothing behind", async () => {
    const entries = plain.slice(0, 3);
    const dataDir = await makeSource("damaged", { voters: [SELF], entries, commit: 3, applied: 1 });
    const walDir = join(dataDir, "member", "wal");
    const [segment = ""] = readdirSync(walDir).filter((name) => name.endsWith(".wal"));
    const bytes = readFileSync(join(walDir, segment));
    const place = bytes.indexOf("/1/k2");
    assert.ok(place > 0);
    bytes[place] = 0;
    writeFileSync(join(walDir, segment), bytes);
    await assert.rejects(backup(dataDir, "damaged-copy"), /walpb: crc mismatch: .* at offset \d+/);
    assert.equal(existsSync(join(folder, "damaged-copy", "member")), false);
    assert.deepEqual(readdirSync(join(folder, "damaged-copy")), []);
  });
});

describe("the plan of a restored cluster", () => {
  const options: PlanOptions = {
    name: "b",
    initialCluster: "a=http://10.0.0.1:2380,b=http://10.0.0.2:2380,b=http://10.0.0.2:7001",
    advertisePeerUrls: "",
    token: "t",
    origin: "12345678",
  };

  test("gives all members the same ids, whoever asks, and other data other ids", () => {
    const b = planCluster(options);
    const a = planCluster({ ...options, name: "a", advertisePeerUrls: "http://10.0.0.1:2380" });
    assert.deepEqual(a.members, b.members);
    assert.equal(a.clusterId, b.clusterId);
    assert.deepEqual(b.self.peerURLs, ["http://10.0.0.2:2380", "http://10.0.0.2:7001"]);
    assert.notEqual(a.self.id, b.self.id);
    for (const change of [{ origin: "87654321" }, { token: "u" }]) {
      const other = planCluster({ ...options, ...change });
      assert.notEqual(other.clusterId, b.clusterId);
      assert.notEqual(other.self.id, b.self.id);
    }
  });

  test("takes host names that only Go takes", () => {
    const initialCluster = "b=http://etcd.1:1,b=http://010.0.0.2:2/,b=http://[fe80::1%25lo]:3";
    assert.deepEqual(planCluster({ ...options, initialCluster }).self.peerURLs, [
      "http://010.0.0.2:2",
      "http://[fe80::1%25lo]:3",
      "http://etcd.1:1",
    ]);
  });

  test("is refused when its parts do not agree", () => {
    const cases: [Partial<PlanOptions>, RegExp][] = [
      [{ name: "c" }, /does not name the member "c"/],
      [{ advertisePeerUrls: "http://10.0.0.9:2380" }, /but --initial-advertise-peer-urls is/],
      [{ initialCluster: "b" }, /does not have the form "name=peerURL"/],
      [{ initialCluster: "b=ftp://10.0.0.2:1" }, /scheme must be http or https/],
      [{ initialCluster: "b=http://10.0.0.2" }, /"host:port"/],
      [{ initialCluster: "b=http://%41:1" }, /invalid URL escape "%41"/],
      [{ initialCluster: "b=http://10.0.0.2:1/p" }, /must not contain a path/],
      [{ initialCluster: "a=http://x:1,b=http://x:1" }, /is named twice/],
    ];
    for (const [change, words] of cases) {
      assert.throws(() => planCluster({ ...options, ...change }), words);
    }
  });
});
