/** Directories that appear whole, also where the place is a mount point and cannot be renamed over. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { isVacant, NewDirectory } from "../../src/offline/new-directory.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-new directory-"));
after(() => {
  rmSync(root, { recursive: true });
});

function build(target: string): NewDirectory {
  const directory = new NewDirectory(target);
  mkdirSync(join(directory.path, "member"));
  writeFileSync(join(directory.path, "member", "file"), "text");
  return directory;
}

describe("a new directory", () => {
  for (const state of ["absent", "empty"] as const) {
    it(`is not there before it is published, where the place is ${state}`, () => {
      const target = join(root, state);
      if (state === "empty") mkdirSync(target);
      const directory = build(target);
      assert.ok(isVacant(target));
      directory.publish();
      directory.dispose();
      assert.deepEqual(readdirSync(target), ["member"]);
      assert.ok(!isVacant(target));
    });
  }
});

type Kind = "tmpfs" | "bind";

function mount(kind: Kind, path: string): boolean {
  mkdirSync(path, { recursive: true });
  const other = mkdtempSync(join(root, "other-"));
  const words = kind === "tmpfs" ? ["-t", "tmpfs", "none", path] : ["--bind", other, path];
  return spawnSync("mount", words).status === 0;
}

function mountRefusal(): string | false {
  const path = join(root, "probe");
  if (!mount("bind", path)) return "file systems cannot be mounted here";
  spawnSync("umount", [path]);
  return false;
}

describe("a mount point", { skip: mountRefusal() }, () => {
  for (const kind of ["tmpfs", "bind"] as const) {
    it(`(${kind}) is filled in place, lost+found beside it, and keeps nothing of what was given up`, () => {
      const target = join(root, `mounted-${kind}`);
      assert.ok(mount(kind, target));
      try {
        mkdirSync(join(target, "lost+found"));
        const givenUp = build(target);
        assert.ok(isVacant(target), "what is being built is nothing that could be lost");
        givenUp.dispose();
        assert.deepEqual(readdirSync(target), ["lost+found"]);
        const directory = build(target);
        directory.publish();
        directory.dispose();
        assert.deepEqual(readdirSync(target).sort(), ["lost+found", "member"]);
        assert.ok(existsSync(join(target, "member", "file")));
        assert.ok(!isVacant(target));
      } finally {
        assert.equal(spawnSync("umount", [target]).status, 0);
      }
    });
  }
});
