// The native store is built for x86-64 processors with AVX2, BMI, FMA, F16C and MOVBE: on others its
// first instruction ends the process without a word. This asks the processor before it is loaded.
"use strict";
const { readFileSync } = require("node:fs");

/** Leaf, word and bit of cpuid, and the name in /proc/cpuinfo. Source: Intel SDM volume 2, CPUID. */
const NEEDED = [
  { name: "avx2", leaf: 1, word: 1, bit: 5 },
  { name: "bmi1", leaf: 1, word: 1, bit: 3 },
  { name: "bmi2", leaf: 1, word: 1, bit: 8 },
  { name: "fma", leaf: 0, word: 2, bit: 12 },
  { name: "movbe", leaf: 0, word: 2, bit: 22 },
  { name: "f16c", leaf: 0, word: 2, bit: 29 },
];

/** The first half of what the C library keeps for a leaf is what there is, the second what is usable. */
const USABLE_WORDS = 4;

/** What the C library found by asking the processor itself; undefined before glibc 2.33. */
function byCLibrary() {
  try {
    const { dlopen, getUint32 } = require("node:ffi");
    const { functions } = dlopen(null, {
      __x86_get_cpuid_feature_leaf: { arguments: ["uint32"], return: "pointer" },
    });
    return ({ leaf, word, bit }) => {
      const address = functions.__x86_get_cpuid_feature_leaf(leaf);
      return (getUint32(address, 4 * (USABLE_WORDS + word)) & (1 << bit)) !== 0;
    };
  } catch {
    return undefined;
  }
}

/** What the kernel says; undefined where it says nothing. */
function byKernel() {
  try {
    const [, flags] = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "latin1")) ?? [];
    if (flags === undefined) return undefined;
    const names = new Set(flags.trim().split(" "));
    return ({ name }) => names.has(name);
  } catch {
    return undefined;
  }
}

/**
 * Names of what the native store needs and this processor lacks; empty when it is not known.
 * `has` answers for one of them.
 */
function missingFeatures(has = probe()) {
  return has === undefined ? [] : NEEDED.filter((need) => !has(need)).map(({ name }) => name);
}

function probe() {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  return byCLibrary() ?? byKernel();
}

/** Ends the process with one line when the native store cannot run here. */
function requireProcessor() {
  const missing = missingFeatures();
  if (missing.length === 0) return;
  process.stderr.write(
    `etcd2: this processor lacks ${missing.join(", ")}, which the storage engine is built for ` +
      "(x86-64-v3: Intel Haswell or AMD Zen and later; of a virtual machine, choose the processor " +
      "type of the host)\n",
  );
  process.exit(1);
}

module.exports = { missingFeatures, requireProcessor };
