/**
 * Publishes this member's name and client URLs through the log at every start, and as leader
 * decides the cluster version of a new cluster. Tries again until it succeeds or the server stops.
 */
import type { Logger } from "@etcd2/observability";
import { formatId, publishWrite } from "@etcd2/member-dir";
import { EtcdError, toByteString } from "@etcd2/store";
import type { Consensus } from "../consensus/consensus.ts";

/** Version of the API that members of this program agree on. */
const CLUSTER_VERSION = "2.3.0";

const RETRY_MS = 500;

export interface PublisherOptions {
  readonly consensus: Consensus;
  readonly name: string;
  readonly clientURLs: readonly string[];
  readonly log: Logger;
}

export class Publisher {
  readonly #options: PublisherOptions;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #versionInFlight: Promise<void> | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Resolves once the attributes are in the store; also when closed before that. */
  publish(): Promise<void> {
    return new Promise((resolve) => {
      this.#attempt(resolve);
    });
  }

  #attempt(resolve: () => void): void {
    if (this.#closed) {
      resolve();
      return;
    }
    const { consensus, name, clientURLs, log } = this.#options;
    consensus.requests.propose(
      publishWrite(consensus.storage.memberId, name, clientURLs),
      (result) => {
        if (result instanceof EtcdError) {
          this.#timer = setTimeout(() => {
            this.#attempt(resolve);
          }, RETRY_MS);
          return;
        }
        const urls = clientURLs.join(" ");
        log.info(
          `published {Name:${name} ClientURLs:[${urls}]} to cluster ${formatId(consensus.storage.clusterId)}`,
        );
        resolve();
      },
    );
  }

  /**
   * On the leader of a cluster without version: sets it. Called now and then; resolves when that
   * is done or was not needed.
   */
  ensureClusterVersion(): Promise<void> {
    const { consensus, log } = this.#options;
    if (this.#closed || !consensus.node.isLeader || consensus.cluster.version !== "") {
      return Promise.resolve();
    }
    this.#versionInFlight ??= new Promise((resolve) => {
      log.info("setting up the initial cluster version to 2.3");
      consensus.requests.propose(
        { action: "clusterVersion", value: toByteString(CLUSTER_VERSION) },
        () => {
          this.#versionInFlight = undefined;
          resolve();
        },
      );
    });
    return this.#versionInFlight;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}
