/** TLS in both directions, and the page's half of the client without anything of Node. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TLSSocket } from "node:tls";
import { build } from "esbuild";
import { ClusterError, ConnectionError } from "../src/index.ts";
import { createClient } from "../src/node/index.ts";
import { answer } from "./servers.ts";

const tool = join(import.meta.dirname, "..", "..", "..", "tools", "test-ca.ts");
const folder = mkdtempSync(join(tmpdir(), "etcd2-client-tls-"));
const pem = (name: string): Buffer => readFileSync(join(folder, `${name}.pem`));
let server: Server;
let port: number;
const shown: (string | undefined)[] = [];

before(async () => {
  execFileSync(process.execPath, [tool, folder, "server", "client-bob"], { stdio: "ignore" });
  const own = { cert: pem("server"), key: pem("server-key"), ca: pem("ca") };
  server = createServer({ ...own, requestCert: true }, (request, response) => {
    assert.ok(request.socket instanceof TLSSocket);
    shown.push(request.socket.getPeerX509Certificate()?.subject);
    const node = { key: "/a", value: "x", modifiedIndex: 1, createdIndex: 1 };
    answer(response, 200, { action: "get", node });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ({ port } = server.address() as AddressInfo);
});
after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

test("servers prove themselves by the given authority, and see our certificate", async () => {
  const tls = { ca: pem("ca"), cert: pem("client-bob"), key: pem("client-bob-key") };
  for (const host of ["127.0.0.1", "localhost"]) {
    using client = createClient({ endpoints: `https://${host}:${port}`, tls });
    assert.equal((await client.keys.get("/a")).node.key, "/a");
  }
  assert.deepEqual(shown, ["CN=client-bob", "CN=client-bob"]);
});

test("a server that nobody vouches for, or of another name, is not asked", async () => {
  const count = shown.length;
  for (const tls of [undefined, { ca: pem("ca"), serverName: "elsewhere.example" }]) {
    using client = createClient({
      endpoints: `https://127.0.0.1:${port}`,
      ...(tls === undefined ? {} : { tls }),
    });
    await assert.rejects(client.keys.set("/a", "x"), (error) => {
      assert.ok(error instanceof ClusterError && !error.isOutcomeUnknown);
      return error.causes[0] instanceof ConnectionError;
    });
  }
  assert.equal(shown.length, count);
});

test("the core bundles for browsers: nothing in it is of Node", async () => {
  const { outputFiles, warnings } = await build({
    entryPoints: [join(import.meta.dirname, "..", "src", "index.ts")],
    bundle: true,
    platform: "browser",
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "silent",
  });
  assert.deepEqual(warnings, []);
  const [bundle] = outputFiles;
  assert.ok(bundle !== undefined);
  assert.doesNotMatch(bundle.text, /["']node:|\bBuffer\b|\bprocess\./);
});
