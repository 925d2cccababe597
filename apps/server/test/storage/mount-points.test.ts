/** Each directory of a member may be the root of a file system of its own. */
import { NO_LOGGER } from "@etcd2/observability";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { layoutOf } from "@etcd2/member-dir";
import { inspectDataDir } from "../../src/storage/data-dir.ts";
import { MemberStorage } from "../../src/storage/member-storage.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-mounts-"));
after(() => {
  rmSync(root, { recursive: true });
});

function mount(path: string): boolean {
  mkdirSync(path, { recursive: true });
  return spawnSync("mount", ["-t", "tmpfs", "none", path]).status === 0;
}

function mountRefusal(): string | false {
  const path = join(root, "probe");
  if (!mount(path)) return "file systems cannot be mounted here";
  spawnSync("umount", [path]);
  return false;
}

describe("a mount point", { skip: mountRefusal() }, () => {
  for (const place of ["data", "data/member", "data/member/store", "data/member/wal"]) {
    it(`at ${place} holds a member, lost+found beside it`, async () => {
      const base = join(root, place.replaceAll("/", "-"));
      const mounted = join(base, place);
      assert.ok(mount(mounted));
      try {
        mkdirSync(join(mounted, "lost+found"));
        const layout = layoutOf(join(base, "data"), undefined);
        const ids = { memberId: "00000000000000a1", clusterId: "00000000000000c1" };
        const ignore = (): void => undefined;
        const options = {
          ...{ layout, watchHistory: 100 },
          ...{ onWalSync: ignore, onSlowWalSync: ignore, log: NO_LOGGER },
        };
        assert.equal(inspectDataDir(layout), "empty");
        await (await MemberStorage.create(options, ids, "{}")).close();
        assert.equal(inspectDataDir(layout), "member");
        const storage = await MemberStorage.open(options);
        assert.equal(storage.memberId, ids.memberId);
        await storage.close();
        // As after a crash in the first start: everything is made anew.
        rmSync(join(layout.storeDir, "CURRENT"));
        await (await MemberStorage.create(options, ids, "{}")).close();
        assert.ok(existsSync(join(mounted, "lost+found")));
      } finally {
        assert.equal(spawnSync("umount", [mounted]).status, 0);
      }
    });
  }
});
