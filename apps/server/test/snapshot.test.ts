/** Snapshots, restores and backups, of real servers that are written to meanwhile. */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { freePort, until } from "@etcd2/test-support";
import { ask, etcdctl, runToEnd, ServerProcess } from "./single-member/server-process.ts";

interface Node {
  readonly key: string;
  readonly value?: string;
  readonly nodes?: readonly Node[];
  readonly expiration?: string;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
}

const folder = mkdtempSync(join(tmpdir(), "etcd2-snapshot-"));
const at = (name: string): string => join(folder, name);
const running: ServerProcess[] = [];
let source: ServerProcess;

before(async () => {
  source = await ServerProcess.start();
  running.push(source);
});
after(async () => {
  for (const server of running) await server.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** A server on an existing directory. */
async function startOn(
  dataDir: string,
  peerUrl: string,
  extra: readonly string[],
): Promise<ServerProcess> {
  const server = new ServerProcess();
  running.push(server);
  server.clientUrl = `http://127.0.0.1:${await freePort()}`;
  server.flags = [
    ...["--data-dir", dataDir, "--listen-client-urls", server.clientUrl],
    ...["--advertise-client-urls", server.clientUrl, "--listen-peer-urls", peerUrl, ...extra],
  ];
  await server.spawn();
  return server;
}

async function startAlone(dataDir: string, extra: readonly string[] = []): Promise<ServerProcess> {
  return startOn(dataDir, `http://127.0.0.1:${await freePort()}`, extra);
}

async function run(...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runToEnd(etcdctl, args, folder);
  assert.equal(status, 0, stderr);
  return stdout;
}

async function refused(...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runToEnd(etcdctl, args, folder);
  assert.equal(status, 1, stderr);
  assert.equal(stdout, "");
  return stderr;
}

/** All nodes by key, directories included. */
async function treeOf(server: ServerProcess): Promise<ReadonlyMap<string, Node>> {
  const answer = await ask("GET", `${server.clientUrl}/v2/keys/?recursive=true&quorum=true`);
  assert.equal(answer.status, 200, answer.body);
  const found = new Map<string, Node>();
  const walk = ({ nodes, ...node }: Node): void => {
    found.set(node.key, node);
    for (const child of nodes ?? []) walk(child);
  };
  const { node } = JSON.parse(answer.body) as { node: Node };
  for (const child of node.nodes ?? []) walk(child);
  return found;
}

/** Writers that note what was acknowledged: key to value. */
class Load {
  readonly acknowledged = new Map<string, string>();
  readonly #writers: Promise<void>[];
  #ended = false;

  constructor(url: string, name: string) {
    const value = "v".repeat(1000);
    this.#writers = [0, 1, 2, 3].map(async (writer) => {
      for (let i = 0; !this.#ended; i += 1) {
        const key = `/load/${name}-${writer}-${i}`;
        const answer = await ask("PUT", `${url}/v2/keys${key}`, `value=${value}${i}`);
        assert.equal(answer.status, 201, answer.body);
        this.acknowledged.set(key, `${value}${i}`);
      }
    });
  }

  async reach(count: number): Promise<void> {
    await until(`${count} writes`, () => this.acknowledged.size >= count);
  }

  async end(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#writers);
  }
}

function assertHolds(tree: ReadonlyMap<string, Node>, wanted: ReadonlyMap<string, string>): void {
  for (const [key, value] of wanted) assert.equal(tree.get(key)?.value, value, key);
}

