/** Ending the process while a thread of the pool is busy, as it is in a name look-up without answer. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";

const source = JSON.stringify(join(import.meta.dirname, "..", "..", "src", "system", "leave.ts"));

for (const status of [0, 1]) {
  test(`the process ends with status ${String(status)} although a thread is still at work`, async () => {
    // Minutes of work, which nothing can interrupt but the end of the process.
    const program = `
      import { pbkdf2 } from "node:crypto";
      import { leave } from ${source};
      pbkdf2("password", "salt", 2 ** 31 - 1, 64, "sha512", () => undefined);
      setTimeout(() => { leave(${String(status)}); }, 50);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: "inherit",
      timeout: 30_000,
      killSignal: "SIGKILL",
    });
    assert.deepEqual(await once(child, "exit"), [status, null]);
  });
}
