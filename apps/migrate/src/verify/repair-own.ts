/** Repair of this project's own directories: a torn end of the log, as the server would cut it. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { readWal, Wal } from "@etcd2/raft/wal";
import type { SourceOwn } from "../detect.ts";
import { MigrateError } from "../errors.ts";
import { copyAside } from "./copy-aside.ts";
import { ownRemedy } from "./own-remedy.ts";
import type { Repair } from "./repair-result.ts";

/** @throws MigrateError "corrupt" for damage that is no torn end. */
export async function repairOwn(source: SourceOwn): Promise<Repair> {
  const { walDir } = source;
  for (const item of readWal(walDir)) {
    if (item.kind !== "damage") continue;
    const { damage } = item;
    const file = join(walDir, damage.file);
    if (damage.kind === "corruption") {
      throw new MigrateError("corrupt", damage.problem, {
        file,
        offset: damage.offset,
        remedy: ownRemedy(damage),
      });
    }
    const offset = damage.batchOffset;
    const bytes = statSync(file).size - offset;
    const copy = copyAside(file);
    // The caller holds the lock. Opening cuts the end; closing leaves the log in good order.
    const { wal } = await Wal.open(walDir, { unlock: () => undefined });
    await wal.close();
    return { cut: { file, offset, bytes, kind: "cutShort" }, copies: [copy] };
  }
  return { cut: undefined, copies: [] };
}
