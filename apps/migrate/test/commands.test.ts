import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { Wal } from "@etcd2/raft/wal";
import { StoreDirectory } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import { runCli, startCli } from "./support/cli.ts";
import { expectedKeys, expectedOf, UnpackedFixture } from "./support/fixtures.ts";
import { hashTree } from "./support/hash-tree.ts";
import { TempDir } from "./support/temp-dir.ts";

interface Exported {
  readonly format: string;
  readonly etcdIndex: number;
  readonly nodes: readonly {
    readonly space: string;
    readonly key: string;
    readonly value?: string;
    readonly dir?: boolean;
    readonly expiration?: string;
    readonly createdIndex: number;
    readonly modifiedIndex: number;
  }[];
}

async function exportJson(directory: string): Promise<Exported> {
  const { status, stdout, stderr } = await runCli("export", "--data-dir", directory);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Exported;
}

/** The keys of an export as fixtures state them. */
function keysOf(exported: Exported): object {
  return Object.fromEntries(
    exported.nodes
      .filter(({ space }) => space === "keys")
      .map(({ key, value, dir, expiration, createdIndex, modifiedIndex }) => [
        key,
        {
          value,
          dir: dir ?? false,
          createdIndex,
          modifiedIndex,
          expiration: expiration?.replace("Z", "").padEnd(20, ".").padEnd(23, "0"),
        },
      ]),
  );
}

function assertOneLine(stderr: string): void {
  assert.match(stderr, /^etcd-migrate: [^\n]+\n$/);
}

