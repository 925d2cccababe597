/**
 * The rules of folders: what they refuse, shown on made-up projects, and that every library and
 * program of the repository keeps them.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FILES_MAX, folderFaults, readImports } from "../../tidy/folders.ts";
import type { FolderRules, Imports } from "../../tidy/folders.ts";

const root = join(import.meta.dirname, "..", "..", "..");

const RULES: FolderRules = { folders: ["errors.ts", "core", "io"], pure: ["core"] };

function faults(imports: Record<string, readonly string[]>, rules = RULES): string[] {
  const all: Imports = new Map(
    Object.entries({ "errors.ts": [], "core/a.ts": [], "io/b.ts": ["node:fs"], ...imports }),
  );
  return folderFaults(rules, all);
}

test("imports that lead downwards are allowed, in the root from everywhere", () => {
  assert.deepEqual(faults({ "io/b.ts": ["core/a.ts", "errors.ts"], "index.ts": ["io/b.ts"] }), []);
});

test("imports that lead upwards are refused", () => {
  assert.deepEqual(faults({ "errors.ts": ["core/a.ts"] }), [
    "errors.ts imports core/a.ts from a folder above its own",
  ]);
  assert.deepEqual(faults({ "io/b.ts": ["index.ts"], "index.ts": [] }), [
    "io/b.ts imports index.ts from a folder above its own",
  ]);
});

test("a folder may stand above the files in the root", () => {
  const rules = { folders: ["core", "io", ".", "node"], pure: [] };
  assert.deepEqual(faults({ "index.ts": ["io/b.ts"], "node/e.ts": ["index.ts"] }, rules), []);
  assert.deepEqual(faults({ "index.ts": ["node/e.ts"], "node/e.ts": [] }, rules), [
    "index.ts imports node/e.ts from a folder above its own",
  ]);
});

test("pure code imports nothing but pure code", () => {
  for (const name of ["node:fs", "@etcd2/proto", "errors.ts"]) {
    assert.deepEqual(faults({ "core/a.ts": [name] }), [
      `core/a.ts imports ${name}, and pure code imports pure code only`,
    ]);
  }
});

test("files that import each other in a circle are refused", () => {
  const imports = { "io/b.ts": ["io/c.ts"], "io/c.ts": ["io/d.ts"], "io/d.ts": ["io/b.ts"] };
  assert.deepEqual(faults(imports), ["files import each other: io/b.ts, io/c.ts, io/d.ts"]);
});

test("folders are listed, exist and are not crowded", () => {
  assert.deepEqual(faults({ "new/e.ts": [] }), [
    'the folder new has no place in "folders" of package.json',
  ]);
  assert.deepEqual(faults({}, { folders: ["errors.ts", "core", "io", "gone"], pure: [] }), [
    "package.json speaks of gone, which does not exist",
  ]);
  const many = Array.from({ length: FILES_MAX }, (_, at): [string, []] => [`io/${at}.ts`, []]);
  assert.deepEqual(faults(Object.fromEntries(many)), [
    `io holds ${FILES_MAX + 1} files, more than ${FILES_MAX}`,
  ]);
});

const projects = ["libs", "apps"].flatMap((parent) =>
  readdirSync(join(root, parent))
    .map((name) => `${parent}/${name}`)
    .filter((project) => existsSync(join(root, project, "package.json"))),
);

for (const project of projects) {
  test(`${project} keeps its folders in order`, () => {
    const manifest = JSON.parse(readFileSync(join(root, project, "package.json"), "utf8")) as {
      readonly etcd2?: Partial<FolderRules>;
    };
    const { folders = [], pure = [] } = manifest.etcd2 ?? {};
    const imports = readImports(join(root, project, "src"));
    assert.ok(imports.size > 0);
    assert.deepEqual(folderFaults({ folders, pure }, imports), []);
  });
}
