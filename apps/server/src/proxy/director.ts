/**
 * Knows where a proxy may send requests: the client URLs of the members, asked of their peer URLs
 * now and then, less those that failed a moment ago. A member that does not answer its peers, or
 * is silent on requests, goes to the end of the list. What is learned is never replaced by nothing.
 */
import type { NetUrl } from "@etcd2/net-url";
import type { ClusterInfo } from "@etcd2/raft";
import type { Logger } from "@etcd2/observability";
import { Endpoint } from "./endpoint.ts";
import { Suspects } from "./suspects.ts";
import { messageOf } from "../base/message-of.ts";

/** An interval at least this long is cut to a second while there is no endpoint. */
const DEFAULT_REFRESH_MS = 30_000;
const EMPTY_REFRESH_MS = 1000;

export interface DirectorOptions {
  /** Where to ask first. */
  readonly peerUrls: readonly string[];
  /** Where to ask when none of the known peers answers: what the flags say, looked up anew. */
  readonly seeds: () => Promise<readonly string[]>;
  readonly fetchInfo: (peerUrl: string) => Promise<ClusterInfo>;
  /** Whether an endpoint answers anything at all, known within about a second. */
  readonly probe: (endpoint: Endpoint) => Promise<boolean>;
  readonly failureWaitMs: number;
  readonly refreshIntervalMs: number;
  /** Whether a client URL leads to this very proxy. */
  readonly isSelf: (url: NetUrl) => boolean;
  /** Keeps the peer URLs for the next start. */
  readonly save: (peerUrls: readonly string[]) => void;
  /** The logger of the package "proxy". */
  readonly log: Logger;
  readonly now: () => number;
  /** In [0, 1): which member comes first. */
  readonly random: () => number;
}

/** The first answer of a member that knows a leader, else any answer. */
async function firstAnswer(asked: ReadonlyMap<string, Promise<ClusterInfo>>): Promise<ClusterInfo> {
  let leaderless: ClusterInfo | undefined;
  try {
    return await Promise.any(
      [...asked.values()].map(async (answer) => {
        const info = await answer;
        if (info.leaderId !== "") return info;
        leaderless = info;
        throw new Error("no leader");
      }),
    );
  } catch (cause) {
    if (leaderless !== undefined) return leaderless;
    const urls = [...asked.keys()].join(", ");
    const message = `could not retrieve cluster information from the given urls (${urls})`;
    throw new Error(message, { cause });
  }
}

export class Director {
  readonly #options: DirectorOptions;
  readonly #suspects: Suspects;
  #peerUrls: readonly string[];
  #endpoints: readonly Endpoint[] = [];
  #refreshing: Promise<void> | undefined;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #isAnnounced = false;
  #isClosed = false;
  #complaint = "";

