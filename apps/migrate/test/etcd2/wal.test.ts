import assert from "node:assert/strict";
import {
  copyFileSync,
  readFileSync,
  renameSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { describe, it } from "node:test";
import { MigrateError } from "../../src/errors.ts";
import { decodeConfChange } from "../../src/etcd2/conf-change.ts";
import { decodeRequest } from "../../src/etcd2/request.ts";
import { chooseSegments, listSegments } from "../../src/etcd2/segments.ts";
import { checkSnapshot, chooseSnapshot } from "../../src/etcd2/snapshot.ts";
import { effectiveEntries } from "../../src/etcd2/wal-entries.ts";
import type { WalScan } from "../../src/etcd2/wal-scan.ts";
import { scanWal } from "../../src/etcd2/wal-scan.ts";
import type { Notice } from "../../src/notices.ts";
import {
  bytesField,
  confChange,
  numberField,
  OldWalWriter,
  request,
  writeSnapshot2,
} from "../support/old-formats.ts";
import { TempDir } from "../support/temp-dir.ts";

const quiet = (): void => undefined;

function scan(directory: string, options: { index?: number; skipCorrupt?: boolean } = {}): WalScan {
  const index = options.index ?? 0;
  const segments = chooseSegments(listSegments(directory, quiet), index, directory);
  return scanWal(segments, {
    snapshot: { index, term: 1 },
    skipCorrupt: options.skipCorrupt ?? false,
  });
}

function indexes(found: WalScan, after = 0): readonly string[] {
  return [...effectiveEntries(found, after)].map(({ entry }) => `${entry.index}@${entry.term}`);
}

function put(value: string): Buffer {
  return request({ method: "PUT", path: "/1/k", value });
}

/** Ten entries at term 1, all but the last committed. */
function tenEntries(directory: string, preallocateBytes?: number): OldWalWriter {
  const wal = new OldWalWriter({
    directory,
    ...(preallocateBytes === undefined ? {} : { preallocateBytes }),
  });
  for (let i = 1; i <= 10; i++) {
    wal.entry(i, 1, put(`value ${i}`));
    wal.state(1, 0xa1n, i - 1);
  }
  return wal;
}

function refused(code: MigrateError["code"], text: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof MigrateError, String(error));
    assert.equal(error.code, code);
    assert.match(error.describe(), text);
    return true;
  };
}

