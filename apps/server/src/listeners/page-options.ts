/**
 * What the flags say of pages in browsers, and the names that a server goes by: those of its URLs
 * and of its machine. Knows nothing of requests.
 */
import { hostname } from "node:os";
import type { PageOptions } from "@etcd2/api-v2";
import type { ServerConfig } from "../config/server-config.ts";

type PageConfig = Pick<
  ServerConfig,
  | "cors"
  | "hostWhitelist"
  | "listenClientUrls"
  | "listenMetricsUrls"
  | "listenConsoleUrls"
  | "advertiseClientUrls"
>;

/** The options of the gateway that concern pages. */
export function pageOptions(config: PageConfig): PageOptions {
  const { cors, hostWhitelist, listenClientUrls, listenMetricsUrls, advertiseClientUrls } = config;
  const urls = [
    ...listenClientUrls,
    ...listenMetricsUrls,
    ...config.listenConsoleUrls,
    ...advertiseClientUrls,
  ];
  return { cors, hostWhitelist, ownNames: [hostname(), ...urls.map(({ host }) => host)] };
}
