/**
 * The simulated state machine: registers written by numbered operations, the membership, and a
 * digest of everything applied, so that two machines at one index can be compared at a glance.
 * Its state is plain data that is never changed in place, so a copy is a reference. It knows
 * nothing of logs, disks and clusters.
 */
import { validateConfChange } from "../../src/core/membership/confchange.ts";
import type { ConfChange, ConfState, Entry, Index, Term } from "../../src/core/model/types.ts";
import { text } from "../core/host.ts";

/** The latest write of a register. */
export interface Register {
  readonly id: number;
  readonly index: Index;
}

export interface MachineState {
  readonly index: Index;
  readonly term: Term;
  readonly conf: ConfState;
  readonly digest: number;
  readonly registers: ReadonlyMap<string, Register>;
}

/** A write as it stands in the log: "key id". */
export interface Write {
  readonly key: string;
  readonly id: number;
}

export function encodeWrite({ key, id }: Write): Uint8Array {
  return new TextEncoder().encode(`${key} ${id} ${"x".repeat(id % 97)}`);
}

export function decodeWrite(data: Uint8Array): Write {
  const [key = "", id = ""] = text(data).split(" ");
  return { key, id: Number(id) };
}

export function initialState(conf: ConfState): MachineState {
  return { index: 0, term: 0, conf, digest: 0, registers: new Map() };
}

/** The digest after one more entry. */
export function digestAfter(digest: number, { index, term, type, data }: Entry): number {
  let hash = Math.imul(digest ^ index, 0x01000193) ^ Math.imul(term + 1, 0x9e3779b1);
  if (type === "confChange") hash = Math.imul(hash ^ 0x55, 0x01000193);
  for (const byte of data) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/**
 * Whether the members accept a committed change. Beyond what is impossible they refuse to remove so
 * many voters at once that the rest is no majority of the old ones: raft that lets a change count
 * from when it is applied cannot promise to elect a leader then.
 */
export function isAcceptable(conf: ConfState, change: ConfChange): boolean {
  if (validateConfChange(conf, change) !== undefined) return false;
  const gone = new Set<string>();
  for (const { type, nodeId } of change.changes) if (type !== "addVoter") gone.add(nodeId);
  const rest = conf.voters.filter((id) => !gone.has(id)).length;
  return change.changes.length === 0 || rest * 2 > conf.voters.length;
}
