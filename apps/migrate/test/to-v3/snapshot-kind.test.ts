/** Snapshot files are told apart by what is in them, whatever their names say. */
import assert from "node:assert/strict";
import { copyFileSync, globSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { MemoryKv, StateMachine, writeCommand } from "@etcd2/store";
import { MigrateError } from "../../src/errors.ts";
import { ReplayClock } from "../../src/replay/target-store.ts";
import { snapshotKind } from "../../src/to-v3/snapshot-kind.ts";
import { withFileSource } from "../../src/to-v3/source-view.ts";
import { UnpackedFixture } from "../support/fixtures.ts";
import { TempDir } from "../support/temp-dir.ts";

function keysOf(snapshot: string): Promise<string[]> {
  const source = {
    snapshot,
    skipCorrupt: false,
    notice: () => undefined,
    progress: () => undefined,
    signal: new AbortController().signal,
  };
  return withFileSource(source, (view) =>
    Promise.resolve([...view.nodes()].filter(({ dir }) => !dir).map(({ path }) => path)),
  );
}

async function ownSnapshot(file: string): Promise<void> {
  const machine = await StateMachine.open({ kv: new MemoryKv(), clock: new ReplayClock() });
  const command = writeCommand({ action: "set", path: "/1/own/key", value: "v" });
  machine.apply([{ index: 1, term: 1, command }]);
  const chunks: Uint8Array[] = [];
  for await (const chunk of machine.exportSnapshot()) chunks.push(chunk);
  writeFileSync(file, Buffer.concat(chunks));
  await machine.close();
}

describe("a snapshot file", () => {
  it("of this project's etcdctl is read under the names that etcd 2 and 0.4 gave theirs", async () => {
    using temporary = new TempDir();
    for (const name of ["own.snap", "own.ss", "own"]) {
      const file = temporary.at(name);
      await ownSnapshot(file);
      assert.equal(snapshotKind(file), "own");
      assert.deepEqual(await keysOf(file), ["/own/key"]);
    }
  });

  it("of etcd 2 or 0.4 is read under any name", async () => {
    for (const [fixtureName, pattern, kind] of [
      ["2.3.8-snapshot", "**/*.snap", "2.x"],
      ["0.4.9-log-snapshot", "**/*.ss", "0.4"],
    ] as const) {
      using fixture = new UnpackedFixture(fixtureName);
      const [found = ""] = globSync(pattern, { cwd: fixture.directory });
      const file = join(fixture.root, "copy");
      copyFileSync(join(fixture.directory, found), file);
      assert.equal(snapshotKind(file), kind);
      assert.ok((await keysOf(file)).length > 10);
    }
  });

  it("of the v3 store is refused with what to take instead", async () => {
    using fixture = new UnpackedFixture("3.4.23-v2-snapshot");
    const [found = ""] = globSync("**/snap/db", { cwd: fixture.directory });
    await assert.rejects(
      keysOf(join(fixture.directory, found)),
      (error) =>
        error instanceof MigrateError &&
        /is a snapshot of the v3 store, which holds no v2 keys \(take --data-dir/.test(
          error.describe(),
        ),
    );
  });

  it("that is none is refused", async () => {
    using temporary = new TempDir();
    const file = temporary.at("note.snap");
    for (const text of ["", "a", "hello, world, this is no snapshot at all"]) {
      writeFileSync(file, text);
      assert.equal(snapshotKind(file), "unknown");
      await assert.rejects(keysOf(file), MigrateError);
    }
  });
});
