/** Public names of @etcd2/net-url: the addresses people give, read as etcd 2.3.8 reads them. */
export { escapeJson, quote } from "./quote.ts";
export { parseUrl, UrlError } from "./url.ts";
export type { NetUrl, ParseOptions } from "./url.ts";
export {
  AddressError,
  checkedUrl,
  checkedUrls,
  portOf,
  socketUrl,
  splitHostPort,
} from "./address.ts";
export type { HostPort } from "./address.ts";
export { redirectTarget } from "./redirect.ts";
export type { RequestTarget } from "./redirect.ts";
export { bindHost, certificateName, dialHost, hostHeader } from "./hosts.ts";
