/** Loads the offline part when it is needed: beside the bundle, or beside this file in the sources. */

import type * as offline from "./offline.ts";

// A name that is not known before the program runs keeps it out of the main bundle.
function load(name: string): Promise<unknown> {
  return import(name);
}

/**
 * The functions of `offline.ts`. From here on files are made for their owner alone: the native
 * store takes its modes from the process.
 */
export async function loadOffline(): Promise<typeof offline> {
  process.umask(0o077);
  const isBundled = typeof __dirname === "string";
  return (await load(isBundled ? "./offline.cjs" : "./offline.ts")) as typeof offline;
}
