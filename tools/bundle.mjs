// Bundles one app into bundle/: `main.cjs` (and any further entry named in package.json
// "etcd2.entries"), plus `start.cjs`, which switches the compile cache on and loads main. An entry
// that main imports dynamically stays a file of its own, read and compiled when it is asked for.
// A package named in "etcd2.shared" becomes a file of its own too, which all entries share.
// CommonJS output, because ESM output breaks on CommonJS dependencies; the native store stays
// outside and is found through node_modules, by way of `native-store.cjs`, which checks the
// processor first. The folder is replaced whole, once all is well.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";

const project = resolve(process.argv[2] ?? ".");
const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
const entries = ["src/main.ts", ...(manifest.etcd2?.entries ?? [])];
const shared = manifest.etcd2?.shared ?? [];
const target = join(project, "bundle");
const outdir = `${target}.${process.pid}.tmp`;

/** The commit, with "-dirty" after it when files differ; nothing outside a git checkout. */
function gitSha() {
  const given = process.env.ETCD2_GIT_SHA;
  if (given) return given;
  try {
    const words = ["describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"];
    const options = { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
    return execFileSync("git", words, options).trim();
  } catch {
    return "";
  }
}

const sha = gitSha();

/** What the console's build left, for the server to carry; nothing where it is not built or asked for. */
function consoleFiles() {
  const file = join(project, "..", "console", "bundle", "files.json");
  if (basename(project) !== "server" || !existsSync(file)) return {};
  return { "process.env.ETCD2_CONSOLE_FILES": JSON.stringify(readFileSync(file, "utf8")) };
}

const nameOf = (file) => basename(file, ".ts");

/** What is imported dynamically and is an entry is not bundled a second time. */
const separateEntries = {
  name: "separate-entries",
  setup({ onResolve }) {
    const files = new Set(entries.map((entry) => join(project, entry)));
    onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
      const file = join(resolveDir, path);
      if (kind !== "dynamic-import" || !files.has(file)) return undefined;
      return { path: `./${nameOf(file)}.cjs`, external: true };
    });
  },
};

const sharedName = (name) => basename(name);

/** Shared packages are there once, whoever of the entries asks for them. */
const sharedPackages = {
  name: "shared-packages",
  setup({ onResolve }) {
    onResolve({ filter: /^@?[a-z]/ }, ({ kind, path }) => {
      if (kind === "entry-point" || !shared.includes(path)) return undefined;
      return { path: `./${sharedName(path)}.cjs`, external: true };
    });
  },
};

/** The native store is loaded by a file of its own, in any folder that asks for it. */
let usesNativeStore = false;
const nativeStore = {
  name: "native-store",
  setup({ onResolve }) {
    onResolve({ filter: /^@nxtedition\/rocksdb$/ }, () => {
      usesNativeStore = true;
      return { path: "./native-store.cjs", external: true };
    });
  },
};

/** The ESM build of OpenTelemetry asks for CommonJS packages at run time, behind our back. */
const commonJsTelemetry = {
  name: "commonjs-telemetry",
  setup({ onResolve, resolve: find }) {
    onResolve({ filter: /^@opentelemetry\// }, ({ kind, path, resolveDir, pluginData }) => {
      if (pluginData === "again" || kind === "require-call") return undefined;
      return find(path, { kind: "require-call", resolveDir, pluginData: "again" });
    });
  },
};

mkdirSync(outdir, { recursive: true });
process.on("exit", () => rmSync(outdir, { recursive: true, force: true }));
await build({
  absWorkingDir: project,
  entryPoints: [
    ...entries.map((entry) => ({ in: entry, out: nameOf(entry) })),
    ...shared.map((name) => ({ in: name, out: sharedName(name) })),
  ],
  outdir,
  outExtension: { ".js": ".cjs" },
  bundle: true,
  platform: "node",
  target: "node26",
  format: "cjs",
  conditions: ["etcd2-source"],
  // Dynamic imports become calls of require, which a single executable can answer from within.
  supported: { "dynamic-import": false },
  plugins: [separateEntries, sharedPackages, nativeStore, commonJsTelemetry],
  minifySyntax: true,
  minifyWhitespace: true,
  keepNames: false,
  sourcemap: "linked",
  sourcesContent: false,
  legalComments: "none",
  logLevel: "warning",
  define: {
    "process.env.ETCD2_VERSION": JSON.stringify(manifest.version),
    ...consoleFiles(),
    ...(sha === "" ? {} : { "process.env.ETCD2_GIT_SHA": JSON.stringify(sha) }),
  },
});
if (usesNativeStore) {
  for (const file of ["native-store.cjs", "processor-check.cjs"]) {
    copyFileSync(join(import.meta.dirname, "launch", file), join(outdir, file));
  }
}
writeFileSync(
  join(outdir, "start.cjs"),
  `"use strict";
// The launcher's library path was for the runtime, not for the programs that this one starts.
const [first = "", ...others] = (process.env.LD_LIBRARY_PATH ?? "").split(":");
if (first.endsWith("/runtime/lib")) {
  if (others.length > 0) process.env.LD_LIBRARY_PATH = others.join(":");
  else delete process.env.LD_LIBRARY_PATH;
}
// Compiled code is kept between runs; without a writable place the program just starts slower.
require("node:module").enableCompileCache(require("node:path").join(__dirname, ".cache"));
require("./main.cjs");
`,
);
rmSync(target, { recursive: true, force: true });
renameSync(outdir, target);
console.log(`bundled ${basename(project)}: ${entries.join(", ")}`);
