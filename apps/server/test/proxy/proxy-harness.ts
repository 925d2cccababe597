/** Directors over scripted peers, members of a few lines, and proxies to them. */
import { CountingMeter } from "@etcd2/observability";
import assert from "node:assert/strict";
import { createServer, request as httpRequest } from "node:http";
import type { ClientRequest, IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer as createSocketServer } from "node:net";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach } from "node:test";
import { createHttpServerOptions, prepareHttpServer } from "@etcd2/api-v2";
import type { ClusterInfo } from "@etcd2/raft";
import { createProxyCounts } from "../../src/proxy/proxy-counts.ts";
import { Director } from "../../src/proxy/director.ts";
import type { Endpoint } from "../../src/proxy/endpoint.ts";
import { selfTest } from "../../src/proxy/endpoint.ts";
import { createProxyHandler } from "../../src/proxy/proxy-handler.ts";
import { Upstream } from "../../src/proxy/upstream.ts";
import { parseSocketUrls } from "../../src/config/urls.ts";
import { captureLog } from "../captured-log.ts";

export const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

export interface MemberInfo {
  readonly peer: string;
  readonly client: string;
}

export function infoOf(members: readonly MemberInfo[], leaderId = "000000000000000a"): ClusterInfo {
  return {
    clusterId: "00000000000000c1",
    memberId: "000000000000000a",
    leaderId,
    serverVersion: "2.3.8",
    clusterVersion: "2.3.0",
    members: members.map(({ peer, client }, n) => ({
      id: `${n}`.padStart(16, "0"),
      name: `m${n}`,
      peerUrls: [peer],
      clientUrls: client === "" ? [] : [client],
      isLearner: false,
    })),
    removedIds: [],
  };
}

export interface Cluster {
  answers: Map<string, () => Promise<ClusterInfo>>;
  asked: string[];
  saved: (readonly string[])[];
  lines: string[];
  nowMs: number;
  director: Director;
}

/** A director over scripted peers. */
export function directorOf(
  peerUrls: readonly string[],
  options: {
    seeds?: readonly string[];
    refreshIntervalMs?: number;
    listen?: string;
    probe?: (endpoint: Endpoint) => Promise<boolean>;
  } = {},
): Cluster {
  const { logging, lines } = captureLog();
  const listening = parseSocketUrls(options.listen ?? "http://127.0.0.1:1");
  assert.ok(listening.ok);
  const cluster: Omit<Cluster, "director"> = {
    answers: new Map(),
    asked: [],
    saved: [],
    lines,
    nowMs: 0,
  };
  const director = new Director({
    peerUrls,
    seeds: () => Promise.resolve(options.seeds ?? []),
    probe: options.probe ?? (() => Promise.resolve(true)),
    fetchInfo: (url) => {
      cluster.asked.push(url);
      return cluster.answers.get(url)?.() ?? Promise.reject(new Error(`${url}: refused`));
    },
    failureWaitMs: 5000,
    refreshIntervalMs: options.refreshIntervalMs ?? 1_000_000,
    isSelf: selfTest(listening.value),
    save: (urls) => cluster.saved.push(urls),
    log: logging.logger("proxy"),
    now: () => whole.nowMs,
    random: () => 0.999,
  });
  const whole: Cluster = Object.assign(cluster, { director });
  cleanups.push(() => {
    director.close();
  });
  return whole;
}

export const available = (director: Director): readonly string[] =>
  director.available().map((endpoint) => endpoint.text);

export interface Proxy {
  readonly url: string;
  readonly meter: CountingMeter;
  readonly director: Director;
  /** Lets time pass for what rests or is silent. */
  readonly pass: (ms: number) => void;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export const upstreamOf = (
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> => listen(createServer(handler));

/** An address where nothing listens. */
export async function deadUrl(): Promise<string> {
  const server = createSocketServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

/** A proxy to these client URLs. */
export async function proxyTo(
  urls: readonly string[],
  options: {
    isReadonly?: boolean;
    cors?: readonly string[];
    readTimeoutMs?: number;
    silenceMs?: number;
    answerTimeoutMs?: number;
  } = {},
): Promise<Proxy> {
  const peer = "http://10.0.0.1:2380";
  const silenceMs = options.silenceMs ?? 60_000;
  const upstream = new Upstream({ tls: () => ({}), readTimeoutMs: options.readTimeoutMs ?? 0 });
  const cluster = directorOf([peer], {
    probe: (endpoint) => upstream.answers(endpoint, silenceMs),
  });
  const { director, answers } = cluster;
  const members = urls.map((client, n) => ({ peer: `http://10.0.0.${n + 1}:2380`, client }));
  if (urls.length > 0) answers.set(peer, () => Promise.resolve(infoOf(members)));
  await director.start();
  const meter = new CountingMeter();
  cleanups.push(() => {
    upstream.close();
  });
  const server = createServer(
    createHttpServerOptions(),
    createProxyHandler({
      director,
      upstream,
      counts: createProxyCounts(meter),
      log: captureLog().logging.logger("proxy"),
      dialTimeoutMs: 1000,
      writeTimeoutMs: 5000,
      silenceMs,
      answerTimeoutMs: options.answerTimeoutMs ?? 60_000,
      isReadonly: options.isReadonly ?? false,
      pages: { cors: options.cors ?? [] },
      metricsPage: () => Promise.resolve({ contentType: "text/plain", body: "figures" }),
    }),
  );
  prepareHttpServer(server);
  const pass = (ms: number): void => {
    cluster.nowMs += ms;
  };
  return { url: await listen(server), meter, director, pass };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export function open(
  method: string,
  url: string,
  headers: Record<string, string> | string[] = {},
): ClientRequest {
  return httpRequest(url, { method, headers });
}

async function answerTo(request: ClientRequest, body = ""): Promise<Answer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", reject);
    request.end(body);
  });
  const { statusCode: status = 0, headers } = response;
  return { status, headers, body: await text(response) };
}

export const ask = (
  method: string,
  url: string,
  headers: Record<string, string> = {},
  body = "",
): Promise<Answer> => answerTo(open(method, url, headers), body);
