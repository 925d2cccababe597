/** The port of one HTTP exchange with one endpoint. fetch-transport.ts and node/ implement it. */
import type { Endpoint } from "./endpoint.ts";

export interface TransportRequest {
  readonly method: string;
  readonly endpoint: Endpoint;
  /** Encoded, with the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** undefined for none. */
  readonly body: string | undefined;
  /** Ends the exchange, also while the body is being read. */
  readonly signal: AbortSignal;
}

export interface TransportResponse {
  readonly status: number;
  readonly statusText: string;
  /** A header of the answer; undefined when it is absent or hidden from the page. */
  header(name: string): string | undefined;
  /** Reads the body to its end, as UTF-8. @throws ConnectionError when it ends early. */
  text(): Promise<string>;
  /** Gives up a body that is not wanted. */
  discard(): void;
}

export interface Transport {
  /**
   * Sends a request; resolves with the header of the answer, redirects not followed where the runtime
   * lets us. @throws ConnectionError, or the reason of the signal.
   */
  request(request: TransportRequest): Promise<TransportResponse>;
  /** Drops kept connections. Idempotent. */
  close(): void;
}
