/** The entry: the process's surroundings handed to the program, and its status handed back. */
import { basename } from "node:path";
import { runEtcdctl } from "./program.ts";
import { ProcessTerminal } from "./cli/terminal.ts";

/** As the program was called, if that still says what it is. */
function calledName(): string {
  const path = process.argv[1] ?? "";
  return basename(path).startsWith("etcdctl") ? path : "etcdctl";
}

const words = process.argv.slice(2);
void runEtcdctl(calledName(), words, process.env, new ProcessTerminal()).then((exitCode) => {
  process.exitCode = exitCode;
});