describe("a write-ahead log", () => {
  it("is read from end to end", () => {
    using dir = new TempDir();
    tenEntries(dir.path).close();
    const found = scan(dir.path);
    assert.equal(found.lastIndex, 10);
    assert.equal(found.state?.commit, 9);
    assert.equal(found.metadata.memberId, "00000000000000a1");
    assert.equal(found.tail, undefined);
    assert.equal(indexes(found).length, 10);
  });

  it("is read over several segments, from the one a snapshot needs", () => {
    using dir = new TempDir();
    const wal = new OldWalWriter({ directory: dir.path });
    for (let i = 1; i <= 30; i++) {
      if (i % 10 === 1 && i > 1) wal.cut(i);
      wal.entry(i, 1, put("x"));
    }
    wal.state(1, 1n, 30);
    wal.close();
    assert.deepEqual(indexes(scan(dir.path)).length, 30);
    const behind = scan(dir.path, { index: 25 });
    assert.equal(behind.segments.length, 1);
    assert.deepEqual(indexes(behind, 25), ["26@1", "27@1", "28@1", "29@1", "30@1"]);
  });

  it("drops what a later entry replaced, and all behind it", () => {
    using dir = new TempDir();
    const wal = new OldWalWriter({ directory: dir.path });
    for (let i = 1; i <= 6; i++) wal.entry(i, 1, put("old"));
    wal.state(2, 1n, 3);
    wal.entry(5, 2, put("new"));
    wal.entry(6, 2, put("new"));
    wal.entry(7, 2, put("new"));
    wal.entry(4, 3, put("newest"));
    wal.state(3, 1n, 4);
    wal.close();
    const found = scan(dir.path);
    assert.deepEqual(indexes(found), ["1@1", "2@1", "3@1", "4@3"]);
    assert.equal(found.lastIndex, 4);
  });

  it("refuses an entry that replaces a committed one", () => {
    using dir = new TempDir();
    const wal = tenEntries(dir.path);
    wal.entry(5, 2, put("x"));
    wal.close();
    assert.throws(() => scan(dir.path), refused("corrupt", /replaces a committed/));
  });

  it("loses only the last record when the end is cut at any byte, and says so", () => {
    using dir = new TempDir();
    const wal = tenEntries(dir.path);
    const path = wal.path;
    wal.close();
    const before = readFileSync(path);
    const ends = recordEnds(before);
    for (let size = before.length - 1; size > before.length - 120; size--) {
      copyAndCut(path, dir.at("copy"), size);
      const found = scan(dir.at("copy"));
      assert.ok(found.lastIndex >= 8);
      assert.equal(found.tail === undefined, ends.has(size), `cut to ${size} bytes`);
    }
  });

  it("takes zeros at the end as unused space, with a notice where none was preallocated", () => {
    using dir = new TempDir();
    const wal = tenEntries(dir.path);
    const path = wal.path;
    wal.close();
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(1000)]));
    const found = scan(dir.path);
    assert.equal(found.lastIndex, 10);
    assert.equal(found.tail?.kind, "zeroFilled");
    assert.equal(found.tail.bytes, 1000);
  });

  it("reads 3.x padding and preallocated files", () => {
    using dir = new TempDir();
    tenEntries(dir.path, 64_000).close();
    const found = scan(dir.path);
    assert.equal(found.lastIndex, 10);
    assert.equal(indexes(found).length, 10);
  });

  it("takes a record whose last sector never arrived as torn", () => {
    using dir = new TempDir();
    const wal = tenEntries(dir.path, 64_000_000);
    const path = wal.path;
    wal.entry(11, 1, put("v".repeat(3000)));
    wal.close();
    const bytes = readFileSync(path);
    const end = bytes.lastIndexOf("v") + 20;
    bytes.fill(0, Math.floor((end - 700) / 512) * 512, end + 20);
    writeFileSync(path, bytes);
    const found = scan(dir.path);
    assert.equal(found.lastIndex, 10);
    assert.equal(found.tail?.kind, "cutShort");
  });

  it("refuses a flipped byte anywhere before the last record, with file and offset", () => {
    using dir = new TempDir();
    const wal = tenEntries(dir.path);
    const path = wal.path;
    wal.close();
    const good = readFileSync(path);
    let refusals = 0;
    for (let at = 0; at < good.length - 40; at++) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 0x41;
      writeFileSync(path, bad);
      assert.throws(
        () => scan(dir.path),
        (error: unknown) => {
          assert.ok(error instanceof MigrateError, String(error));
          assert.equal(error.file, path);
          refusals++;
          return true;
        },
      );
    }
    assert.ok(refusals > 300);
  });

  it("refuses a segment that is missing, empty, cut or of another member", () => {
    using dir = new TempDir();
    const wal = new OldWalWriter({ directory: dir.path });
    const paths = [wal.path];
    for (let i = 1; i <= 30; i++) {
      if (i % 10 === 1 && i > 1) {
        wal.cut(i);
        paths.push(wal.path);
      }
      wal.entry(i, 1, put("x"));
    }
    wal.close();
    const [first = "", middle = "", last = ""] = paths;
    renameSync(middle, dir.at("aside"));
    assert.throws(() => scan(dir.path), refused("missing", /sequence 2 follows 0/));
    writeFileSync(middle, "");
    assert.throws(() => scan(dir.path), refused("corrupt", /empty/));
    copyFileSync(dir.at("aside"), middle);
    truncateSync(middle, readFileSync(middle).length - 3);
    assert.throws(() => scan(dir.path), refused("corrupt", /cut short, but newer/));
    copyFileSync(dir.at("aside"), middle);
    unlinkSync(first);
    assert.throws(() => scan(dir.path), refused("missing", /begins at raft index 11/));
    unlinkSync(middle);
    unlinkSync(last);
    assert.throws(() => scan(dir.path), refused("missing", /no log file/));
  });

  it("refuses a log that ends before what it says was committed", () => {
    using dir = new TempDir();
    const wal = tenEntries(dir.path);
    wal.state(1, 1n, 12);
    wal.close();
    assert.throws(() => scan(dir.path), refused("missing", /ends at entry 10, but 12/));
    const found = scan(dir.path, { skipCorrupt: true });
    assert.equal(found.lastIndex, 10);
    assert.ok(found.damage !== undefined);
  });

  it("gives what precedes damage when told to skip it", () => {
    using dir = new TempDir();
    const wal = tenEntries(dir.path);
    const path = wal.path;
    wal.close();
    const bytes = readFileSync(path);
    const at = bytes.indexOf("value 6");
    bytes[at] = 0x58;
    writeFileSync(path, bytes);
    const found = scan(dir.path, { skipCorrupt: true });
    assert.equal(found.damage?.code, "corrupt");
    assert.deepEqual(indexes(found), ["1@1", "2@1", "3@1", "4@1", "5@1"]);
  });

  it("reads rc.1 logs, which have no snapshot records", () => {
    using dir = new TempDir();
    const wal = new OldWalWriter({ directory: dir.path, withSnapshotMark: false });
    wal.state(1, 1n, 0);
    wal.entry(1, 1, put("x"));
    wal.close();
    const found = scan(dir.path);
    assert.equal(found.hasSnapshotMarks, false);
    assert.equal(found.lastIndex, 1);
  });

  it("finds the cluster version that stands in the end", () => {
    using dir = new TempDir();
    const wal = new OldWalWriter({ directory: dir.path });
    const version = (value: string): Buffer =>
      request({ method: "PUT", path: "/0/version", value });
    wal.entry(1, 1, version("2.1.0"));
    wal.entry(2, 1, version("2.3.0"));
    wal.entry(2, 2, put("replaced"));
    wal.close();
    assert.equal(scan(dir.path).clusterVersion, "2.1.0");
  });
});

