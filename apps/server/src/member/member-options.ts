/** What a member is made of and told by whoever starts it. Types only. */
import type { PasswordHasher } from "@etcd2/api-v2";
import type { EtcdError, WriteAction } from "@etcd2/store";
import type { ConsensusOptions } from "../consensus/consensus-options.ts";
import type { Consensus } from "../consensus/consensus.ts";
import type { ServerOps } from "./etcd-server.ts";

export interface MemberOptions extends ConsensusOptions {
  readonly clientURLs: readonly string[];
  /** Entries applied since the last compaction of the log that trigger the next. */
  readonly snapshotCount: number;
  /** Entries kept for followers that lag when the log is compacted. */
  readonly catchUpEntries: number;
  readonly strictReconfigCheck: boolean;
  readonly passwords: PasswordHasher;
  /** Milliseconds between two comparisons of this member's state with the others'; 0 for none. */
  readonly stateCheckMs: number;
  /** Why client writes are refused just now; undefined when they are not. */
  readonly writeRefusal: (action: WriteAction) => EtcdError | undefined;
  /** Why the member is unhealthy although it has a leader; "" when it is not. */
  readonly alarm: () => string;
  /** What the server reports about its process and about this consensus. */
  readonly ops: (consensus: Consensus) => ServerOps;
}
