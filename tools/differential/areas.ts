/**
 * The areas of the API that are compared: how a run of each goes, one step after the other. Knows
 * what is sent; what counts as a difference is in comparison.ts.
 */
import type { SeededRandom } from "@etcd2/test-support";
import { RawConnection, type RawRequest, type RawResponse } from "@etcd2/test-support/traces";
import { randomAuthRequest } from "./auth-requests.ts";
import { comparable, difference } from "./comparison.ts";
import { randomKeyRequest } from "./key-requests.ts";
import { watchRound } from "./watch-rounds.ts";

export const AREAS = ["keys", "auth", "watch"] as const;
export type Area = (typeof AREAS)[number];

/** Steps after which the counters of the store are compared too. */
const STATS_EVERY = 200;

export interface Run {
  readonly area: Area;
  readonly random: SeededRandom;
  /** Base URLs, that of the server under test first. */
  readonly urls: readonly string[];
  readonly steps: number;
  /** Told of each difference. */
  readonly report: (text: string) => void;
}

/** Carries out one run. */
export async function compareArea(run: Run): Promise<void> {
  const exchange = new Exchange(run.urls, run.report);
  try {
    for (let step = 1; step <= run.steps; step++) {
      if (step % STATS_EVERY === 0) await exchange.compareStats();
      if (run.area === "watch") {
        const { random, urls } = run;
        const write = (request: RawRequest): Promise<number> => exchange.compare(request);
        const problems = await watchRound({ random, urls, index: exchange.index, write });
        problems.forEach(run.report);
      } else {
        const { random } = run;
        await exchange.compare(
          run.area === "auth"
            ? randomAuthRequest(random)
            : randomKeyRequest(random, exchange.index),
        );
      }
    }
  } finally {
    exchange.close();
  }
}

/** Sends requests to both servers over kept connections. */
class Exchange {
  /** Store index after the latest request. */
  index = 0;
  readonly #urls: readonly string[];
  readonly #report: (text: string) => void;
  readonly #connections = new Map<string, RawConnection>();
  /** Counters of the servers when the run began, or after the latest difference. */
  #baseline: string | undefined;

  constructor(urls: readonly string[], report: (text: string) => void) {
    this.#urls = urls;
    this.#report = report;
  }

  /** Reports a difference between the answers. @returns The store index. */
  async compare(request: RawRequest): Promise<number> {
    const [a, b] = await this.#both(request);
    const isSorted = request.target.includes("sorted=t");
    const found = difference(comparable(a, isSorted), comparable(b, isSorted));
    if (found !== undefined) {
      const headers = JSON.stringify(request.headers ?? {});
      this.#report(
        `${request.method} ${request.target} ${request.body ?? ""} ${headers}\n  ${found}`,
      );
    }
    const indices = [a, b].map((response) => Number(response.headers.get("x-etcd-index") ?? 0));
    this.index = Math.max(this.index, ...indices);
    return this.index;
  }

  /** Reports counters that went apart; starting up has counted differently on the two. */
  async compareStats(): Promise<void> {
    const [a, b] = await this.#both({ method: "GET", target: "/v2/stats/store" });
    const [ours, other] = [a, b].map(({ body }) => JSON.parse(body) as Record<string, number>);
    const apart = Object.entries(ours ?? {}).map(([name, count]) => {
      return `${name} ${count - (other?.[name] ?? 0)}`;
    });
    const text = apart.filter((entry) => !entry.endsWith(" 0")).join(", ");
    if (this.#baseline !== undefined && text !== this.#baseline) {
      this.#report(`counters, ours less theirs: ${text} (before: ${this.#baseline})`);
    }
    this.#baseline = text;
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
  }

  async #both(request: RawRequest): Promise<[RawResponse, RawResponse]> {
    const [a, b] = await Promise.all(this.#urls.map((url) => this.#send(url, request)));
    if (a === undefined || b === undefined) throw new Error("two servers are compared");
    return [a, b];
  }

  async #send(url: string, request: RawRequest): Promise<RawResponse> {
    let connection = this.#connections.get(url);
    if (connection === undefined || connection.isOver) {
      connection = await RawConnection.open(url);
      this.#connections.set(url, connection);
    }
    const response = await connection.exchange(request);
    if (response.headers.get("connection") === "close") {
      connection.close();
      this.#connections.delete(url);
    }
    return response;
  }
}
