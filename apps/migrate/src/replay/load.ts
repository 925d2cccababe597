/**
 * Putting the nodes of an old snapshot into a store. Owns which nodes are the fixed roots and
 * where a 0.4 tree goes.
 */
import type { SourceNode } from "../store-json.ts";
import type { ReplayStore } from "./replay-store.ts";

/** Takes the nodes of a 2.x or 3.x store document; the namespaces /0 and /1 always exist. */
export function loadNode2(store: ReplayStore, node: SourceNode): void {
  if (node.path === "/0" || node.path === "/1") return;
  store.load(node);
}

/** Takes the nodes of a 0.4 store document: all of them move under /1. */
export function loadNode04(store: ReplayStore, node: SourceNode): void {
  store.load({ ...node, path: `/1${node.path}` });
}
