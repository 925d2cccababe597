/**
 * Owns the line that the log has of each request at level DEBUG, as in etcd 2.3.8. At any other
 * level it costs one look at the level.
 */
import type { RequestListener } from "node:http";
import type { Logger } from "@etcd2/observability";
import { pathOf } from "./request-path.ts";

/** The handler with a line before each request. */
export function withRequestLines(handler: RequestListener, log: Logger): RequestListener {
  return (request, response) => {
    if (log.isOn("debug")) {
      const { method = "", url = "", socket } = request;
      const remote = `${socket.remoteAddress ?? ""}:${socket.remotePort ?? 0}`;
      log.debug(`[${method}] ${pathOf(url)} remote:${remote}`);
    }
    handler(request, response);
  };
}
