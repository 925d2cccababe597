/** What a repair did, whichever kind of directory it was. */
import type { TailDamage } from "../tail.ts";

/** The outcome of `etcd-migrate repair` on one directory. */
export interface Repair {
  /** Undefined when there was nothing to cut. */
  readonly cut: TailDamage | undefined;
  /** Copies of the files as they were. */
  readonly copies: readonly string[];
}
