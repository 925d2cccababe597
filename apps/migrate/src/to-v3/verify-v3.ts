/** Comparing a v2 source with what a v3 cluster holds. Writes nothing. */
import { V3Client, V3Error } from "@etcd2/v3";
import { MigrateError } from "../errors.ts";
import { LeaseTable } from "./target/lease-table.ts";
import { Ownership } from "./target/ownership.ts";
import type { RowOptions } from "./mapping/rows.ts";
import { withSource } from "./run-to-v3.ts";
import type { Source } from "./run-to-v3.ts";
import { rangesAt } from "./target/target-keys.ts";
import { TargetSide } from "./target-side.ts";
import type { Comparison } from "./target-side.ts";
import type { V3Target } from "./target/v3-target.ts";
import { refusal, V3Writer } from "./target/v3-writer.ts";

const PATIENCE_MS = 15_000;

export interface VerifyV3Options extends RowOptions {
  readonly source: Source;
  readonly target: V3Target;
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
}

/** @throws MigrateError */
export async function verifyV3(options: VerifyV3Options): Promise<Comparison> {
  const { space, paths, signal, log } = options;
  const client = new V3Client(options.target);
  const ranges = rangesAt(space, paths.targets);
  const ownership = new Ownership({ client, space, paths, ranges, signal, log });
  const writer = new V3Writer({
    client,
    leases: new LeaseTable(client, signal),
    signal,
    mark: () => ownership.mark(),
    patienceMs: PATIENCE_MS,
    onReachable: (reachable, reason) => {
      log(reachable ? "the target answers again" : `the target cannot be reached (${reason})`);
    },
    onTooLarge: () => undefined,
  });
  const side = new TargetSide({
    ...options,
    client,
    writer,
    ownership,
    policy: "keep",
    ranges,
    hidesHidden: options.source.from !== undefined,
    onNode: () => undefined,
  });
  try {
    return await withSource(options, signal, async (view, live) => {
      await ownership.load();
      return side.compare(live?.roots ?? paths.roots, view);
    });
  } catch (error) {
    if (signal.aborted) throw new MigrateError("interrupted", "interrupted");
    throw error instanceof V3Error ? refusal(error) : error;
  } finally {
    client.close();
  }
}
