/** Paths as the old stores normalised them before use. */

/** Removes empty, "." and ".." elements and a final slash; the path starts with "/". */
export function cleanPath(path: string): string {
  if (path.startsWith("/") && !/\/(?:\/|\.|$)/.test(path)) return path;
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return `/${parts.join("/")}`;
}
