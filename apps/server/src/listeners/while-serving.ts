/**
 * Turns client requests away when the member serves nothing any more: with 503, which clients take as
 * a reason to ask another member. What tells operators about the member stays open.
 */
import type { RequestListener } from "node:http";
import { EtcdError } from "@etcd2/store";

/** What is answered in any state. */
const OPEN = /^\/(?:health|livez|readyz|metrics|version|debug)(?:$|[/?])/;

/** @param reason why nothing is served; "" while everything is. */
export function whileServing(handler: RequestListener, reason: () => string): RequestListener {
  return (request, response) => {
    const cause = reason();
    if (cause === "" || OPEN.test(request.url ?? "")) {
      handler(request, response);
      return;
    }
    const { code, message, index } = new EtcdError(300, cause, 0);
    response.writeHead(503, { "Content-Type": "application/json", Connection: "close" });
    response.end(`${JSON.stringify({ errorCode: code, message, cause, index })}\n`);
  };
}
