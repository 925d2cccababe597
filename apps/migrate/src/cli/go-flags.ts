/** Long options with one dash, as Go programs take them. */

/** Turns "-data-dir" and "-data-dir=x" into their two-dash forms; leaves the rest alone. */
export function normalizeFlags(args: readonly string[]): readonly string[] {
  const end = args.indexOf("--");
  return args.map((arg, i) =>
    (end < 0 || i < end) && /^-[a-z][a-z0-9-]+(?:=|$)/.test(arg) ? `-${arg}` : arg,
  );
}