describe("an entry", () => {
  it("is told apart as v2 or v3", () => {
    const v2 = decodeRequest(request({ method: "PUT", path: "/1/a", value: "b", prevExist: true }));
    assert.ok(v2.kind === "v2");
    assert.equal(v2.prevExist, true);
    const v3 = Buffer.concat([
      bytesField(4, bytesField(1, "key")),
      bytesField(100, numberField(1, 9)),
    ]);
    assert.equal(decodeRequest(v3).kind, "v3");
    const wrapped = bytesField(2, request({ method: "DELETE", path: "/1/a" }));
    assert.equal(decodeRequest(wrapped).kind, "v2");
  });

  it("of 3.5 may carry member attributes or the cluster version", () => {
    const attributes = Buffer.concat([
      numberField(1, 0xabn),
      bytesField(2, Buffer.concat([bytesField(1, "m1"), bytesField(2, "http://a:1")])),
    ]);
    assert.deepEqual(decodeRequest(bytesField(1301, attributes)), {
      kind: "memberAttributes",
      memberId: "00000000000000ab",
      name: "m1",
      clientUrls: ["http://a:1"],
    });
    const version = decodeRequest(bytesField(1300, bytesField(1, "3.5.0")));
    assert.deepEqual(version, { kind: "clusterVersion", version: "3.5.0" });
  });

  it("keeps refresh and negative expirations", () => {
    const decoded = decodeRequest(
      request({ method: "PUT", path: "/1/a", refresh: true, expirationNs: -7n }),
    );
    assert.ok(decoded.kind === "v2");
    assert.equal(decoded.refresh, true);
    assert.equal(decoded.expirationNs, -7n);
  });

  it("may change the membership", () => {
    const context = {
      id: 18446744073709551615n.toString(),
      peerURLs: ["http://b:2", "http://a:1"],
      name: "infra0",
    };
    const change = decodeConfChange(confChange(0, 0xffffffffffffffffn, context));
    assert.deepEqual(change, {
      kind: "add",
      memberId: "ffffffffffffffff",
      peerUrls: ["http://b:2", "http://a:1"],
      name: "infra0",
      isPromotion: false,
      isLearner: false,
    });
    assert.equal(decodeConfChange(confChange(1, 1n)).kind, "remove");
    assert.equal(decodeConfChange(confChange(3, 1n, { peerURLs: [] })).isLearner, true);
  });
});

describe("a snapshot", () => {
  const store = { Root: { Path: "/", Children: {} }, CurrentIndex: 5 };

  it("is chosen newest first, stepping over damaged ones with a notice", () => {
    using dir = new TempDir();
    writeSnapshot2(dir.path, { index: 10, term: 2 }, [1n], store);
    const newest = writeSnapshot2(dir.path, { index: 20, term: 2 }, [1n, 2n], store);
    const snapshot = chooseSnapshot(dir.path, quiet).snapshot;
    assert.equal(snapshot?.index, 20);
    assert.deepEqual(snapshot.voters, ["0000000000000001", "0000000000000002"]);
    const bytes = readFileSync(newest);
    for (let at = 0; at < bytes.length; at++) {
      const bad = Buffer.from(bytes);
      bad[at] = (bad[at] ?? 0) ^ 1;
      writeFileSync(newest, bad);
      const notices: Notice[] = [];
      const choice = chooseSnapshot(dir.path, (notice) => notices.push(notice));
      assert.equal(choice.snapshot?.index, 10);
      assert.equal(notices[0]?.code, "damagedSnapshot");
    }
    for (let size = 0; size < bytes.length; size++) {
      writeFileSync(newest, bytes.subarray(0, size));
      assert.throws(() => checkSnapshot(newest), MigrateError);
    }
  });
});

/** Offsets at which a record ends. */
function recordEnds(bytes: Buffer): ReadonlySet<number> {
  const ends = new Set<number>();
  for (let at = 0; at < bytes.length; ends.add(at)) at += 8 + bytes.readUInt32LE(at);
  return ends;
}

function copyAndCut(path: string, directory: string, size: number): void {
  const wal = new OldWalWriter({ directory });
  wal.close();
  writeFileSync(wal.path, readFileSync(path).subarray(0, size));
}
