/**
 * Rounds of watches: some are opened on both servers, random writes follow, and what each watch has
 * received is compared. Knows where the two servers differ by decision and does not go there.
 */
import type { SeededRandom } from "@etcd2/test-support";
import { RawConnection, type RawRequest, type RawResponse } from "@etcd2/test-support/traces";
import { comparable, difference, withoutTimes } from "./comparison.ts";
import { randomKeyRequest } from "./key-requests.ts";

const WATCHED = [
  "/a",
  "/b",
  "/a/b",
  "/a/c",
  "/a/b/c",
  "/b/a",
  "/_h",
  "/a/_h",
  "/_h/a",
  "/c",
  "",
  "/a/",
  "/b/_h/a",
];
const SETTLE_TIMEOUT_MS = 1500;
const POLL_MS = 5;

interface WatchRequest extends RawRequest {
  /** The comparator sends one event to a stream from the past, and then no more. */
  readonly firstOnly: boolean;
}

interface OpenWatch {
  readonly request: WatchRequest;
  readonly connections: readonly RawConnection[];
  readonly responses: readonly RawResponse[];
}

export interface WatchRound {
  readonly random: SeededRandom;
  readonly urls: readonly string[];
  /** Store index at the start. */
  readonly index: number;
  /** Sends a write to both and returns the index after it. */
  readonly write: (request: RawRequest) => Promise<number>;
}

/** One round. @returns What was different. */
export async function watchRound({ random, urls, write, ...start }: WatchRound): Promise<string[]> {
  let { index } = start;
  const problems: string[] = [];
  const watches: OpenWatch[] = [];
  for (let count = 2 + random.below(5); count > 0; count--) {
    const watch = await open(randomWatch(random, index), urls);
    const [a, b] = watch.responses.map((response) => comparable({ ...response, body: "" }, true));
    const problem = a && b && difference(a, b);
    if (problem !== undefined) problems.push(`${watch.request.target}: ${problem}`);
    watches.push(watch);
  }
  const writes: string[] = [];
  for (let count = 1 + random.below(12); count > 0; count--) {
    const request = randomKeyRequest(random, index);
    if (request.method === "GET" || request.method === "HEAD") continue;
    writes.push(`${request.method} ${request.target} ${request.body ?? ""}`);
    index = await write(request);
  }
  for (const watch of watches) {
    const problem = await settle(watch);
    if (problem !== undefined) {
      problems.push(
        `${watch.request.target} at ${index} after\n    ${writes.join("\n    ")}\n${problem}`,
      );
    }
    for (const connection of watch.connections) connection.close();
  }
  return problems;
}

function randomWatch(random: SeededRandom, index: number): WatchRequest {
  const pairs = ["wait=true"];
  if (random.chance(0.5)) pairs.push("recursive=true");
  if (random.chance(0.5)) pairs.push("stream=true");
  let firstOnly = false;
  if (random.chance(0.4)) {
    const since = random.pick([
      0,
      index + 1,
      index + 1,
      index + 2,
      index + 5,
      index,
      index - 1,
      index - 8,
    ]);
    pairs.push(`waitIndex=${Math.max(0, since)}`);
    firstOnly = since > 0 && since <= index;
  }
  return { method: "GET", target: `/v2/keys${random.pick(WATCHED)}?${pairs.join("&")}`, firstOnly };
}

async function open(request: WatchRequest, urls: readonly string[]): Promise<OpenWatch> {
  const connections = await Promise.all(urls.map((url) => RawConnection.open(url)));
  const responses = await Promise.all(
    connections.map((connection) => {
      connection.send(request);
      return connection.head(SETTLE_TIMEOUT_MS);
    }),
  );
  return { request, connections, responses };
}

/** Waits until both watches have received the same; the difference when they do not. */
async function settle(watch: OpenWatch): Promise<string | undefined> {
  const deadline = Date.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    await Promise.all(
      watch.connections.map((connection) => connection.receive(POLL_MS).catch(() => false)),
    );
    const [a = "", b = ""] = watch.responses.map((response) =>
      received(response, watch.request.firstOnly),
    );
    if (a === b || (watch.request.firstOnly && isDecided(b))) return undefined;
    if (Date.now() > deadline) return `    ${a}\n    ${b}`;
  }
}

/** From the past the comparator also tells of hidden keys, and of directories by string prefix. */
function isDecided(told: string): boolean {
  return told.includes("/_") || /"delete.*\\"dir\\":true/.test(told);
}

/** What was received: repeated documents count once, and whether the response has ended. */
function received(response: RawResponse, firstOnly: boolean): string {
  const documents = withoutTimes(response.body).split("\n");
  const told = documents.filter(
    (document, at) => document !== "" && document !== documents[at - 1],
  );
  return JSON.stringify(firstOnly ? told.slice(0, 1) : [...told, response.complete]);
}
