/**
 * The rows that a member keeps beside the tree, in the state machine's meta space. Names that begin
 * with "local" are this member's own and stay out of snapshots.
 */
import type { ConfState } from "@etcd2/raft/wal";
import { decodeConfState, EMPTY_CONF_STATE, encodeConfState } from "@etcd2/raft/wal";
import type { StateMachine } from "@etcd2/store";

/** The configuration of raft as of the applied entry. */
export const META_CONF_STATE = "conf-state";
/** Members given at bootstrap, while their log entries may be missing still; a JSON document. */
export const META_BOOTSTRAP = "local-bootstrap";
/** The index of the snapshot that the state was received as, in decimal digits. */
export const META_INSTALLED = "local-installed-index";

/** The configuration that the state machine has kept; empty when it has none yet. */
export function confStateIn(machine: Pick<StateMachine, "readMeta">): ConfState {
  const bytes = machine.readMeta(META_CONF_STATE);
  return bytes === undefined ? EMPTY_CONF_STATE : decodeConfState(bytes);
}

/** The row that keeps a configuration, to be applied with the entry that made it. */
export function confStateRow(confState: ConfState): readonly [string, Uint8Array] {
  return [META_CONF_STATE, encodeConfState(confState)];
}

/** A configuration that is not joint. Learners: default none. */
export function simpleConfState(
  voters: readonly string[],
  learners: readonly string[] = [],
): ConfState {
  return { ...EMPTY_CONF_STATE, voters, learners };
}
