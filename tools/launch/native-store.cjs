// Loads the native store for the programs of this folder, once the processor is known to bear it.
"use strict";
require("./processor-check.cjs").requireProcessor();
module.exports = require("@nxtedition/rocksdb");
