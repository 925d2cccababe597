/**
 * Owns how members and clusters get their identifiers: the first eight bytes of a SHA-1, exactly
 * as etcd 2.3.8 computes them, so that a migrated or mixed set-up keeps its names. Inside the
 * program an id is always 16 lower-case hexadecimal digits; people see it without leading zeros.
 */
import { createHash } from "node:crypto";
import type { NodeId } from "@etcd2/raft/wal";

function firstEightBytes(data: string | Uint8Array): NodeId {
  return createHash("sha1").update(data).digest("hex").slice(0, 16);
}

/** What the id of a member is computed from. */
export interface MemberIdSource {
  /** In any order. */
  readonly peerUrls: readonly string[];
  /** The initial cluster token, or the discovery URL when one is used. */
  readonly token: string;
  /** Unix time of the addition for members added at run time; absent for initial members. */
  readonly addedAtSeconds?: number;
}

/** The id of a member, from what it is started or added with. */
export function memberId(source: MemberIdSource): NodeId {
  const urls = [...source.peerUrls].sort().join("");
  const time = source.addedAtSeconds === undefined ? "" : source.addedAtSeconds.toFixed(0);
  return firstEightBytes(urls + source.token + time);
}

/** The id of a cluster, from the ids of its initial members in any order. */
export function clusterId(memberIds: readonly NodeId[]): NodeId {
  // Ids have a fixed width, so their text order is their numeric order.
  return firstEightBytes(Buffer.from([...memberIds].sort().join(""), "hex"));
}

/** The id as people, the API and the store's paths show it: no leading zeros. */
export function formatId(id: NodeId): string {
  const shown = id.replace(/^0+/, "");
  return shown === "" ? "0" : shown;
}

/** Reads an id as people write it; undefined when it is not 1 to 16 hexadecimal digits. */
export function parseId(text: string): NodeId | undefined {
  return /^[0-9a-fA-F]{1,16}$/.test(text) ? text.toLowerCase().padStart(16, "0") : undefined;
}
