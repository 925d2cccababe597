import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { until } from "@etcd2/test-support";
import { runCli, startCli } from "../support/cli.ts";
import type { Ended } from "../support/cli.ts";
import { expectedKeys, expectedOf, UnpackedFixture } from "../support/fixtures.ts";
import { RealServer } from "../support/real-servers.ts";
import { TempDir } from "../support/temp-dir.ts";
import { noV3, V3Server } from "../support/v3-server.ts";

const WAIT_MS = 120_000;

async function put(url: string, key: string, form: Record<string, string>): Promise<void> {
  const body = new URLSearchParams(form);
  const response = await fetch(`${url}/v2/keys${key}`, { method: "PUT", body });
  assert.ok(response.ok, await response.text());
}

async function remove(url: string, key: string): Promise<void> {
  const response = await fetch(`${url}/v2/keys${key}`, { method: "DELETE" });
  assert.ok(response.ok, await response.text());
}

/** A snapshot file of 0.4 with many keys. */
function writeSnapshot(file: string, keys: number): void {
  const node = (path: string, value: string, children: object | null): object => ({
    ...{ Path: path, CreatedIndex: 1, ModifiedIndex: 1, ExpireTime: "0001-01-01T00:00:00Z" },
    ...{ ACL: "", Value: value, Children: children },
  });
  const names = Array.from({ length: keys }, (_, i) => `key${i}`);
  const children = Object.fromEntries(names.map((name) => [name, node(`/d/${name}`, name, null)]));
  const root = node("/", "", { d: node("/d", "", children) });
  const state = JSON.stringify({ Root: root, CurrentIndex: keys, CurrentVersion: 2 });
  const text = { state: Buffer.from(state).toString("base64"), lastIndex: keys, lastTerm: 1 };
  const body = JSON.stringify(text);
  writeFileSync(file, `${crc32(body).toString(16).padStart(8, "0")}\n${body}`);
}

function json(ended: Ended): Record<string, unknown> {
  return JSON.parse(ended.stdout) as Record<string, unknown>;
}