describe("import", () => {
  for (const name of ["2.3.8-snapshot", "2.0.0-rc.1-wal", "0.4.9-ttl-create"]) {
    it(`of ${name} writes a directory that holds what the old server showed`, async () => {
      using fixture = new UnpackedFixture(name);
      const target = join(fixture.root, "target");
      const before = hashTree(fixture.directory);
      const { status, stdout, stderr } = await runCli(
        ...["-data-dir", fixture.directory, "-target", target],
        ...["-name", "infra0", "-output", "json"],
      );
      assert.equal(status, 0, stderr);
      assert.equal(hashTree(fixture.directory), before, "the source was changed");
      const report = JSON.parse(stdout) as { keys: number; members: { name: string }[] };
      assert.equal(report.members[0]?.name, "infra0");
      const exported = await exportJson(target);
      assert.deepEqual(keysOf(exported), Object.fromEntries(expectedKeys(expectedOf(name))));
      assert.equal(
        report.keys,
        exported.nodes.filter(({ space, dir }) => space === "keys" && dir !== true).length,
      );
      const verified = await runCli("verify", "--data-dir", target);
      assert.equal(verified.status, 0, verified.stdout + verified.stderr);
      assert.match(verified.stdout, /nothing is wrong/);
      assert.deepEqual(readdirSync(fixture.root).sort(), ["data", "target"]);
    });
  }

  it("that is refused leaves no target and says one line", async () => {
    using fixture = new UnpackedFixture("2.3.8-corrupt");
    const target = join(fixture.root, "target");
    const refused = await runCli("--data-dir", fixture.directory, "--target", target);
    assert.equal(refused.status, 1);
    assertOneLine(refused.stderr);
    assert.match(refused.stderr, /\.wal: offset 7594: .*checksum/);
    assert.deepEqual(readdirSync(fixture.root), ["data"]);
    const taken = await runCli(
      ...["--data-dir", fixture.directory, "--target", target, "--skip-corrupt"],
    );
    assert.equal(taken.status, 0);
    assert.match(taken.stderr, /offset 7594: .*everything from there on is left out/);
    assert.match(taken.stdout, /skipped .*left out/);
    assert.ok(existsSync(join(target, "member", "store", "CURRENT")));
  });

  it("into an empty folder that exists uses it, and never one that holds anything", async () => {
    using fixture = new UnpackedFixture("2.3.8-wal");
    const target = join(fixture.root, "target");
    mkdirSync(join(target, "member.tmp-killed"), { recursive: true });
    const args = ["--data-dir", fixture.directory, "--target", target];
    assert.equal((await runCli(...args)).status, 0);
    assert.deepEqual(readdirSync(target), ["member"]);
    const before = hashTree(target);
    const again = await runCli(...args);
    assert.equal(again.status, 1);
    assert.match(again.stderr, /is not empty/);
    assert.equal(hashTree(target), before);
  });

  it("says how the member is started, and what the others of its cluster need", async () => {
    using alone = new UnpackedFixture("2.3.8-wal");
    const target = join(alone.root, "the target");
    const single = await runCli("--data-dir", alone.directory, "--target", target);
    assert.match(single.stdout, /^next +etcd --name \S+ --data-dir '.*\/the target', with/m);
    assert.doesNotMatch(single.stdout, /--force-new-cluster/);
    using one = new UnpackedFixture("2.3.8-cluster-member");
    const words = ["--data-dir", one.directory, "--target", join(one.root, "target")];
    const { stdout } = await runCli(...words);
    assert.match(stdout, /^next .*majority of the 3 members .* --force-new-cluster once$/m);
  });

  it("is what a word that names no command is told beside the other commands", async () => {
    const { status, stderr } = await runCli("verfy", "--data-dir", "x");
    assert.equal(status, 2);
    assert.match(stderr, /^etcd-migrate: unknown command "verfy": use import, verify, .*--help\n$/);
  });

  it("completes commands, options and what they take", async () => {
    const last = async (...words: string[]): Promise<string[]> =>
      (await runCli("__complete", ...words)).stdout.trimEnd().split("\n");
    assert.deepEqual(
      (await last("ver")).map((line) => line.split("\t")[0]),
      ["verify", ":"],
    );
    assert.deepEqual(await last("import", "--data-dir", ""), [": directories"]);
    assert.match((await last("to-v3", "--pass"))[0] ?? "", /^--password-file\t/);
    assert.match((await last("--dry"))[0] ?? "", /^--dry-run\t/);
    assert.match((await runCli("completion", "fish")).stdout, /complete -c etcd-migrate/);
    assert.equal((await runCli("completion", "tcsh")).status, 2);
  });

  it("as a dry run says the same and writes nothing", async () => {
    using fixture = new UnpackedFixture("2.3.8-wal");
    const target = join(fixture.root, "target");
    const args = ["--data-dir", fixture.directory, "--target", target, "--dry-run"];
    const { status, stdout } = await runCli(...args);
    assert.equal(status, 0);
    assert.match(stdout, /27 keys and 15 directories/);
    assert.match(stdout, /nothing written/);
    assert.doesNotMatch(stdout, /^next/m);
    assert.deepEqual(readdirSync(fixture.root), ["data"]);
    mkdirSync(target);
    writeFileSync(join(target, "letter.txt"), "");
    assert.equal((await runCli(...args)).status, 1);
  });

  it("in place puts a member folder beside the old files, once", async () => {
    using fixture = new UnpackedFixture("0.4.9-log");
    const before = readdirSync(fixture.directory);
    const { status, stderr } = await runCli("-data-dir", fixture.directory);
    assert.equal(status, 0, stderr);
    assert.deepEqual(readdirSync(fixture.directory).sort(), [...before, "member"].sort());
    const again = await runCli("-data-dir", fixture.directory);
    assert.equal(again.status, 1);
    assert.match(again.stderr, /directory of this server/);
  });

  it("in place is refused where the member folder is the old server's", async () => {
    using fixture = new UnpackedFixture("2.3.8-wal");
    const { status, stderr } = await runCli("-data-dir", fixture.directory);
    assert.equal(status, 2);
    assert.match(stderr, /cannot be converted in place .*--target/);
  });

  it("tells of v3 keys that stay behind, and reads a log that lies elsewhere", async () => {
    using fixture = new UnpackedFixture("3.4.23-v2");
    const logs = join(fixture.root, "logs");
    renameSync(join(fixture.directory, "member", "wal"), logs);
    const target = join(fixture.root, "target");
    const args = ["--data-dir", fixture.directory, "--target", target];
    assert.match((await runCli(...args)).stderr, /no log.*--wal-dir/);
    const { status, stderr } = await runCli(...args, "--wal-dir", logs);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /v3 store with 5 keys .*NOT carried over/);
    assert.match(stderr, /cluster version 3\.4\.0 becomes 2\.3\.0/);
    const { nodes } = await exportJson(target);
    assert.equal(nodes.find(({ key }) => key === "/version")?.value, "2.3.0");
  });

  it("ends on a signal without leaving anything", async () => {
    using fixture = new UnpackedFixture("2.3.8-segments");
    const target = join(fixture.root, "target");
    const { child, ended } = startCli(["--data-dir", fixture.directory, "--target", target]);
    const deadline = Date.now() + 20_000;
    while (!readdirSync(fixture.root).some((name) => name.startsWith(".target.tmp-"))) {
      assert.ok(Date.now() < deadline && child.exitCode === null, "the import never began");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    child.kill("SIGINT");
    const { status } = await ended;
    // It may have been through already; what it must not do is leave half of it.
    assert.ok(status === 130 || status === 0);
    assert.deepEqual(readdirSync(fixture.root), status === 0 ? ["data", "target"] : ["data"]);
  });
});

