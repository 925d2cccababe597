/**
 * Unpacks a release into an empty folder and uses it as a machine without Node would: three
 * members, writes and reads through the unpacked client, one member lost and back. Usage:
 * `node tools/release/smoke.ts [ARCHIVE]`; ends with status 1 at the first thing that is wrong.
 */
import { execFile, execFileSync } from "node:child_process";
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const runFile = promisify(execFile);

function newestArchive(): string {
  const directory = join(import.meta.dirname, "..", "..", "dist");
  const names = existsSync(directory) ? readdirSync(directory) : [];
  const name = names.find((candidate) => /^etcd2-.*-linux-x64\.tar\.gz$/.test(candidate));
  if (name === undefined) throw new Error("dist has no archive: run 'npm run release' first");
  return join(directory, name);
}

/** Unpacks and returns the folder; from here on PATH has nothing. */
function unpack(archive: string, work: string): string {
  execFileSync("sha256sum", ["--check", "--quiet", `${basename(archive)}.sha256`], {
    cwd: dirname(archive),
  });
  execFileSync("tar", ["--extract", "--file", archive, "--directory", work]);
  const nothing = join(work, "path");
  mkdirSync(nothing);
  process.env["PATH"] = nothing;
  assert.throws(() => execFileSync("node", ["--version"], { stdio: "ignore" }), /ENOENT/);
  return join(work, basename(archive, ".tar.gz"));
}

async function useCluster(release: string): Promise<void> {
  process.env["CLUSTER_BINARY"] = join(release, "etcd");
  const { Cluster } = await import("../cluster-faults/cluster.ts");
  const cluster = await Cluster.start({ size: 3 });
  const etcdctl = async (at: number, ...words: readonly string[]): Promise<string> => {
    const endpoint = cluster.members[at]?.clientUrl ?? "";
    const options = { timeout: 20_000 };
    const program = join(release, "etcdctl");
    return (await runFile(program, ["--endpoints", endpoint, ...words], options)).stdout.trim();
  };
  try {
    assert.equal(await etcdctl(0, "set", "/smoke/key", "first"), "first");
    assert.equal(await etcdctl(1, "get", "--quorum", "/smoke/key"), "first");
    assert.match(await etcdctl(2, "cluster-health"), /cluster is healthy/);
    const lost = await cluster.leader();
    await lost.end("SIGKILL");
    await cluster.leader();
    const other = cluster.members.findIndex((member) => member !== lost);
    assert.equal(await etcdctl(other, "set", "/smoke/key", "second"), "second");
    cluster.restart(lost);
    await cluster.ready();
    const back = cluster.members.indexOf(lost);
    assert.equal(await etcdctl(back, "get", "--quorum", "/smoke/key"), "second");
    assert.match(await cluster.sameTree("/smoke"), /second/);
    // The client opens the native store itself when it restores.
    const snapshot = join(cluster.directory, "snapshot");
    await etcdctl(0, "snapshot", "save", snapshot);
    await etcdctl(0, "snapshot", "restore", snapshot, "--data-dir", `${snapshot}.etcd`);
    const restored = `${snapshot}.etcd`;
    const names = readdirSync(restored, { recursive: true, encoding: "utf8" });
    assert.ok(names.includes("member"));
    const open = names.filter((name) => (statSync(join(restored, name)).mode & 0o077) !== 0);
    assert.deepEqual(open, [], "the restored files are for their owner alone");
  } finally {
    await cluster.close();
  }
}

const archive = resolve(process.argv[2] ?? newestArchive());
const work = mkdtempSync(join(tmpdir(), "etcd2-smoke-"));
try {
  const release = unpack(archive, work);
  for (const program of ["etcd", "etcdctl", "etcd-migrate"]) {
    const { stdout } = await runFile(join(release, program), ["--version"], { timeout: 20_000 });
    console.log(stdout.trim().split("\n")[0]);
  }
  assert.match(readFileSync(join(release, "LICENSE"), "utf8"), /Apache License/);
  await useCluster(release);
  console.log(`${basename(archive)}: unpacked and used without Node on the machine`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
