/** What a hunt leaves behind when it is told to end before its time. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { until } from "@etcd2/test-support";

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0).reverse()) cleanUp();
});

/** The processes that have the text in their command line. */
function processesWith(text: string): readonly string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^[0-9]+$/.test(pid)) return false;
    try {
      return readFileSync(join("/proc", pid, "cmdline"), "utf8").includes(text);
    } catch {
      // It ended just now.
      return false;
    }
  });
}

for (const [signal, status] of [
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const) {
  test(`a storm ended by ${signal} leaves no process and no file, and says that there is no verdict`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "etcd2-interrupt-"));
    cleanUps.push(() => {
      rmSync(directory, { recursive: true, force: true });
    });
    const storm = join(import.meta.dirname, "..", "cluster-faults", "storm.ts");
    const child = spawn(
      process.execPath,
      ["--conditions=etcd2-source", storm, "--seconds", "600", "--verbose"],
      { env: { ...process.env, TMPDIR: directory }, stdio: ["ignore", "pipe", "pipe"] },
    );
    cleanUps.push(() => child.kill("SIGKILL"));
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => (output += text));
    }
    const closed = once(child, "close");
    await until("the first fault happens", () => / for [0-9]+ ms/.test(output), 60_000);
    assert.notDeepEqual(processesWith(directory), []);
    child.kill(signal);
    assert.deepEqual(await closed, [status, null], output);
    assert.match(output, new RegExp(`ended by ${signal}: no verdict`));
    assert.deepEqual(readdirSync(directory), []);
    await until("its members have ended", () => processesWith(directory).length === 0, 10_000);
  });
}
