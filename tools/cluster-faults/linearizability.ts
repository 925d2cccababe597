/**
 * Concurrent clients against a cluster of real processes under kills, stops and restarts; checks
 * the recorded history and that all members end up equal. Prints the seed: it decides the clients'
 * choices and the faults, though not how the processes' timing plays out.
 *
 *   node --conditions=etcd2-source tools/cluster-faults/linearizability.ts
 *     [--seconds 60] [--rounds 1] [--members 3] [--clients 8] [--keys 4] [--seed N] [--verbose]
 *     [--partitions]  also cut members off from each other (network namespaces: needs root)
 *     [--snapshots]   compact the log every 200 entries, so that members catch up by snapshot
 */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Network } from "./network.ts";
import { runUnderFaults } from "./linearizability-run.ts";

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "60" },
      rounds: { type: "string", default: "1" },
      members: { type: "string", default: "3" },
      clients: { type: "string", default: "8" },
      keys: { type: "string", default: "4" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
      snapshots: { type: "boolean", default: false },
      partitions: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
    },
  });
  for (let round = 0; round < Number(values.rounds); round += 1) {
    const seed = Number(values.seed) + round;
    const started = performance.now();
    const network = values.partitions ? Network.create(Number(values.members)) : undefined;
    const verdict = await runUnderFaults({
      members: Number(values.members),
      clients: Number(values.clients),
      keys: Number(values.keys),
      durationMs: Number(values.seconds) * 1000,
      seed,
      heartbeatMs: 50,
      electionMs: 500,
      flags: values.snapshots
        ? ["--snapshot-count", "200", "--snapshot-catchup-entries", "20"]
        : [],
      ...(network !== undefined && { network }),
      ...(values.verbose && {
        onFault: (text: string) => {
          console.log(text);
        },
      }),
    }).finally(() => network?.close());
    const { operations, unknown, faults, wrongKeys } = verdict;
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(
      `seed ${String(seed)}: ${String(operations.length)} operations, ${String(unknown)} of unknown outcome, ` +
        `${String(faults)} faults, ${seconds} s: ${wrongKeys.length === 0 ? "linearizable, members equal" : `NOT linearizable: ${wrongKeys.join(" ")}`}`,
    );
    if (wrongKeys.length === 0) continue;
    const file = join(tmpdir(), `history-${String(seed)}.json`);
    const bad = operations.filter(({ input }) => wrongKeys.includes(input.key));
    writeFileSync(file, JSON.stringify(bad, null, 1));
    console.log(`operations of these keys: ${file}`);
    process.exitCode = 1;
  }
}

await main();
