/** Two servers on one directory: exactly one of them serves, wherever the other runs. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { freePort, until } from "@etcd2/test-support";
import { ask, program, runToEnd, ServerProcess } from "./server-process.ts";

const NAMESPACE = ["--pid", "--fork", "--mount-proc", "--kill-child"];

function namespaceRefusal(): string | false {
  const { status, error } = spawnSync("unshare", [...NAMESPACE, "true"]);
  return status === 0
    ? false
    : `unshare --pid is not possible here (${error?.message ?? "refused"})`;
}

/** A server on free ports that was not started yet. */
async function prepared(...directories: readonly string[]): Promise<ServerProcess> {
  const server = new ServerProcess();
  server.clientUrl = `http://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  server.flags = [
    ...["--listen-client-urls", server.clientUrl, "--advertise-client-urls", server.clientUrl],
    ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
    ...["--initial-cluster", `default=${peer}`, ...directories],
  ];
  return server;
}

/** Which files below the directory a process holds a lock on, as the system tells. */
function lockedFiles(directory: string): readonly string[] {
  const locks = readFileSync("/proc/locks", "latin1");
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => locks.includes(`:${statSync(join(directory, name)).ino} `))
    .sort();
}

const ONE_LINE = /^[^\n]+ C \| etcdmain: open wal error: file already locked: [^\n]+\n$/;

/** The critical lines of a log. */
function lastWords(log: string): string {
  return log
    .split(/(?<=\n)/)
    .filter((line) => / [CE] \| /.test(line))
    .join("");
}

describe("two servers", () => {
  const servers: ServerProcess[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.dispose();
  });

  /** To be disposed of, also when the test fails. */
  function owned(server: ServerProcess): ServerProcess {
    servers.push(server);
    return server;
  }

  async function put(server: ServerProcess, key: string): Promise<void> {
    const { status, body } = await ask("PUT", `${server.clientUrl}/v2/keys/${key}`, "value=x");
    assert.equal(status, 201, body);
  }

  async function assertHas(server: ServerProcess, ...keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      assert.equal((await ask("GET", `${server.clientUrl}/v2/keys/${key}`)).status, 200, key);
    }
  }

  const needsList = { skip: existsSync("/proc/locks") ? false : "this system lists no locks" };

  it("a new member holds its locks through its whole first run, and after", needsList, async () => {
    const server = owned(await ServerProcess.start(["--snapshot-count", "10"]));
    const { dataDir } = server;
    const expected = [
      "member/etcd2.lock",
      "member/store/generation-00000001/LOCK",
      "member/wal/etcd2.lock",
    ];
    assert.deepEqual(lockedFiles(dataDir), expected);
    for (let i = 0; i < 30; i += 1) await put(server, `key-${i}`);
    await until("the log was compacted", () => /compacted raft log/.test(server.log));
    assert.deepEqual(lockedFiles(dataDir), expected);
    await server.kill("SIGTERM");
    assert.deepEqual(lockedFiles(dataDir), []);
    await server.spawn();
    assert.deepEqual(lockedFiles(dataDir), expected);
  });

  const inNamespace = { skip: namespaceRefusal() };

  it("in two process-id namespaces: the second ends with one line", inNamespace, async () => {
    const server = owned(await ServerProcess.start());
    await put(server, "before");
    const other = owned(await prepared("--data-dir", server.dataDir));
    const words = [...NAMESPACE, program, ...other.flags];
    const second = await runToEnd("unshare", words, server.directory);
    assert.equal(second.status, 1, second.stderr);
    assert.match(lastWords(second.stderr), ONE_LINE);
    await put(server, "after");
    await server.kill("SIGKILL");
    // The lock of a killed process is nobody's.
    await server.spawn();
    await assertHas(server, "before", "after");
  });

  it("with one --wal-dir and two data directories: the second ends, and writes nothing", async () => {
    const { directory } = owned(new ServerProcess());
    const walDir = ["--wal-dir", join(directory, "wal")];
    const first = owned(await prepared("--data-dir", join(directory, "one"), ...walDir));
    await first.spawn();
    const second = owned(await prepared("--data-dir", join(directory, "two"), ...walDir));
    const { status, stderr } = await runToEnd(program, second.flags, directory);
    assert.equal(status, 1, stderr);
    assert.match(lastWords(stderr), ONE_LINE);
    assert.equal(existsSync(join(directory, "two")), false);
    await put(first, "after");
    await first.kill("SIGTERM");
    await first.spawn();
    await assertHas(first, "after");
  });

  it("that start on nothing at the same time: one serves, the others end", async () => {
    const { dataDir } = owned(new ServerProcess());
    const rivals: ServerProcess[] = [];
    for (let i = 0; i < 3; i += 1) rivals.push(owned(await prepared("--data-dir", dataDir)));
    const outcomes = await Promise.allSettled(rivals.map((rival) => rival.spawn()));
    const winners = rivals.filter((_, i) => outcomes[i]?.status === "fulfilled");
    assert.equal(winners.length, 1);
    for (const loser of rivals.filter((rival) => !winners.includes(rival))) {
      assert.equal((await loser.exited()).status, 1);
      assert.match(lastWords(loser.log), ONE_LINE);
    }
    const [winner] = winners;
    assert.ok(winner !== undefined);
    await put(winner, "key");
    await winner.kill("SIGKILL");
    await winner.spawn();
    await assertHas(winner, "key");
  });
});
