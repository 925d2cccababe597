/**
 * The grammar of `--initial-cluster`, and what it is when nothing is given. It knows nothing of what
 * makes a URL a good one.
 */

/** Where a member can be reached by its peers when it is not told otherwise. */
export const DEFAULT_PEER_URLS: readonly string[] = [
  "http://localhost:2380",
  "http://localhost:7001",
];

/** The default value of `--initial-cluster` for a member of this name. */
export function defaultInitialCluster(name: string): string {
  const shown = name === "" ? "default" : name;
  return DEFAULT_PEER_URLS.map((url) => `${shown}=${url}`).join(",");
}

/**
 * Splits `name=url,name=url` into the texts of the URLs by name, in the order given; a name may
 * occur several times, once per URL. Blanks and line ends around a pair do not count: lists are
 * wrapped in configuration files. A part without "=" is a name with the URL "".
 */
export function splitInitialCluster(text: string): ReadonlyMap<string, readonly string[]> {
  const urls = new Map<string, string[]>();
  for (const given of text.split(",")) {
    const part = given.trim();
    if (part === "") continue;
    const at = part.indexOf("=");
    const name = at < 0 ? part : part.slice(0, at);
    const url = at < 0 ? "" : part.slice(at + 1);
    const known = urls.get(name);
    if (known === undefined) urls.set(name, [url]);
    else known.push(url);
  }
  return urls;
}
