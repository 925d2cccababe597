import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort } from "@etcd2/test-support";
import { etcdctl, program, runToEnd, ServerProcess } from "./server-process.ts";

describe("an operator's mistake", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "etcd2-mistake-"));
  });
  after(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  /** Starts the server with the flags, expects it to refuse, and that it wrote nothing. */
  async function refused(flags: readonly string[], status: number, message: RegExp): Promise<void> {
    const before = readdirSync(directory).join();
    const result = await runToEnd(program, flags, directory);
    assert.equal(result.status, status, result.stderr);
    assert.match(result.stderr, message);
    assert.equal(readdirSync(directory).join(), before, "something was written");
  }

  /** Ports for a member of its own; the initial cluster comes last. */
  async function refusedFlags(): Promise<string[]> {
    const client = `http://127.0.0.1:${await freePort()}`;
    const peer = `http://127.0.0.1:${await freePort()}`;
    return [
      ...["--listen-client-urls", client, "--advertise-client-urls", client],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", `default=${peer}`],
    ];
  }

  const wrongFlags: [string, readonly string[], RegExp][] = [
    ["an unknown flag", ["--nope"], /^flag provided but not defined: -nope$/m],
    [
      "a URL of an unknown scheme",
      ["--listen-client-urls", "ftp://127.0.0.1:1"],
      /URL scheme must be http or https: ftp:\/\/127\.0\.0\.1:1/,
    ],
    [
      "a number that is none",
      ["--snapshot-count", "abc"],
      /invalid value "abc" for flag -snapshot-count: parse error/,
    ],
  ];
  for (const [what, flags, message] of wrongFlags) {
    it(`${what} is refused with status 2`, () => refused(flags, 2, message));
  }

  it("variables and files with such settings are refused with the same status", async () => {
    const file = join(directory, "settings");
    writeFileSync(file, "snapshot-count: abc\n");
    const cases: [string, RegExp][] = [
      ["ETCD_SNAPSHOT_COUNT=abc", /C \| etcdmain: invalid value "abc" for ETCD_SNAPSHOT_COUNT/],
      [
        `ETCD_CONFIG_FILE=${file}`,
        /C \| etcdmain: configuration file .* snapshot-count: parse error/,
      ],
      [
        "ETCD_CONFIG_FILE=/nowhere",
        /C \| etcdmain: cannot read configuration file \/nowhere: no such/,
      ],
    ];
    for (const [variable, message] of cases) {
      const result = await runToEnd("/usr/bin/env", [variable, program], directory);
      assert.equal(result.status, 2, result.stderr);
      assert.match(result.stderr, message);
      assert.deepEqual(readdirSync(directory), ["settings"]);
    }
    rmSync(file);
  });

  it("a certificate that cannot be read is refused with status 1", async () => {
    const plain = (await refusedFlags()).map((flag) => flag.replace("http:", "https:"));
    const flags = ["--cert-file", "nope.pem", "--key-file", "nope.pem"];
    await refused([...plain, ...flags], 1, /C \| etcdmain: .*nope\.pem/);
  });

  it("a plain word is refused with status 1", () =>
    refused(["word"], 1, /'word' is not a valid flag\. See 'etcd --help'\./));

  it("a data directory that is a file is refused", () => {
    writeFileSync(join(directory, "file"), "");
    return refused(
      ["--data-dir", "file"],
      1,
      /cannot access data directory: file is not a directory/,
    );
  });

  it("directories that cannot be made are refused, on /proc as anywhere", async () => {
    const plain = await refusedFlags();
    await refused([...plain, "--data-dir", "/proc/x"], 1, /cannot access data directory: /);
    await refused([...plain, "--wal-dir", "/proc/x/wal"], 1, /cannot access WAL directory: /);
  });

  it("a first start that is refused leaves no directory behind", async () => {
    const plain = await refusedFlags();
    const deep = ["--data-dir", "a/b", "--wal-dir", "a/wal"];
    const noName = /couldn't find local name "nobody"/;
    await refused([...plain, ...deep, "--name", "nobody"], 1, noName);
    const flags = [...plain.slice(0, -2), "--discovery", "x"];
    await refused([...flags, ...deep], 1, /--discovery x: invalid URL/);
  });

  it("a reader of the help that leaves early sees no complaint", async () => {
    const result = await runToEnd("sh", ["-c", `${program} --help | exit`], directory);
    assert.equal(result.stderr, "");
  });

  it("a directory of etcd 2.3.8 is refused with the command that imports it", () => {
    mkdirSync(join(directory, "old", "member", "snap"), { recursive: true });
    mkdirSync(join(directory, "old", "member", "wal"), { recursive: true });
    return refused(["--data-dir", "old"], 1, /etcd-migrate --data-dir old --target NEW_DIR/);
  });

  it("a log that lived elsewhere is part of that command", () => {
    mkdirSync(join(directory, "apart", "member", "snap"), { recursive: true });
    return refused(
      ["--data-dir", "apart", "--wal-dir", "log"],
      1,
      /etcd-migrate --data-dir apart --wal-dir log --target NEW_DIR.*with another --wal-dir/,
    );
  });

  it("a directory with both a member and a proxy is refused", () => {
    mkdirSync(join(directory, "both", "member"), { recursive: true });
    mkdirSync(join(directory, "both", "proxy"), { recursive: true });
    return refused(["--data-dir", "both"], 1, /Both member and proxy directories exist/);
  });

  it("a port in use is refused, and no data directory appears", async () => {
    const running = await ServerProcess.start();
    try {
      const peer = `http://127.0.0.1:${await freePort()}`;
      const flags = [
        "--listen-client-urls",
        running.clientUrl,
        "--advertise-client-urls",
        running.clientUrl,
      ];
      const port = new URL(running.clientUrl).port;
      await refused(
        [...flags, "--listen-peer-urls", peer, "--data-dir", "unborn"],
        1,
        new RegExp(`listen tcp 127\\.0\\.0\\.1:${port}: bind: address already in use`),
      );
      assert.equal(existsSync(join(directory, "unborn")), false);
    } finally {
      await running.dispose();
    }
  });

  it("a member that waits for its discovery service ends by a signal, and says so", async () => {
    const flags = (await refusedFlags()).slice(0, -2);
    const url = `http://127.0.0.1:${await freePort()}/v2/keys/x`;
    const child = spawn(program, [...flags, "--data-dir", "waits", "--discovery", url], {
      cwd: directory,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let log = "";
    child.stderr.setEncoding("utf8");
    child.stderr.on("data", (part: string) => {
      log += part;
      if (part.includes("error connecting to")) child.kill("SIGTERM");
    });
    const signal = await new Promise((resolve) =>
      child.once("close", (_, name) => {
        resolve(name);
      }),
    );
    assert.equal(signal, "SIGTERM");
    assert.match(log, /osutil: received terminated signal, shutting down\.\.\.\n$/);
  });

  it("a data directory in use by another process is refused", async () => {
    const running = await ServerProcess.start();
    try {
      const urls = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
      const [client = "", peer = ""] = urls;
      const flags = ["--listen-client-urls", client, "--advertise-client-urls", client];
      await refused(
        [...flags, "--listen-peer-urls", peer, "--data-dir", running.dataDir],
        1,
        /open wal error: file already locked/,
      );
    } finally {
      await running.dispose();
    }
  });

  it("etcdctl without a server names the endpoints it tried", async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const health = await runToEnd(etcdctl, ["--endpoints", url, "cluster-health"], directory);
    assert.match(health.stdout, /cluster may be unhealthy: failed to list members/);
    assert.equal(health.status, 4);
    const members = await runToEnd(etcdctl, ["--endpoints", url, "member", "list"], directory);
    assert.notEqual(members.status, 0);
    assert.match(members.stderr, new RegExp(new URL(url).host));
  });
});
