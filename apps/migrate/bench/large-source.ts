/**
 * Writes a large directory as an old server would leave it, to measure imports with:
 *
 *   large-source.ts DIRECTORY etcd2|etcd04 ENTRIES VALUE_BYTES DISTINCT_KEYS [snapshot]
 *
 * With "snapshot" (etcd2) all keys are in a snapshot file and the log only holds a few entries.
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { crc32c } from "../src/crc32c.ts";
import {
  bytesField,
  confChange,
  numberField,
  OldWalWriter,
  record04,
  request,
  varint,
} from "../test/support/old-formats.ts";

const [directory = "", kind = "", entries = "0", bytes = "0", distinct = "0", mode = ""] =
  process.argv.slice(2);
const entryCount = Number(entries);
const valueBytes = Number(bytes);
const distinctKeys = Number(distinct);
const MEMBER = 0xa1b2n;
const peerURLs = ["http://localhost:2380"];

function keyOf(i: number): string {
  const n = (i * 7919) % distinctKeys;
  return `/dir${n % 1000}/key${n}`;
}

function valueOf(i: number): string {
  return `${i}`.padEnd(valueBytes, "abcdefghijklmnop");
}

function writeLog2(from: number, count: number, member: string): void {
  const wal = new OldWalWriter({ directory: join(member, "wal"), memberId: MEMBER });
  let index = from;
  let size = 0;
  const entry = (data: Buffer, type = 0): void => {
    wal.entry(++index, 2, data, type);
    size += data.length;
    if (size > 64_000_000) {
      wal.cut(index + 1);
      size = 0;
    }
  };
  if (from === 0) {
    entry(confChange(0, MEMBER, { id: 0, peerURLs, name: "m" }), 1);
    entry(request({ method: "PUT", path: "/0/version", value: "2.3.0" }));
  } else wal.snapshotMark(from, 2);
  for (let i = 0; i < count; i++) {
    entry(request({ method: "PUT", path: `/1${keyOf(i)}`, value: valueOf(i) }));
    if (i % 5000 === 0) {
      const timeNs = 1_700_000_000_000_000_000n + BigInt(i) * 1_000_000n;
      entry(request({ method: "SYNC", timeNs }));
    }
  }
  wal.state(2, MEMBER, index);
  wal.close();
}

/** A snapshot of distinct keys, streamed to disk. */
function writeSnapshot(member: string, index: number): void {
  const path = join(
    member,
    "snap",
    `${"2".padStart(16, "0")}-${index.toString(16).padStart(16, "0")}.snap`,
  );
  mkdirSync(join(member, "snap"), { recursive: true });
  const pieces: string[] = [];
  const node = (p: string, rest: string): string =>
    `{"Path":"${p}","CreatedIndex":3,"ModifiedIndex":3,"ExpireTime":"0001-01-01T00:00:00Z",${rest}}`;
  const byDirectory = new Map<number, number[]>();
  for (let n = 0; n < distinctKeys; n++) {
    const list = byDirectory.get(n % 1000);
    if (list === undefined) byDirectory.set(n % 1000, [n]);
    else list.push(n);
  }
  const member0 = `"0":${node("/0", `"Value":"","Children":{"members":${node("/0/members", `"Value":"","Children":{"a1b2":${node("/0/members/a1b2", `"Value":"","Children":{"raftAttributes":${node("/0/members/a1b2/raftAttributes", `"Value":${JSON.stringify(JSON.stringify({ peerURLs }))},"Children":null`)}}`)}}`)},"version":${node("/0/version", '"Value":"2.3.0","Children":null')}}`)}`;
  pieces.push(
    `{"Root":{"Path":"/","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{${member0},"1":{"Path":"/1","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{`,
  );
  let firstDir = true;
  for (const [d, list] of [...byDirectory].sort(([a], [b]) => (`dir${a}` < `dir${b}` ? -1 : 1))) {
    const children = list
      .map(
        (n) => `"key${n}":${node(`/1/dir${d}/key${n}`, `"Value":"${valueOf(n)}","Children":null`)}`,
      )
      .join(",");
    pieces.push(
      `${firstDir ? "" : ","}"dir${d}":${node(`/1/dir${d}`, `"Value":"","Children":{${children}}`)}`,
    );
    firstDir = false;
  }
  pieces.push(
    `}}}},"WatcherHub":{"EventHistory":{"Queue":{"Events":[]}}},"CurrentIndex":${distinctKeys + 3},"CurrentVersion":2}`,
  );
  const metadata = bytesField(
    2,
    Buffer.concat([
      bytesField(1, numberField(1, MEMBER)),
      numberField(2, index),
      numberField(3, 2),
    ]),
  );
  const json = pieces.map((piece) => Buffer.from(piece, "latin1"));
  const jsonBytes = json.reduce((sum, piece) => sum + piece.length, 0);
  const data = [Buffer.of(0x0a), varint(jsonBytes), ...json, metadata];
  const dataBytes = data.reduce((sum, piece) => sum + piece.length, 0);
  const crc = data.reduce((sum, piece) => crc32c(piece, sum), 0);
  const fd = openSync(path, "w");
  for (const piece of [numberField(1, crc), Buffer.of(0x12), varint(dataBytes), ...data]) {
    writeSync(fd, piece);
  }
  closeSync(fd);
}

function write04(): void {
  mkdirSync(join(directory, "snapshot"), { recursive: true });
  writeFileSync(join(directory, "conf"), '{"commitIndex":1,"peers":[]}');
  const fd = openSync(join(directory, "log"), "w");
  const expireTime = "0001-01-01T00:00:00Z";
  let index = 0;
  let pieces: Buffer[] = [];
  const add = (name: string, command: unknown): void => {
    pieces.push(record04(++index, name, command));
    if (pieces.length < 1000) return;
    writeSync(fd, Buffer.concat(pieces));
    pieces = [];
  };
  add("etcd:join", {
    name: "m",
    raftURL: "http://localhost:7001",
    etcdURL: "http://localhost:4001",
  });
  for (let i = 0; i < entryCount; i++) {
    add("etcd:set", { key: keyOf(i), value: valueOf(i), expireTime, dir: false });
  }
  writeSync(fd, Buffer.concat(pieces));
  closeSync(fd);
}

const member = join(directory, "member");
if (kind === "etcd04") write04();
else if (mode === "snapshot") {
  writeSnapshot(member, 1000);
  writeLog2(1000, entryCount, member);
} else {
  mkdirSync(join(member, "snap"), { recursive: true });
  writeLog2(0, entryCount, member);
}
