/** The examples of the README run as they stand, against a server of our own. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type RealServer, serverKinds, startServer } from "./servers.ts";

const home = join(import.meta.dirname, "..");
const readme = readFileSync(join(home, "README.md"), "utf8");
const [own] = serverKinds;
let server: RealServer;

before(async () => {
  assert.ok(own !== undefined);
  server = await startServer(own);
});
after(() => server.stop());

/** Runs a program and resolves to what it printed. */
function run(source: string): Promise<{ readonly status: number | null; readonly output: string }> {
  const flags = ["--conditions=etcd2-source", "--input-type=module-typescript", "--eval", source];
  const child = spawn(process.execPath, flags, {
    cwd: home,
    stdio: ["ignore", "pipe", "pipe"],
    // Whoever runs the tests may ask for colours.
    env: { ...process.env, FORCE_COLOR: "0", NODE_DISABLE_COLORS: "1" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  }
  return new Promise((resolve) => {
    child.once("close", (status) => {
      resolve({ status, output });
    });
  });
}

test("every example runs and prints what it says", { timeout: 120_000 }, async () => {
  const examples = [...readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code = ""]) => code);
  const expected = [
    "v1 true\nfirst\nsecond\nundefined\n",
    "set /watched/b\ndelete /watched/a\n",
    "m true StateLeader\nfalse 2.3.8\n",
    "/page\n",
  ];
  assert.equal(examples.length, expected.length);
  for (const [i, example] of examples.entries()) {
    const { status, output } = await run(example.replaceAll("http://127.0.0.1:2379", server.url));
    assert.deepEqual([status, output], [0, expected[i]], `example ${i + 1}:\n${example}`);
  }
});
