/** Locks of other processes on the files of old servers, as the kernel itself tells them. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { isLockedByOther } from "../src/foreign-lock.ts";

const directory = mkdtempSync(join(tmpdir(), "etcd2-foreign-lock-"));
after(() => {
  rmSync(directory, { recursive: true });
});

const F_OFD_SETLK = 37;

/** A process that holds a lock on the file and says so; ends with its input. */
async function holder(path: string, how: "flock" | "shared flock" | "ofd"): Promise<ChildProcess> {
  const script = `
    const { dlopen } = process.getBuiltinModule("node:ffi");
    const { functions } = dlopen(null, {
      flock: { arguments: ["int32", "int32"], return: "int32" },
      fcntl: { arguments: ["int32", "int32", "buffer"], return: "int32" },
    });
    const fd = process.getBuiltinModule("node:fs").openSync(${JSON.stringify(path)}, "r+");
    const record = Buffer.alloc(32);
    record.writeInt16LE(1, 0);
    const done = ${JSON.stringify(how)} === "ofd"
      ? functions.fcntl(fd, ${F_OFD_SETLK}, record)
      : functions.flock(fd, ${how === "flock" ? 2 : 1});
    // A number would be coloured where colours are forced.
    console.log(String(done));
    process.stdin.on("end", () => process.exit()).resume();`;
  const child = spawn(process.execPath, ["--no-warnings", "-e", script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [answer] = (await once(child.stdout, "data")) as [Buffer];
  assert.equal(answer.toString(), "0\n");
  return child;
}

describe("the lock of another process", () => {
  for (const how of ["flock", "ofd"] as const) {
    it(`is seen while it is held: ${how}`, async () => {
      const path = join(directory, how.replace(" ", "-"));
      writeFileSync(path, "x");
      assert.equal(isLockedByOther(path), false);
      const child = await holder(path, how);
      assert.equal(isLockedByOther(path), true);
      assert.equal(isLockedByOther(path), true);
      child.stdin?.end();
      await once(child, "exit");
      assert.equal(isLockedByOther(path), false);
    });
  }

  it("that lets others read is none that keeps them out", async () => {
    const path = join(directory, "shared");
    writeFileSync(path, "x");
    const child = await holder(path, "shared flock");
    assert.equal(isLockedByOther(path), false);
    child.stdin?.end();
    await once(child, "exit");
  });

  it("on a file that is not there is not told", () => {
    assert.equal(isLockedByOther(join(directory, "none")), undefined);
  });
});
