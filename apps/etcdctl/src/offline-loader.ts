/** Loads the offline part when it is needed: beside the bundle, or beside this file in the sources. */

import type * as offline from "./offline.ts";

// A name that is not known before the program runs keeps it out of the main bundle.
function load(name: string): Promise<unknown> {
  return import(name);
}

/** The functions of `offline.ts`. */
export async function loadOffline(): Promise<typeof offline> {
  const isBundled = typeof __dirname === "string";
  return (await load(isBundled ? "./offline.cjs" : "./offline.ts")) as typeof offline;
}
