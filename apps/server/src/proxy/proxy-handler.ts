/**
 * What a proxy does with a request: answers its own two paths, refuses writes when it is
 * readonly, and passes everything else on. Malformed targets, path cleaning, OPTIONS and CORS are
 * the gateway's front door, so that a proxy and a member treat them alike.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createFrontDoor } from "@etcd2/api-v2";
import type { PageOptions } from "@etcd2/api-v2";
import type { Director } from "./director.ts";
import { Exchange } from "./exchange.ts";
import type { ExchangeContext } from "./exchange.ts";

const LOCAL_PATH = "/v2/config/local/proxy";
const METRICS_PATH = "/metrics";

export interface ProxyHandlerOptions extends ExchangeContext {
  readonly isReadonly: boolean;
  /** What pages in browsers may do, and under which names. */
  readonly pages: PageOptions;
  readonly metricsPage: () => Promise<{ contentType: string; body: string }>;
}

type Door = ReturnType<typeof createFrontDoor>;

/** The target in origin form, spelled as the client spelled it. */
function originForm(raw: string): string {
  const target = raw.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, "");
  return target.startsWith("/") ? target : `/${target}`;
}

/** Makes the request handler of a proxy. */
export function createProxyHandler(options: ProxyHandlerOptions): RequestListener {
  const { isReadonly, director } = options;

  function serve(request: IncomingMessage, response: ServerResponse, target: string): void {
    const path = target.replace(/\?.*$/s, "");
    if (path === METRICS_PATH) {
      void answerMetrics(options, response);
      return;
    }
    if (isReadonly && request.method !== "GET") {
      refuseWrite(response);
      return;
    }
    if (path === LOCAL_PATH) answerLocal(director, request, response);
    else new Exchange(options, request, response, target).run();
  }

  const targets = new WeakMap<IncomingMessage, string>();
  const enter = (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, targets.get(request) ?? request.url ?? "/");
  };
  const door = createFrontDoor(options.pages);

  return (request, response) => {
    if (isReadonly && request.method === "OPTIONS") {
      refuseWrite(response);
      return;
    }
    targets.set(request, originForm(request.url ?? "/"));
    door(request as Parameters<Door>[0], response as Parameters<Door>[1], () => {
      enter(request, response);
    });
  };
}

function refuseWrite(response: ServerResponse): void {
  response.writeHead(501, ["Content-Length", "0"]);
  response.end();
}

function answerLocal(director: Director, request: IncomingMessage, response: ServerResponse): void {
  const isGet = request.method === "GET";
  const endpoints = director.available().map(({ text }) => text);
  const body = isGet ? `${JSON.stringify({ endpoints })}\n` : "Method Not Allowed\n";
  response.writeHead(isGet ? 200 : 405, [
    "Content-Type",
    "text/plain; charset=utf-8",
    ...(isGet ? [] : ["Allow", "GET", "X-Content-Type-Options", "nosniff"]),
    "Content-Length",
    String(Buffer.byteLength(body)),
  ]);
  response.end(body);
}

async function answerMetrics(
  { metricsPage, log }: ProxyHandlerOptions,
  response: ServerResponse,
): Promise<void> {
  try {
    const { contentType, body } = await metricsPage();
    response.writeHead(200, { "Content-Type": contentType });
    response.end(body);
  } catch (error) {
    log.error(`cannot make the metrics page: ${error instanceof Error ? error.message : "?"}`);
    response.writeHead(500, ["Content-Length", "0"]);
    response.end();
  }
}
