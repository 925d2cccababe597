/**
 * Owns how a request is shown where it is written down: by the path that was sent, without the query,
 * which may hold values, and without a password in a target that is a whole URL.
 */

/** The path in a request target. */
export function pathOf(target: string): string {
  return target.replace(/\?[^]*$/, "").replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/]*/, "");
}
