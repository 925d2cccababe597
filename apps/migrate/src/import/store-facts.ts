/** Counting what a store holds: the numbers of a summary. Reads the whole store once. */
import type { Kv } from "@etcd2/store";
import { walkTree } from "@etcd2/store";
import type { Pacer } from "../pacer.ts";

export interface StoreFacts {
  /** Keys with a value below the users' root, hidden ones included. */
  readonly keys: number;
  readonly directories: number;
  /** Of both: those with a name that begins with "_" on the way. */
  readonly hidden: number;
  /** Of both: those that expire. */
  readonly withTtl: number;
  /** Bytes of keys and values. */
  readonly bytes: number;
  readonly authEnabled: boolean;
  readonly users: number;
  readonly roles: number;
}

const ROWS = 512;
const USERS = "/2/users/";
const ROLES = "/2/roles/";

/** Counts the users' keys and the auth records. */
export async function countStore(kv: Kv, pacer: Pacer): Promise<StoreFacts> {
  const counts = { keys: 0, directories: 0, hidden: 0, withTtl: 0, bytes: 0, users: 0, roles: 0 };
  let authEnabled = false;
  const listing = walkTree(kv);
  try {
    for (let rows = listing.next(ROWS); rows.length > 0; rows = listing.next(ROWS)) {
      for (const { node } of rows) {
        const { key } = node;
        if (key.startsWith(USERS)) counts.users++;
        else if (key.startsWith(ROLES)) counts.roles++;
        else if (key === "/2/enabled") authEnabled = node.value === "true";
        if (!key.startsWith("/1/")) continue;
        if (node.dir) counts.directories++;
        else counts.keys++;
        if (key.includes("/_")) counts.hidden++;
        if (node.expirationMs !== undefined) counts.withTtl++;
        counts.bytes += key.length - 2 + (node.value?.length ?? 0);
        if (pacer.due()) await pacer.pause();
      }
    }
  } finally {
    listing.close();
  }
  return { ...counts, authEnabled };
}
