/**
 * Sends the same seeded random requests to the server under test and to another one that speaks
 * the v2 API, such as `/usr/bin/etcd --enable-v2` of version 3.4, and shows where they differ.
 *
 *     node --conditions=etcd2-source tools/differential/differential.ts --comparator COMMAND
 *
 * Both commands must take etcd's flags. Ends with 1 when there was a difference.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SeededRandom } from "@etcd2/test-support";
import { AREAS, compareArea } from "./areas.ts";
import { startPair } from "./server-pair.ts";

const SERVER = join(import.meta.dirname, "..", "..", "apps", "server", "bin", "etcd");

const { values: options } = parseArgs({
  options: {
    comparator: { type: "string" },
    server: { type: "string", default: SERVER },
    area: { type: "string", default: "keys" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    /** Requests; rounds in the area "watch". */
    steps: { type: "string", default: "5000" },
    /** Differences printed at most. */
    shown: { type: "string", default: "20" },
  },
});

const area = AREAS.find((name) => name === options.area);
if (options.comparator === undefined || area === undefined) {
  console.error(`usage: differential.ts --comparator COMMAND [--area ${AREAS.join("|")}]`);
  console.error("         [--server COMMAND] [--seed N] [--steps N] [--shown N]");
  process.exit(2);
}

const pair = await startPair(options.server.split(" "), options.comparator.split(" "));
let count = 0;
try {
  await compareArea({
    area,
    random: new SeededRandom(Number(options.seed)),
    urls: pair.map((server) => server.url),
    steps: Number(options.steps),
    report: (text) => {
      count++;
      if (count <= Number(options.shown)) console.log(text);
    },
  });
  for (const server of pair) if (!server.isAlive) console.log(`${server.url} has died`);
} finally {
  for (const server of pair) await server.stop();
}
console.log(`${area}, seed ${options.seed}: ${options.steps} steps, ${count} differences`);
process.exitCode = count === 0 ? 0 : 1;
