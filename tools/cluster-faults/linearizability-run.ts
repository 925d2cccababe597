/**
 * One run of clients against a cluster under faults, and its verdict: is the history linearizable,
 * and do all members hold the same tree once everything is well again?
 */
import { checkHistory, registerModel } from "@etcd2/checker";
import type { Model, RegisterOutput } from "@etcd2/checker";
import { seededRandom } from "@etcd2/test-support";
import { Cluster } from "./cluster.ts";
import { Faults } from "./faults.ts";
import { HistoryClients } from "./history.ts";
import type { HistoryOperation, KeyedInput } from "./history.ts";
import type { Network } from "./network.ts";

export interface RunOptions {
  readonly members: number;
  readonly clients: number;
  readonly keys: number;
  readonly durationMs: number;
  /** Goes on beyond the duration until so much has happened: a slow machine does less in a second. */
  readonly atLeast?: {
    readonly operations: number;
    readonly faults: number;
    readonly withinMs: number;
  };
  readonly seed: number;
  readonly heartbeatMs: number;
  readonly electionMs: number;
  readonly flags: readonly string[];
  /** Members that can be cut off from each other. */
  readonly network?: Network;
  readonly onFault?: (text: string) => void;
}

export interface RunVerdict {
  readonly operations: readonly HistoryOperation[];
  readonly unknown: number;
  readonly faults: number;
  /** Keys whose history no order explains. */
  readonly wrongKeys: readonly string[];
}

/** @throws Error with the members' consoles when the cluster does not recover or members differ. */
export async function runUnderFaults(options: RunOptions): Promise<RunVerdict> {
  const { members: size, clients, keys, heartbeatMs, electionMs, flags, seed } = options;
  const { network } = options;
  const cluster = await Cluster.start({
    ...{ size, heartbeatMs, electionMs, flags },
    ...(network !== undefined && { place: (at) => network.place(at) }),
  });
  try {
    const recorder = new HistoryClients({
      urls: cluster.members.map((member) => member.clientUrl),
      clients,
      keys,
      slotMs: 2000,
      timeoutMs: 5000,
      random: seededRandom(seed),
    });
    const faults = new Faults(cluster, {
      random: seededRandom(seed + 1),
      restMs: 600,
      ...(network !== undefined && {
        setPeerLink: (at: number, state: "up" | "down") => {
          network.setPeerLink(at, state);
        },
      }),
      ...(options.onFault !== undefined && { onFault: options.onFault }),
    });
    await faults.run(options.durationMs);
    const { atLeast } = options;
    const deadline = performance.now() + (atLeast?.withinMs ?? 0);
    while (
      atLeast !== undefined &&
      (recorder.operations.length < atLeast.operations || faults.count < atLeast.faults) &&
      performance.now() < deadline
    ) {
      await faults.run(1000);
    }
    await cluster.ready(30_000);
    await recorder.stop();
    await cluster.sameTree("/register", 30_000);
    const { operations, unknownCount } = recorder;
    const model: Model<string | null, KeyedInput, RegisterOutput> = registerModel;
    const wrongKeys = checkHistory(operations, model, ({ key }) => key);
    return { operations, unknown: unknownCount, faults: faults.count, wrongKeys };
  } catch (error) {
    const consoles = cluster.members.map(({ name, log }) => `${name}:\n${log.slice(-6000)}`);
    throw new Error([String(error), ...consoles].join("\n----\n"), { cause: error });
  } finally {
    await cluster.close();
  }
}
