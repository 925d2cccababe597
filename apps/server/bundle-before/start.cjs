"use strict";
// The launcher's library path was for the runtime, not for the programs that this one starts.
const [first = "", ...others] = (process.env.LD_LIBRARY_PATH ?? "").split(":");
if (first.endsWith("/runtime/lib")) {
  if (others.length > 0) process.env.LD_LIBRARY_PATH = others.join(":");
  else delete process.env.LD_LIBRARY_PATH;
}
// Compiled code is kept between runs; without a writable place the program just starts slower.
require("node:module").enableCompileCache(require("node:path").join(__dirname, ".cache"));
require("./main.cjs");