  constructor(options: DirectorOptions) {
    this.#options = options;
    this.#peerUrls = options.peerUrls;
    const { probe, log, now } = options;
    this.#suspects = new Suspects({
      probe,
      log,
      now,
      onSilent: (endpoint) => {
        this.#putLast(({ text }) => text === endpoint.text);
        if (now() - this.#refreshedAtMs >= EMPTY_REFRESH_MS) void this.refresh();
      },
    });
  }

  /** Asks for the first time, and from then on at intervals. Resolves after the first answer. */
  async start(): Promise<void> {
    await this.refresh();
  }

  /** The endpoints to try, in order. */
  available(): readonly Endpoint[] {
    const now = this.#options.now();
    return this.#endpoints.filter((endpoint) => endpoint.isAvailable(now));
  }

  /** Every endpoint, failed ones included. */
  get urls(): readonly string[] {
    return this.#endpoints.map((endpoint) => endpoint.text);
  }

  /** Gives an endpoint a rest, and asks soon whether the cluster has changed. */
  failed(endpoint: Endpoint): void {
    const { now, failureWaitMs, log } = this.#options;
    endpoint.rest(now() + failureWaitMs);
    log.debug(`marked endpoint ${endpoint.text} unavailable`);
    if (now() - this.#refreshedAtMs >= EMPTY_REFRESH_MS) void this.refresh();
  }

  /** An endpoint is slow to answer: one that is silent on a probe as well goes to the end. */
  suspect(endpoint: Endpoint): void {
    this.#suspects.add(endpoint);
  }

  /** Calls back once when the endpoint has been silent for long; returns how to unsubscribe. */
  onHang(endpoint: Endpoint, callback: () => void): () => void {
    return this.#suspects.onHang(endpoint, callback);
  }

  /** Asks now, unless it is being asked. Never rejects. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
      this.#refreshedAtMs = this.#options.now();
      this.#schedule();
    });
    return this.#refreshing;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#suspects.close();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    const { refreshIntervalMs } = this.#options;
    const isEmpty = this.#endpoints.length === 0;
    const ms = isEmpty && refreshIntervalMs >= DEFAULT_REFRESH_MS ? EMPTY_REFRESH_MS : undefined;
    this.#timer = setTimeout(() => void this.refresh(), ms ?? Math.max(refreshIntervalMs, 1));
    this.#timer.unref();
  }

  async #refresh(): Promise<void> {
    try {
      const asked = this.#ask(this.#peerUrls);
      await this.#learn(asked);
      return;
    } catch (error) {
      this.#complain(error);
    }
    try {
      const known = new Set(this.#peerUrls);
      const seeds = await this.#options.seeds();
      if (!seeds.every((url) => known.has(url))) await this.#learn(this.#ask(seeds));
    } catch (error) {
      this.#complain(error);
    }
  }

  /** The same trouble again is not worth another line. */
  #complain(error: unknown): void {
    const message = messageOf(error);
    if (message !== this.#complaint) this.#options.log.warning(message);
    this.#complaint = message;
  }

  #ask(peerUrls: readonly string[]): ReadonlyMap<string, Promise<ClusterInfo>> {
    return new Map(peerUrls.map((url) => [url, this.#options.fetchInfo(url)]));
  }

  async #learn(asked: ReadonlyMap<string, Promise<ClusterInfo>>): Promise<void> {
    const info = await firstAnswer(asked);
    if (this.#isClosed || info.members.length === 0) return;
    this.#complaint = "";
    this.#replaceEndpoints(info);
    this.#replacePeers(info.members.flatMap(({ peerUrls }) => peerUrls).sort());
    // The rest of the answers only tells which members are silent; nobody waits for that.
    void this.#demoteSilent(info, asked);
  }

  #replaceEndpoints({ members }: ClusterInfo): void {
    const { log, isSelf, random } = this.#options;
    const known = new Map(this.#endpoints.map((endpoint) => [endpoint.text, endpoint]));
    const texts = new Set(members.flatMap(({ clientUrls }) => clientUrls));
    // Known endpoints keep their place: a client does not jump between members without need.
    const endpoints = this.#endpoints.filter(({ text }) => texts.has(text));
    for (const text of texts) {
      if (known.has(text)) continue;
      const endpoint = Endpoint.parse(text);
      if (endpoint === undefined) log.warning(`upstream URL invalid: ${text}`);
      else if (isSelf(endpoint.url)) {
        log.warning(
          `leaving out endpoint ${text}, which is this proxy itself: a member should advertise a URL others can reach`,
        );
      } else endpoints.splice(Math.floor(random() * (endpoints.length + 1)), 0, endpoint);
    }
    this.#endpoints = endpoints;
    if (this.#isAnnounced || endpoints.length === 0) return;
    this.#isAnnounced = true;
    log.info(`endpoints found [${this.urls.map((url) => JSON.stringify(url)).join(" ")}]`);
  }

  #replacePeers(peerUrls: readonly string[]): void {
    const { log, save } = this.#options;
    if (peerUrls.length === 0) return;
    if (peerUrls.join() !== [...this.#peerUrls].sort().join()) {
      log.notice(
        `updated peer urls in cluster file from [${this.#peerUrls.join(" ")}] to [${peerUrls.join(" ")}]`,
      );
    }
    this.#peerUrls = peerUrls;
    try {
      save(peerUrls);
    } catch (error) {
      log.warning(`cannot keep the peer urls: ${messageOf(error)}`);
    }
  }

  async #demoteSilent(
    { members }: ClusterInfo,
    asked: ReadonlyMap<string, Promise<ClusterInfo>>,
  ): Promise<void> {
    await Promise.allSettled(asked.values());
    const silent = new Set<string>();
    for (const { peerUrls, clientUrls } of members) {
      const answers = peerUrls.flatMap((url) => asked.get(url) ?? []);
      if (answers.length === 0) continue;
      const isSilent = await Promise.any(answers).then(
        () => false,
        () => true,
      );
      if (isSilent) for (const url of clientUrls) silent.add(url);
    }
    for (const endpoint of this.#endpoints) {
      if (silent.has(endpoint.text)) this.#suspects.add(endpoint);
    }
    this.#putLast(({ text }) => silent.has(text));
  }

  #putLast(isLast: (endpoint: Endpoint) => boolean): void {
    this.#endpoints = [
      ...this.#endpoints.filter((endpoint) => !isLast(endpoint)),
      ...this.#endpoints.filter(isLast),
    ];
  }
}