describe("the command line", () => {
  it("answers mistakes with one line and a status", async () => {
    const cases: readonly (readonly [number, RegExp, readonly string[]])[] = [
      [1, /Must provide -data-dir flag/, []],
      [1, /does not exist/, ["-data-dir", "/nonexistent/data"]],
      [2, /unknown option/, ["--frobnicate"]],
      [2, /--output must be text or json/, ["--data-dir", "/x", "--output", "yaml"]],
      [2, /--format must be one of/, ["export", "--data-dir", "/x", "--format", "xml"]],
      [2, /required option '--from/, ["mirror"]],
      [2, /is no http or https URL/, ["mirror", "--from", "ftp://a", "--to", "http://b"]],
    ];
    for (const [status, text, args] of cases) {
      const ended = await runCli(...args);
      assert.equal(ended.status, status, args.join(" "));
      assert.match(ended.stderr, text);
      assertOneLine(ended.stderr);
    }
  });

  it("does not complain when the reader of its output leaves early", async () => {
    const { child, ended } = startCli(["--help"]);
    child.stdout?.destroy();
    const { status, stderr } = await ended;
    assert.deepEqual([status, stderr], [141, ""]);
  });

  it("shows help and version", async () => {
    const help = await runCli("--help");
    assert.equal(help.status, 0);
    for (const command of ["import", "verify", "repair", "export", "mirror"]) {
      assert.match(help.stdout, new RegExp(`^  ${command}`, "m"));
    }
    assert.match((await runCli("--version")).stdout, /^\d+\.\d+\.\d+\n$/);
  });
});

describe("verify", () => {
  it("finds damage that an import would step over, and says what helps", async () => {
    using fixture = new UnpackedFixture("2.3.8-bad-snapshot");
    const { status, stdout } = await runCli("verify", "--data-dir", fixture.directory);
    assert.equal(status, 1);
    assert.match(stdout, /b7\.snap: offset \d+: crc mismatch \(move the file away/);
    assert.match(stdout, /77 keys/);
    using torn = new UnpackedFixture("0.4.9-torn-log");
    const json = await runCli("verify", "--data-dir", torn.directory, "--output", "json");
    const report = JSON.parse(json.stdout) as { findings: { severity: string; remedy: string }[] };
    assert.equal(report.findings.length, 1);
    assert.equal(report.findings[0]?.severity, "warning");
    assert.match(report.findings[0].remedy, /repair/);
  });

  it("reads the log behind a newer one too", async () => {
    using fixture = new UnpackedFixture("2.0.0-rc.1-snapshot");
    const first = join(fixture.directory, "wal", "0000000000000000-0000000000000000.wal");
    const bytes = readFileSync(first);
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    writeFileSync(first, bytes);
    const { status, stdout } = await runCli("verify", "--data-dir", fixture.directory);
    assert.equal(status, 1);
    assert.match(stdout, /0000000000000000\.wal: offset \d+/);
  });

  it("refuses a directory that is in use", async () => {
    using fixture = new UnpackedFixture("2.3.8-wal");
    const target = join(fixture.root, "target");
    assert.equal((await runCli("--data-dir", fixture.directory, "--target", target)).status, 0);
    const current = new StoreDirectory(join(target, "member", "store")).current();
    assert.ok(current !== undefined);
    const kv = await RocksKv.open(current);
    try {
      const { status, stderr } = await runCli("verify", "--data-dir", target);
      assert.equal(status, 1);
      assert.match(stderr, /in use by a running server \(process \d+\)/);
    } finally {
      await kv.close();
    }
  });

  it("finds damage in our own directories, log and store", async () => {
    using fixture = new UnpackedFixture("2.3.8-wal");
    const target = join(fixture.root, "target");
    assert.equal((await runCli("--data-dir", fixture.directory, "--target", target)).status, 0);
    const before = hashTree(target);
    assert.equal((await runCli("verify", "--data-dir", target)).status, 0);
    assert.equal(hashTree(target), before, "verify changed something");
    const wal = join(target, "member", "wal");
    const name = readdirSync(wal).find((file) => file.endsWith(".wal")) ?? "";
    const good = readFileSync(join(wal, name));
    const bad = Buffer.from(good);
    bad[40] = (bad[40] ?? 0) ^ 1;
    writeFileSync(join(wal, name), bad);
    const damagedLog = await runCli("verify", "--data-dir", target);
    assert.equal(damagedLog.status, 1);
    assert.match(damagedLog.stdout, /error: .*\.wal: offset/);
    const newer = Buffer.from(good);
    newer.writeUInt32LE(7, 8);
    newer.writeUInt32LE(crc32(newer.subarray(0, 28)), 28);
    writeFileSync(join(wal, name), newer);
    const newerLog = await runCli("verify", "--data-dir", target);
    assert.match(newerLog.stdout, /format version 7.*\(use the release that wrote it/);
    writeFileSync(join(wal, name), good);
    renameSync(wal, `${wal}.good`);
    const metadata = { memberId: "00000000000000a1", clusterId: "00000000000000c1" };
    await (await Wal.create(wal, { metadata })).close();
    const emptyLog = await runCli("verify", "--data-dir", target);
    assert.equal(emptyLog.status, 1);
    assert.match(emptyLog.stdout, /it ends at 0, but the store stands at \d+: a part of the log/);
    rmSync(wal, { recursive: true });
    renameSync(`${wal}.good`, wal);
    const store = new StoreDirectory(join(target, "member", "store")).current() ?? "";
    renameSync(join(store, "CURRENT"), join(store, "LOST"));
    assert.match((await runCli("verify", "--data-dir", target)).stdout, /file CURRENT is missing/);
    renameSync(join(store, "LOST"), join(store, "CURRENT"));
    const manifest = readdirSync(store).find((file) => file.startsWith("MANIFEST")) ?? "";
    writeFileSync(join(store, manifest), "rubbish");
    const damagedStore = await runCli("verify", "--data-dir", target);
    assert.equal(damagedStore.status, 1);
    assert.match(damagedStore.stdout, /error: .*store cannot be opened.*restore a backup/);
  });
});

describe("repair", () => {
  it("cuts a torn end and keeps a copy", async () => {
    for (const name of ["2.3.8-torn", "0.4.9-torn-log"]) {
      using fixture = new UnpackedFixture(name);
      const { status, stdout } = await runCli("repair", "--data-dir", fixture.directory);
      assert.equal(status, 0);
      const copy = /kept as it was: (.*)\n/.exec(stdout)?.[1] ?? "";
      using fresh = new UnpackedFixture(name);
      assert.deepEqual(
        readFileSync(copy),
        readFileSync(
          join(fresh.directory, copy.slice(fixture.directory.length).replace(".broken", "")),
        ),
      );
      assert.equal((await runCli("verify", "--data-dir", fixture.directory)).status, 0);
      const again = await runCli("repair", "--data-dir", fixture.directory);
      assert.match(again.stdout, /nothing to repair/);
    }
  });

  it("leaves damage of another kind alone", async () => {
    using fixture = new UnpackedFixture("2.3.8-corrupt");
    const before = hashTree(fixture.directory);
    const { status, stderr } = await runCli("repair", "--data-dir", fixture.directory);
    assert.equal(status, 1);
    assert.match(stderr, /crc mismatch/);
    assert.equal(hashTree(fixture.directory), before);
  });
});

describe("export", () => {
  it("writes the JSON that etcdctl import reads, whole or not at all", async () => {
    using fixture = new UnpackedFixture("0.4.9-ttl-create");
    using dir = new TempDir();
    const file = dir.at("export.json");
    const args = ["export", "--data-dir", fixture.directory, "--format", "etcdctl-import"];
    assert.equal((await runCli(...args, "--file", file)).status, 0);
    interface Node {
      readonly Path: string;
      readonly Value: string;
      readonly ExpireTime: string;
      readonly Children: Readonly<Record<string, Node>> | null;
    }
    const { Root: root } = JSON.parse(readFileSync(file, "utf8")) as { Root: Node };
    const flat = new Map<string, string | undefined>();
    const walk = (node: Node, path: string): void => {
      assert.equal(node.Path, path === "" ? "/" : path);
      if (path !== "") flat.set(path, node.Children === null ? node.Value : undefined);
      for (const [name, child] of Object.entries(node.Children ?? {}))
        walk(child, `${path}/${name}`);
    };
    walk(root, "");
    const wanted = expectedKeys(expectedOf("0.4.9-ttl-create"));
    assert.deepEqual(
      Object.fromEntries(flat),
      Object.fromEntries([...wanted].map(([key, { value }]) => [key, value])),
    );
    const long = root.Children?.["ttl"]?.Children?.["long"];
    assert.match(long?.ExpireTime ?? "", /^2058-/);
    const lost = await runCli(...args, "--file", dir.at("nowhere", "export.json"));
    assert.equal(lost.status, 1);
    assertOneLine(lost.stderr);
    assert.deepEqual(readdirSync(dir.path), ["export.json"]);
  });

  it("takes what precedes damage only when told to", async () => {
    using fixture = new UnpackedFixture("2.3.8-corrupt");
    const refused = await runCli("export", "--data-dir", fixture.directory);
    assert.equal(refused.status, 1);
    assert.equal(refused.stdout, "");
    const taken = await runCli("export", "--data-dir", fixture.directory, "--skip-corrupt");
    assert.equal(taken.status, 0);
    assert.ok((JSON.parse(taken.stdout) as Exported).nodes.length > 5);
  });
});
