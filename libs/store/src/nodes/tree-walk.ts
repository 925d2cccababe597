/**
 * Every node of a store, hidden ones and all namespaces included, straight from its kv: for tools
 * that check, count or export a store without running it. It changes nothing.
 */
import type { Kv } from "../kv/kv.ts";
import { NodeListing } from "./node-listing.ts";
import type { Listing } from "../model/ports.ts";
import { SubtreeSweeps } from "./subtree-sweeps.ts";

/** All nodes in depth-first order; the roots "", "/0" and "/1" are not among them. */
export function walkTree(kv: Kv, steadyMs = 0): Listing {
  const sweeps = new SubtreeSweeps();
  sweeps.load(kv);
  const options = { recursive: true, hidden: true, steadyMs, sweeps: sweeps.filter() };
  return new NodeListing(kv, "", options);
}
