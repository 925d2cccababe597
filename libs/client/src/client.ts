/** The client as applications hold it: one object for one cluster. */
import { type Action, type Answer, type CallOptions, Cluster } from "./cluster.ts";
import { AuthApi } from "./auth.ts";
import { NoEndpointsError } from "./errors.ts";
import { fetchTransport } from "./fetch-transport.ts";
import { KeysApi } from "./keys.ts";
import { MembersApi } from "./members.ts";
import {
  type Health,
  readHealth,
  readVersion,
  StatsApi,
  type StatusOptions,
  type Version,
} from "./status.ts";
import type { Transport, TransportRequest } from "./transport.ts";
import { watchKey, type WatchEvent, type WatchOptions } from "./watch.ts";

export interface ClientOptions {
  /** `http://host:port`, each the address of one member; credentials and a path may be part of it. */
  readonly endpoints: string | readonly string[];
  /** Sent as Basic credentials. Default: those of each endpoint's own address, or none. */
  readonly username?: string;
  readonly password?: string;
  /** Milliseconds for one endpoint to answer in full; of a watch, to begin. Default 5,000; 0: none. */
  readonly timeoutMs?: number;
  /** Milliseconds of these until the header of an answer is there. Default 0: no limit of its own. */
  readonly headerTimeoutMs?: number;
  /** The order in which endpoints are asked. Default "random", so that clients spread. */
  readonly order?: "random" | "given";
  /**
   * "whenSafe": a write is sent to another endpoint only when no server can have carried it out.
   * "always": as etcdctl does; a write may then be carried out twice. Default "whenSafe".
   */
  readonly retryWrites?: "whenSafe" | "always";
  /**
   * Answers of another cluster are refused, as its indexes mean something else. "pin": the cluster
   * that answers first counts; an id: that one; "ignore": any. Default "pin".
   */
  readonly clusterId?: string;
  /** Default: the fetch of the runtime. `@etcd2/client/node` has one with TLS and kept connections. */
  readonly transport?: Transport;
  /** Told of every request, for logs. The headers hold credentials. */
  readonly onRequest?: (request: TransportRequest) => void;
}

const TIMEOUT_MS = 5000;

/** A client of one cluster. Its calls are independent of each other and may run side by side. */
export class EtcdClient {
  readonly keys: KeysApi;
  readonly members: MembersApi;
  readonly auth: AuthApi;
  readonly stats: StatsApi;
  readonly #cluster: Cluster;
  readonly #transport: Transport;

  /** @throws EndpointError, NoEndpointsError. */
  constructor(options: ClientOptions) {
    const { endpoints, username, password = "" } = options;
    this.#transport = options.transport ?? fetchTransport();
    this.#cluster = new Cluster({
      endpoints: typeof endpoints === "string" ? endpoints.split(",") : endpoints,
      transport: this.#transport,
      credentials: username === undefined ? undefined : `${username}:${password}`,
      timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
      headerTimeoutMs: options.headerTimeoutMs ?? 0,
      order: options.order ?? "random",
      retryWrites: options.retryWrites ?? "whenSafe",
      clusterId: options.clusterId ?? "pin",
      onRequest: options.onRequest,
    });
    this.keys = new KeysApi(this.#cluster);
    this.members = new MembersApi(this.#cluster);
    this.auth = new AuthApi(this.#cluster);
    this.stats = new StatsApi(this.#cluster);
  }

  /** In the order they are asked. */
  get endpoints(): readonly string[] {
    return this.#cluster.endpoints;
  }

  /** The id of the cluster; "" before the first answer and where ids are ignored. */
  get clusterId(): string {
    return this.#cluster.clusterId;
  }

  /**
   * Any request below an endpoint, for what has no method here. Refusals below 500 are answers.
   * @throws ClusterError and what else send() of the endpoints can end with.
   */
  request(action: Action, options: CallOptions = {}): Promise<Answer> {
    return this.#cluster.send(action, options);
  }

  /** The events of a key, to be read with `for await`. */
  watch(key: string, options: WatchOptions = {}): AsyncIterable<WatchEvent> {
    return watchKey(this.#cluster, key, options);
  }

  /** Uses the addresses that the members have published from now on. @throws NoEndpointsError. */
  async sync(options: CallOptions = {}): Promise<readonly string[]> {
    const urls = (await this.members.list(options)).flatMap(({ clientURLs }) => clientURLs);
    if (urls.length === 0) throw new NoEndpointsError();
    const known = this.endpoints.toSorted();
    const isSame =
      urls.length === known.length && urls.toSorted().every((url, i) => url === known[i]);
    if (!isSame) this.#cluster.setEndpoints(urls);
    return this.endpoints;
  }

  version(options: StatusOptions = {}): Promise<Version> {
    return readVersion(this.#cluster, options);
  }

  /** Whether one server can serve. @throws ConnectionError, TimeoutError when it does not answer. */
  health(options: StatusOptions = {}): Promise<Health> {
    return readHealth(this.#cluster, options);
  }

  /** Drops kept connections. Watches are ended by their signals or loops. */
  close(): void {
    this.#transport.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