describe("to-v3 into a real cluster", { skip: noV3, timeout: 600_000 }, () => {
  it("carries what an old directory showed, byte for byte", async () => {
    using fixture = new UnpackedFixture("2.3.8-snapshot");
    using temporary = new TempDir();
    const v3 = await V3Server.start(temporary.at("v3"));
    try {
      const args = ["--data-dir", fixture.directory, "--endpoints", v3.url, "--prefix", "/p"];
      const dry = await runCli("to-v3", ...args, "--dry-run");
      assert.equal(dry.status, 0, dry.stderr);
      assert.equal(v3.rows("/p").size, 0, "a dry run wrote");
      const copied = await runCli("to-v3", ...args, "--output", "json");
      assert.equal(copied.status, 0, copied.stderr);
      const expected = new Map<string, string>();
      for (const [key, node] of expectedKeys(expectedOf("2.3.8-snapshot"))) {
        const {
          dir,
          value = "",
          expiration,
        } = node as {
          readonly dir: boolean;
          readonly value?: string;
          readonly expiration?: string;
        };
        if (!dir && expiration === undefined) {
          expected.set(
            `/p${Buffer.from(key).toString("latin1")}`,
            Buffer.from(value).toString("latin1"),
          );
        }
      }
      const rows = v3.rows("/p/");
      assert.ok(expected.size > 0);
      for (const [key, value] of expected) assert.equal(rows.get(key)?.value, value, key);
      const verified = await runCli("verify", "--v3", ...args);
      assert.equal(verified.status, 0, verified.stdout + verified.stderr);
      const again = await runCli("to-v3", ...args);
      assert.equal(again.status, 1);
      assert.match(again.stderr, /^etcd-migrate: .*holds keys there already.*--resume.*\n$/);
    } finally {
      await v3.kill();
    }
  });

  it("goes on with --resume after a kill, and ends with every key once", async () => {
    using temporary = new TempDir();
    const snapshot = temporary.at("many.ss");
    const keys = 30_000;
    writeSnapshot(snapshot, keys);
    const v3 = await V3Server.start(temporary.at("v3"));
    try {
      const args = ["to-v3", "--snapshot", snapshot, "--endpoints", v3.url];
      const { child, ended } = startCli(args);
      const count = (): number => {
        const answer = v3.ctl("get", "--prefix", "/d/", "--limit", "1", "-w", "json");
        return Number(/"count":(\d+)/.exec(answer)?.[1] ?? 0);
      };
      await until("some keys are there", () => Promise.resolve(count() > 0), WAIT_MS);
      child.kill("SIGKILL");
      await ended;
      const left = keys - count();
      const resumed = await runCli(...args, "--resume", "--output", "json");
      assert.equal(resumed.status, 0, resumed.stderr);
      assert.equal(count(), keys);
      const report = json(resumed);
      assert.equal(report["written"], left, "keys were written twice");
      assert.deepEqual(report["conflicts"], []);
      const verified = await runCli("verify", "--v3", ...args.slice(1));
      assert.equal(verified.status, 0, verified.stdout + verified.stderr);
    } finally {
      await v3.kill();
    }
  });

  it("says with verify what differs, and with --resume mends it but for what v3 programs wrote", async () => {
    using temporary = new TempDir();
    const v2 = await RealServer.start("old", temporary.at("v2"));
    const v3 = await V3Server.start(temporary.at("v3"));
    try {
      const args = ["--from", v2.url, "--endpoints", v3.url, "--hidden", "/_h"];
      await put(v2.url, "/_h/x", { value: "hidden" });
      for (const name of ["a", "b", "c", "d"]) await put(v2.url, `/k/${name}`, { value: name });
      await put(v2.url, "/k/ttl", { value: "t", ttl: "3000" });
      const copied = await runCli("to-v3", ...args);
      assert.equal(copied.status, 0, copied.stderr);
      assert.equal(v3.value("/_h/x"), "hidden");
      assert.equal(v3.rows("/k/ttl").get("/k/ttl")?.leased, true);
      await put(v2.url, "/k/a", { value: "new" });
      await put(v2.url, "/k/e", { value: "e" });
      await remove(v2.url, "/k/b");
      const found = await runCli("verify", "--v3", ...args);
      assert.equal(found.status, 1);
      assert.match(found.stdout, /\/k\/a has another value/);
      assert.match(found.stdout, /\/k\/b is not in the source/);
      assert.match(found.stdout, /\/k\/e is missing in v3/);
      v3.ctl("put", "/k/c", "of a v3 program");
      v3.ctl("del", "/k/d");
      const resumed = await runCli("to-v3", ...args, "--resume", "--output", "json");
      assert.equal(resumed.status, 0, resumed.stderr);
      const rows = v3.rows("/k/");
      assert.equal(rows.get("/k/a")?.value, "new");
      assert.equal(rows.get("/k/e")?.value, "e");
      assert.equal(rows.has("/k/b"), false);
      assert.equal(rows.get("/k/c")?.value, "of a v3 program");
      assert.equal(rows.has("/k/d"), false, "a v3 program's removal was undone");
      assert.deepEqual(json(resumed)["conflicts"], [
        { key: "/k/c", kept: true },
        { key: "/k/d", kept: true },
      ]);
      const over = await runCli("to-v3", ...args, "--resume", "--conflicts", "overwrite");
      assert.equal(over.status, 0, over.stderr);
      assert.equal(v3.value("/k/c"), "c");
      assert.equal(v3.value("/k/d"), "d");
    } finally {
      await v2.kill();
      await v3.kill();
    }
  });

  it("follows over restarts of both sides, keeps what v3 programs wrote, and ends in agreement", async () => {
    using temporary = new TempDir();
    const v2 = await RealServer.start("old", temporary.at("v2"));
    const v3 = await V3Server.start(temporary.at("v3"));
    await put(v2.url, "/app/first", { value: "1" });
    const args = ["to-v3", "--from", v2.url, "--endpoints", v3.url, "--follow", "--output", "json"];
    const { child, ended } = startCli(args);
    const is = (key: string, value: string | undefined) =>
      until(
        `${key} is ${value ?? "gone"}`,
        () => Promise.resolve(v3.value(key) === value),
        WAIT_MS,
      );
    try {
      await is("/app/first", "1");
      await put(v2.url, "/app/d/x", { value: "2" });
      await is("/app/d/x", "2");
      v3.ctl("put", "/app/first", "theirs");
      await put(v2.url, "/app/first", { value: "ours" });
      await v3.kill();
      await put(v2.url, "/app/down", { value: "3" });
      await v3.start();
      await is("/app/down", "3");
      await v2.kill();
      await v2.start();
      await put(v2.url, "/app/down", { value: "4" });
      await is("/app/down", "4");
      await remove(v2.url, "/app/d?recursive=true");
      await is("/app/d/x", undefined);
      assert.equal(v3.value("/app/first"), "theirs");
      child.kill("SIGINT");
      const end = await ended;
      assert.equal(end.status, 0, end.stderr + end.stdout);
      const followed = json(end)["followed"] as Record<string, unknown>;
      assert.equal(followed["inAgreement"], true);
      assert.deepEqual(followed["writtenByV3"], ["/app/first"]);
    } finally {
      child.kill("SIGKILL");
      await v2.kill();
      await v3.kill();
    }
  });

  it("carries users and roles, whose ranges hold in v3", async () => {
    using fixture = new UnpackedFixture("2.3.8-auth");
    using temporary = new TempDir();
    const v3 = await V3Server.start(temporary.at("v3"));
    try {
      const args = ["--data-dir", fixture.directory, "--endpoints", v3.url];
      const copied = await runCli("to-v3", ...args, "--output", "json");
      assert.equal(copied.status, 0, copied.stderr);
      const auth = json(copied)["auth"] as { users: string[]; passwordsToSet: string[] };
      assert.ok(auth.users.length > 0);
      assert.deepEqual(auth.passwordsToSet, auth.users);
      const listed = v3.ctl("user", "list").trim().split("\n").sort();
      assert.deepEqual(listed, [...auth.users].sort());
    } finally {
      await v3.kill();
    }
  });
});
