/** What a release is made of, short of building one: that is `node tools/release.ts` itself. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Lockfile } from "../release/lockfile.ts";
import { publish } from "../release/publish.ts";
import { sbom } from "../release/sbom.ts";
import { checkBundled, removeDeadLinks } from "../release/stage.ts";

const directory = mkdtempSync(join(tmpdir(), "etcd2-release-test-"));
after(() => {
  rmSync(directory, { recursive: true, force: true });
});

const lock = new Lockfile(
  JSON.stringify({
    packages: {
      "apps/a": { version: "1.0.0", dependencies: { b: "^1", "@etcd2/c": "1" } },
      "node_modules/@etcd2/c": { link: true, resolved: "libs/c" },
      "libs/c": { version: "1.0.0", dependencies: { b: "^2", tool: "1" } },
      "libs/c/node_modules/b": { version: "2.0.0", license: "MIT" },
      "node_modules/b": { version: "1.5.0", integrity: "sha512-3q2+7w==", license: "MIT OR ISC" },
      "node_modules/tool": { version: "3.0.0" },
      "node_modules/unrelated": { version: "9.0.0" },
    },
  }),
);

test("packages are found as the runtime finds them, nearest copy first, links followed", () => {
  const found = lock.closure(["apps/a"], new Set(["tool"]));
  assert.deepEqual(
    found.map(({ path, version }) => `${path} ${version}`),
    ["apps/a 1.0.0", "libs/c 1.0.0", "libs/c/node_modules/b 2.0.0", "node_modules/b 1.5.0"],
  );
  assert.deepEqual(found[1]?.needs, ["libs/c/node_modules/b"]);
});

test("what a package only may have counts where it is installed", () => {
  const found = new Lockfile(
    JSON.stringify({
      packages: {
        a: {
          name: "a",
          version: "1.0.0",
          optionalDependencies: { colours: "1", missing: "1" },
          peerDependenciesMeta: { terminal: { optional: true } },
        },
        "node_modules/colours": { version: "1.0.0" },
        "node_modules/terminal": { version: "2.0.0", dev: true },
      },
    }),
  ).closure(["a"]);
  assert.deepEqual(
    found.map(({ name }) => name),
    ["a", "colours", "terminal"],
  );
});

test("a bundle with a package that is not listed is no release", () => {
  const map = (path: string): string => JSON.stringify({ sources: ["../src/main.ts", path] });
  const packages = lock.closure(["apps/a"]);
  checkBundled([map("../../../node_modules/b/index.js")], packages);
  checkBundled([map("../../node_modules/b/node_modules/tool/x.js")], packages);
  for (const path of ["../node_modules/stray/x.js", "../node_modules/b/node_modules/@s/t/x.js"]) {
    assert.throws(() => {
      checkBundled([map(path)], packages);
    }, /a bundle has (stray|@s\/t), which the list of packages does not have/);
  }
});

test("a dependency that the lock file does not have is an error, not an omission", () => {
  const torn = new Lockfile('{"packages":{"a":{"version":"1","dependencies":{"gone":"1"}}}}');
  assert.throws(() => torn.closure(["a"]), /no gone, which a needs/);
});

test("the bill of materials names each package once, with hashes and a closed graph", () => {
  const make = (): string =>
    sbom({
      name: "etcd2",
      version: "1.2.3",
      timestamp: "2026-01-01T00:00:00.000Z",
      packages: lock.closure(["apps/a"]),
      roots: ["apps/a"],
      libraries: [{ file: "libthing.so.6", license: "MIT" }],
      embedded: [{ name: "engine", version: undefined, license: "ISC", within: "tool" }],
    });
  const document = JSON.parse(make()) as {
    serialNumber: string;
    metadata: { component: { "bom-ref": string } };
    components: { "bom-ref": string; purl: string; hashes?: unknown; licenses?: unknown }[];
    dependencies: { ref: string; dependsOn: string[] }[];
  };
  assert.equal(make(), JSON.stringify(document, null, 2) + "\n");
  assert.match(document.serialNumber, /^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  const references = new Set(document.components.map((component) => component["bom-ref"]));
  assert.equal(references.size, 7);
  for (const { ref, dependsOn } of document.dependencies) {
    assert.ok(references.has(ref) || ref === document.metadata.component["bom-ref"]);
    for (const needed of dependsOn) assert.ok(references.has(needed), needed);
  }
  const outer = document.components.find(({ purl }) => purl === "pkg:npm/b@1.5.0");
  assert.ok(references.has("pkg:generic/libthing@6"));
  assert.deepEqual(document.dependencies[0]?.dependsOn.at(-1), "pkg:generic/libthing@6");
  const tool = document.dependencies.find(({ ref }) => ref.startsWith("pkg:npm/tool@"));
  assert.deepEqual(tool?.dependsOn, ["pkg:generic/engine"]);
  assert.deepEqual(outer?.hashes, [{ alg: "SHA-512", content: "deadbeef" }]);
  assert.deepEqual(outer.licenses, [{ expression: "MIT OR ISC" }]);
});

test("an archive comes with its checksum and is the same from the same files", async () => {
  const release = {
    name: "thing",
    directory: join(directory, "good"),
    epochSeconds: 1_700_000_000,
    sbom: "{}\n",
    stage: (folder: string) => {
      writeFileSync(join(folder, "file"), "content");
    },
  };
  const first = readFileSync(await publish(release));
  const second = readFileSync(await publish(release));
  assert.ok(first.equals(second));
  const digest = createHash("sha256").update(second).digest("hex");
  const checksum = readFileSync(join(release.directory, "thing.tar.gz.sha256"), "utf8");
  assert.equal(checksum, `${digest}  thing.tar.gz\n`);
  assert.deepEqual(readdirSync(release.directory).sort(), [
    "thing.cdx.json",
    "thing.tar.gz",
    "thing.tar.gz.sha256",
  ]);
});

test("a build that fails leaves nothing, not even the archive of an earlier one", async () => {
  const target = join(directory, "bad");
  mkdirSync(target);
  writeFileSync(join(target, "thing.tar.gz"), "an earlier release");
  mkdirSync(join(target, ".release-killed"));
  await assert.rejects(
    publish({
      name: "thing",
      directory: target,
      epochSeconds: 0,
      sbom: "{}\n",
      stage: (folder) => {
        writeFileSync(join(folder, "half"), "half");
        throw new Error("the compiler fell over");
      },
    }),
    /fell over/,
  );
  assert.ok(existsSync(target));
  assert.deepEqual(readdirSync(target), []);
});

test("links of the archive's pages lead somewhere, or are plain text", () => {
  const folder = join(directory, "pages");
  mkdirSync(join(folder, "docs"), { recursive: true });
  writeFileSync(join(folder, "docs", "a.md"), "see [up](../README.md#top) and [gone](b.md)\n");
  writeFileSync(
    join(folder, "README.md"),
    "[a](docs/a.md) [x](src/x.ts) [y](https://y.example/)\n",
  );
  removeDeadLinks(folder);
  const read = (page: string): string => readFileSync(join(folder, page), "utf8");
  assert.equal(read("docs/a.md"), "see [up](../README.md#top) and gone\n");
  assert.equal(read("README.md"), "[a](docs/a.md) x [y](https://y.example/)\n");
});
