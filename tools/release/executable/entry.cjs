// The first code of the self-contained executable: decides which program it was called as, and runs
// its bundle from the assets inside. One file serves under three names; ETCD2_PROGRAM, which the small
// launchers beside it set, counts more than the name.
"use strict";
const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { tmpdir } = require("node:os");
const { basename, dirname, join } = require("node:path");
const { getAsset, getAssetKeys, getRawAsset } = require("node:sea");
const vm = require("node:vm");
const workerThreads = require("node:worker_threads");

/** The names people type, longest first, and the folder of the assets of each. */
const PROGRAMS = [
  ["etcd-migrate", "migrate"],
  ["etcdctl", "etcdctl"],
  ["etcd", "server"],
];

// The library that the launcher preloads is for this process, not for those that it starts.
if (process.env.ETCD2_PRELOADED !== undefined) {
  if (process.env.ETCD2_PRELOADED === "") delete process.env.LD_PRELOAD;
  else process.env.LD_PRELOAD = process.env.ETCD2_PRELOADED;
  delete process.env.ETCD2_PRELOADED;
}

const assets = new Set(getAssetKeys());
// Finds what is built in, so any path will do; that of this file is not known where /proc is missing.
const builtIn = createRequire("/etcd2");

function chosenProgram() {
  const given = process.env.ETCD2_PROGRAM;
  delete process.env.ETCD2_PROGRAM;
  const called = basename(given ?? process.argv[1] ?? process.execPath);
  const program = PROGRAMS.find(([name]) => called.startsWith(name)) ?? PROGRAMS.at(-1);
  if (given !== undefined) process.argv[1] = join(dirname(process.execPath), program[0]);
  return program;
}

/** Threads begin with assets as well. */
class AssetWorker extends workerThreads.Worker {
  constructor(file, options) {
    const source = assets.has(file) ? getAsset(file, "utf8") : undefined;
    if (source === undefined) super(file, options);
    else super(source, { ...options, eval: true });
  }
}
const threads = { ...workerThreads, Worker: AssetWorker };

const [, folder] = chosenProgram();

/** Modules inside the executable, by the names of their assets. */
const loaded = new Map();
/** Their compiled scripts: see keepCompiled(). */
const scripts = new Map();

function load(name) {
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  const module = { exports: {}, id: name, filename: name, loaded: false };
  loaded.set(name, module);
  const source = getAsset(name, "utf8");
  const cacheName = `${name}.cache`;
  const script = new vm.Script(
    `(function (exports, require, module, __filename, __dirname) {${source}\n})`,
    {
      filename: name,
      cachedData: assets.has(cacheName) ? Buffer.from(getRawAsset(cacheName)) : undefined,
      importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    },
  );
  scripts.set(name, script);
  const run = script.runInThisContext();
  run.call(module.exports, module.exports, requireFrom(name), module, name, dirname(name));
  module.loaded = true;
  return module.exports;
}

function requireFrom(parent) {
  return Object.assign(
    (specifier) => {
      if (specifier === "etcd2:native-module") return nativeModule();
      if (specifier === "@nxtedition/rocksdb") return load("rocksdb.cjs");
      if (/^(?:node:)?worker_threads$/.test(specifier)) return threads;
      if (!specifier.startsWith("./")) return builtIn(specifier);
      const shared = specifier.slice(2);
      return load(assets.has(shared) ? shared : `${dirname(parent)}/${shared}`);
    },
    { resolve: builtIn.resolve, cache: builtIn.cache },
  );
}

/**
 * The storage engine as the runtime wants it: a file. It is written to a folder that was just made for
 * this process alone, and removed once it is loaded, so that there is nothing to find or to tamper with.
 */
function nativeModule() {
  const bytes = Buffer.from(getRawAsset("native-module.node"));
  const reasons = [];
  for (const parent of [tmpdir(), "/dev/shm", "/var/tmp", dirname(process.execPath)]) {
    let own;
    try {
      own = mkdtempSync(join(parent, "etcd2-"));
      const file = join(own, "rocksdb.node");
      writeFileSync(file, bytes, { mode: 0o500 });
      const module = { exports: {} };
      process.dlopen(module, file);
      return module.exports;
    } catch (error) {
      reasons.push(`${parent}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      if (own !== undefined) rmSync(own, { recursive: true, force: true });
    }
  }
  process.stderr.write(
    "etcd2: the storage engine cannot be loaded; it needs a folder that may be written and from which " +
      `programs may run (set TMPDIR): ${reasons.join("; ")}\n`,
  );
  process.exit(1);
}

/**
 * ETCD2_KEEP_COMPILED names a folder: what was compiled goes there when the process ends or gets
 * SIGUSR2. Only whoever makes the executable uses it.
 */
function keepCompiled(target) {
  delete process.env.ETCD2_KEEP_COMPILED;
  const keep = () => {
    for (const [name, script] of scripts) {
      writeFileSync(join(target, `${name.replace("/", ".")}.cache`), script.createCachedData());
    }
    writeFileSync(join(target, "kept"), "");
  };
  process.once("exit", keep);
  process.once("SIGUSR2", keep);
}

if (process.env.ETCD2_KEEP_COMPILED !== undefined) keepCompiled(process.env.ETCD2_KEEP_COMPILED);
if (folder !== "etcdctl") process.umask(0o077);
load(`${folder}/main.cjs`);