describe("a snapshot taken while the server is written to", () => {
  const file = at("snapshot.db");
  let acknowledged: ReadonlyMap<string, string>;
  let original: ReadonlyMap<string, Node>;

  before(async () => {
    const url = source.clientUrl;
    await ask("PUT", `${url}/v2/keys/lasting`, "value=x&ttl=1000");
    await ask("PUT", `${url}/v2/keys/fleeting`, "value=x&ttl=1");
    const load = new Load(url, "snapshot");
    await load.reach(200);
    acknowledged = new Map(load.acknowledged);
    const said = await run("--endpoints", url, "snapshot", "save", file);
    assert.match(said, /^Snapshot saved at .*snapshot\.db \(\d+ bytes\)\n$/);
    await load.reach(load.acknowledged.size + 20);
    await load.end();
    original = await treeOf(source);
  });

  test("is whole, and its status says what is in it", async () => {
    const report = JSON.parse(await run("snapshot", "status", file, "-w", "json")) as {
      hash: string;
      keys: number;
      bytes: number;
      etcdIndex: number;
    };
    assert.equal(report.bytes, readFileSync(file).length);
    assert.ok(report.keys >= acknowledged.size + 1);
    const { hash, etcdIndex, keys, bytes } = report;
    const simple = await run("snapshot", "status", file);
    assert.match(simple, new RegExp(`^${hash}, ${etcdIndex}, \\d+, ${keys}, ${bytes}\n$`));
    assert.match(await run("snapshot", "status", file, "-w", "table"), /HASH.*ETCD INDEX.*KEYS/);
  });

  test("restores to a server of its own with the same keys, indexes and lives", async () => {
    assert.match(await run("snapshot", "restore", file, "--data-dir", at("one")), /of one member/);
    await until("the short life is over", async () => {
      const answer = await ask("GET", `${source.clientUrl}/v2/keys/fleeting`);
      return answer.status === 404;
    });
    const server = await startAlone(at("one"));
    await until("what has expired is gone", async () => {
      const answer = await ask("GET", `${server.clientUrl}/v2/keys/fleeting`);
      return answer.status === 404;
    });
    const tree = await treeOf(server);
    assertHolds(tree, acknowledged);
    const indexOf = (key: string): number => original.get(key)?.modifiedIndex ?? 0;
    for (const [key, { modifiedIndex, createdIndex, expiration }] of tree) {
      assert.equal(modifiedIndex, indexOf(key), key);
      assert.equal(createdIndex, original.get(key)?.createdIndex, key);
      assert.equal(expiration, original.get(key)?.expiration, key);
    }
    assert.notEqual(tree.get("/lasting")?.expiration, undefined);
    const written = await ask("PUT", `${server.clientUrl}/v2/keys/new`, "value=1");
    assert.equal(written.status, 201);
    const { headers } = written;
    const before = (await ask("GET", `${source.clientUrl}/v2/keys/`)).headers;
    assert.notEqual(headers["x-etcd-cluster-id"], before["x-etcd-cluster-id"]);
    await server.dispose();
  });

  test("restores to a cluster of three", { timeout: 60_000 }, async () => {
    const names = ["a", "b", "c"];
    const urls = await Promise.all(names.map(async () => `http://127.0.0.1:${await freePort()}`));
    const cluster = names.map((name, i) => `${name}=${urls[i] ?? ""}`).join(",");
    for (const name of names) {
      const place = ["--data-dir", at(name), "--name", name, "--initial-cluster", cluster];
      assert.match(await run("snapshot", "restore", file, ...place), /of 3 members/);
    }
    const servers = await Promise.all(
      names.map((name, i) => startOn(at(name), urls[i] ?? "", ["--name", name])),
    );
    const [first, , third] = servers;
    assert.ok(first !== undefined && third !== undefined);
    await until("a write is agreed on", async () => {
      const answer = await ask("PUT", `${first.clientUrl}/v2/keys/agreed`, "value=1");
      return answer.status < 300;
    });
    const tree = await treeOf(third);
    assertHolds(tree, acknowledged);
    assert.equal(tree.get("/agreed")?.value, "1");
    const members = await ask("GET", `${third.clientUrl}/v2/members`);
    assert.equal((JSON.parse(members.body) as { members: unknown[] }).members.length, 3);
    for (const server of servers) await server.dispose();
  });

  test("is refused when it was cut or altered, and when the place is taken", async () => {
    const whole = readFileSync(file);
    const altered = Buffer.from(whole);
    const middle = altered.length >> 1;
    altered[middle] = (altered[middle] ?? 0) ^ 1;
    const bad: [string, Buffer][] = [
      ["cut.db", whole.subarray(0, -1)],
      ["altered.db", altered],
      ["longer.db", Buffer.concat([whole, Buffer.of(0)])],
      ["empty.db", Buffer.alloc(0)],
    ];
    for (const [name, bytes] of bad) {
      writeFileSync(at(name), bytes);
      assert.match(await refused("snapshot", "status", at(name)), /the snapshot is damaged/);
      const words = await refused("snapshot", "restore", at(name), "--data-dir", at("none"));
      assert.match(words, /the snapshot is damaged/, name);
      assert.equal(existsSync(at("none")), false);
    }
    assert.match(
      await refused("snapshot", "status", at("nothing.db")),
      /no such file or directory/,
    );
    const taken = await refused("snapshot", "restore", file, "--data-dir", folder);
    assert.match(taken, /exists and is not empty/);
  });
});

describe("a backup of a directory", () => {
  test("in use holds all that was acknowledged before it", async () => {
    const load = new Load(source.clientUrl, "backup");
    await load.reach(200);
    const acknowledged = new Map(load.acknowledged);
    const places = ["--data-dir", source.dataDir, "--backup-dir", at("live")];
    assert.equal(await run("backup", ...places), "");
    await load.end();
    const server = await startAlone(at("live"), ["--force-new-cluster"]);
    const [tree, original] = [await treeOf(server), await treeOf(source)];
    assertHolds(tree, acknowledged);
    for (const [key, node] of tree)
      assert.deepEqual({ ...node, ttl: 0 }, { ...original.get(key), ttl: 0 });
    assert.equal((await ask("PUT", `${server.clientUrl}/v2/keys/new`, "value=1")).status, 201);
    await server.dispose();
    const again = await refused("backup", ...places);
    assert.match(again, /file already exists/);
  });

  test("of a killed server holds all keys, with the log in a place of its own", async () => {
    const load = new Load(source.clientUrl, "killed");
    await load.reach(100);
    await load.end();
    const original = await treeOf(source);
    await source.kill("SIGKILL");
    const wal = at("elsewhere-wal");
    const places = ["--backup-dir", at("stopped"), "--backup-wal-dir", wal];
    assert.equal(await run("backup", "--data-dir", source.dataDir, ...places), "");
    assert.equal(existsSync(join(at("stopped"), "member", "wal")), false);
    const server = await startAlone(at("stopped"), ["--force-new-cluster", "--wal-dir", wal]);
    const tree = await treeOf(server);
    assert.deepEqual([...tree.keys()], [...original.keys()]);
    assertHolds(tree, load.acknowledged);
    await server.dispose();
  });

  test("is refused for what is no directory of this server, with the way out", async () => {
    const from = (dir: string): readonly string[] => ["--data-dir", dir, "--backup-dir", at("no")];
    assert.match(await refused("backup", ...from(at("nowhere"))), /no such file or directory/);
    const old = at("old");
    cpSync(join(source.dataDir, "member", "wal"), join(old, "member", "wal"), { recursive: true });
    const words = await refused("backup", ...from(old));
    assert.ok(words.includes(`etcd-migrate --data-dir ${old} --target`), words);
    assert.equal(existsSync(at("no")), false);
  });
});
