/**
 * Sees the X-Etcd-Index of a response go by, for those who write down what was answered. Knows no
 * endpoint.
 */
import type { ServerResponse } from "node:http";

const indexHeader = "x-etcd-index";

/**
 * Tells the index once the headers are written: those given to writeHead are not kept by the
 * response. Objects and flat lists of names and values are what writeHead takes.
 */
export function watchIndex(response: ServerResponse, found: (index: string) => void): void {
  const writeHead = response.writeHead.bind(response);
  response.writeHead = ((...args: Parameters<typeof writeHead>) => {
    const headers: unknown = args.findLast((arg) => typeof arg === "object");
    const pairs = Array.isArray(headers) ? headers : Object.entries(headers ?? {}).flat();
    const at = pairs.findIndex((part) => String(part).toLowerCase() === indexHeader);
    const index: unknown = at >= 0 ? pairs[at + 1] : response.getHeader(indexHeader);
    if (typeof index === "string") found(index);
    return writeHead(...args);
  }) as typeof response.writeHead;
}
