/**
 * What a bridge knows of the members of its v3 cluster, asked for now and then: who they are, who leads,
 * which alarms are on. Changes nothing there.
 */
import type { Member } from "@etcd2/api-v2";
import { methods, type V3Client, V3Error } from "@etcd2/v3";

export interface UpstreamState {
  /** Sorted by id. */
  readonly members: readonly Member[];
  /** Id of the leader; "" without one. */
  readonly leader: string;
  /** Id of the member that the bridge talks to. */
  readonly connected: string;
  readonly version: string;
  /** Bytes of that member's database, and of what of it is in use. */
  readonly sizeBytes: number;
  readonly liveBytes: number;
  /** Whether the v3 cluster asks for credentials; true while that is not known. */
  readonly isAuthOn: boolean;
  /** Why writes are refused; "" while they are not. */
  readonly spaceAlarm: string;
}

export interface UpstreamClusterOptions {
  readonly client: V3Client;
  /** Where the v2 API is served: members of the v3 cluster do not serve it. */
  readonly clientUrls: readonly string[];
}

const REFRESH_MS = 10_000;
const TIMEOUT_MS = 2000;

const UNKNOWN: UpstreamState = {
  members: [],
  leader: "",
  connected: "",
  version: "",
  sizeBytes: 0,
  liveBytes: 0,
  isAuthOn: true,
  spaceAlarm: "",
};

const hex = (id: bigint): string => id.toString(16);

export class UpstreamCluster {
  readonly #options: UpstreamClusterOptions;
  #state = UNKNOWN;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: UpstreamClusterOptions) {
    this.#options = options;
  }

  /** As it was when last asked for. */
  get state(): UpstreamState {
    return this.#state;
  }

  /** Asks now, and every ten seconds from here on. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => {
      this.refresh().catch(() => undefined);
    }, REFRESH_MS);
    this.#timer.unref();
    await this.refresh().catch(() => undefined);
  }

  /** @throws V3Error */
  async refresh(): Promise<UpstreamState> {
    const { client, clientUrls } = this.#options;
    const settings = { timeoutMs: TIMEOUT_MS };
    const [list, status, isAuthOn] = await Promise.all([
      client.call(methods.memberList, {}, settings),
      client.call(methods.status, {}, settings),
      this.#asksForCredentials(),
    ]);
    const sorted = list.members.toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
    const members = sorted.map(({ id, name, peerUrls, isLearner }) => ({
      id: hex(id),
      name,
      peerURLs: peerUrls,
      clientURLs: clientUrls,
      isLearner,
    }));
    const isFull = status.errors.some((text) => text.includes("NOSPACE"));
    this.#state = {
      members,
      leader: status.leader === 0n ? "" : hex(status.leader),
      connected: hex(status.header?.memberId ?? 0n),
      version: status.version,
      sizeBytes: Number(status.dbSize),
      liveBytes: Number(status.dbSizeInUse),
      isAuthOn,
      spaceAlarm: isFull ? "the v3 cluster has no space left (NOSPACE)" : "",
    };
    return this.#state;
  }

  /** Asked in a way that all versions answer: by credentials of nobody. */
  async #asksForCredentials(): Promise<boolean> {
    try {
      await this.#options.client.call(methods.authenticate, {}, { timeoutMs: TIMEOUT_MS });
      return true;
    } catch (error) {
      return !(error instanceof V3Error && error.message.includes("is not enabled"));
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
