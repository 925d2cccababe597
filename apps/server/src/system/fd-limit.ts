/**
 * Owns the budget of file descriptors: what the system allows, what is set aside for log and store,
 * what connections of peers and of whoever reads figures may take, and what remains for clients.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";

/** Descriptors that no connection ever gets: they are the log's and the store's. */
const reserved = 150;

const DESCRIPTORS = "/proc/self/fd";

/** Connections at most: of peers, of which each needs a few; and to the metrics ports. */
const peersMost = 1024;
const metricsMost = 64;

/** The soft limit in a text of the form of /proc/self/limits; infinite when there is none. */
export function parseFdLimit(limits: string): number {
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1];
  const value = Number(soft);
  return soft === undefined || Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
}

/** The soft limit of this process. */
export function fdLimit(): number {
  try {
    return parseFdLimit(readFileSync("/proc/self/limits", "utf8"));
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Descriptors this process has open; 0 where the system does not tell. */
export function fdsUsed(): number {
  try {
    // Linux tells the number there from 6.2 on; before, listing them takes a millisecond a thousand.
    const { size } = statSync(DESCRIPTORS);
    // One of those listed is the directory being read.
    return size > 0 ? size : readdirSync(DESCRIPTORS).length - 1;
  } catch {
    return 0;
  }
}

/** How many connections each side may have, or why the server cannot start. */
export type ConnectionBudget =
  | {
      readonly ok: true;
      readonly connectionsMax: number;
      readonly peerConnectionsMax: number;
      readonly metricsConnectionsMax: number;
    }
  | { readonly ok: false; readonly error: string };

/**
 * Divides the limit, so that no side can take what another needs.
 * @param wanted --max-connections; 0 takes what is there. More than there is, is not given.
 */
export function connectionBudget(limit: number, wanted: number): ConnectionBudget {
  if (limit <= reserved) {
    const error =
      `file descriptor limit[${limit}] of etcd process is too low, ` +
      `and should be set higher than ${reserved} to ensure internal usage`;
    return { ok: false, error };
  }
  const rest = limit - reserved;
  const peers = Math.max(1, Math.min(peersMost, Math.floor(rest / 8)));
  const metrics = Math.max(1, Math.min(metricsMost, Math.floor(rest / 32)));
  const available = Math.max(1, rest - peers - metrics);
  return {
    ok: true,
    connectionsMax: wanted === 0 ? available : Math.min(wanted, available),
    peerConnectionsMax: peers,
    metricsConnectionsMax: metrics,
  };
}
