/** The transport of browsers, and of any runtime with fetch. TLS is the runtime's business. */
import { urlOf } from "./endpoint.ts";
import { ConnectionError } from "./errors.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";

/** Codes of Node's fetch for connections that never came about. */
const UNSENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"]);

function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return typeof code === "string" ? code : "";
}

class FetchResponse implements TransportResponse {
  readonly #response: Response;
  readonly #request: TransportRequest;

  constructor(response: Response, request: TransportRequest) {
    this.#response = response;
    this.#request = request;
  }

  get status(): number {
    return this.#response.status;
  }

  get statusText(): string {
    return this.#response.statusText;
  }

  header(name: string): string | undefined {
    return this.#response.headers.get(name) ?? undefined;
  }

  async text(): Promise<string> {
    try {
      return await this.#response.text();
    } catch (error) {
      throw failure(this.#request, error, true);
    }
  }

  discard(): void {
    this.#response.body?.cancel().catch(() => undefined);
  }
}

function failure(
  { signal, endpoint }: TransportRequest,
  error: unknown,
  maySent: boolean,
): unknown {
  if (signal.aborted) return signal.reason;
  const code = codeOf(error);
  const text = code === "" ? "the connection failed" : code;
  return new ConnectionError(endpoint.text, maySent, `client: ${endpoint.text}: ${text}`, {
    cause: error,
  });
}

/** A transport on the fetch of the runtime, or on one given. It follows redirects by itself. */
export function fetchTransport(fetchWith: typeof fetch = fetch): Transport {
  return {
    async request(request) {
      const { method, headers, body, signal, endpoint, path } = request;
      try {
        const response = await fetchWith(urlOf(endpoint, path), {
          method,
          headers,
          signal,
          ...(body === undefined ? {} : { body }),
          // Answers of a store are never to come from a cache of the browser.
          cache: "no-store",
        });
        return new FetchResponse(response, request);
      } catch (error) {
        throw failure(request, error, !UNSENT.has(codeOf(error)));
      }
    },
    close: () => undefined,
  };
}
