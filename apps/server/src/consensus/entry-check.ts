/**
 * Judges entries that other members send before they enter the log: one that cannot be decoded, or
 * asks for a change no member of this product makes, would stop every member that applies it, after
 * every restart again. Knows the encodings; what an entry does is the applier's business.
 */
import { decodeConfChange } from "@etcd2/raft";
import type { Entry } from "@etcd2/raft";
import { decodeCommand } from "@etcd2/store";
import { messageOf } from "../base/message-of.ts";

function checkConfChange(data: Uint8Array): void {
  const { changes, transition } = decodeConfChange(data);
  // Members are changed one at a time here, so there is never a joint configuration to leave.
  if (changes.length !== 1 || transition !== "auto") {
    throw new Error(`${changes.length} changes, ${transition}, in place of one`);
  }
}

/** Why an entry must not be appended; undefined when it may. */
export function validateEntry({ type, data }: Entry): string | undefined {
  try {
    if (type === "confChange") checkConfChange(data);
    else if (data.length > 0) decodeCommand(data);
    return undefined;
  } catch (error) {
    const reason = messageOf(error);
    return `an entry that cannot be applied: ${reason}`;
  }
}
