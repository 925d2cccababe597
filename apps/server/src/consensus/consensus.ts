/**
 * Consensus as one member takes part in it: the raft node with its log and its transport, and the
 * state machine that applies what is agreed on. The node and the transport need each other, and
 * this class is where they meet: it is what both of them call. Whoever wants to know more
 * subscribes to its events when it is built itself.
 *
 * From bytes to outcome a write is a Command, Pending while it waits, an Entry of the log, and
 * Applied.
 */
import { EventEmitter, once } from "node:events";
import { formatId } from "@etcd2/member-dir";
import { RaftNode } from "@etcd2/raft";
import type {
  ClusterInfo,
  ConfChange,
  HardState,
  NodeId,
  RaftNodeListener,
  SoftState,
  Transport,
  TransportListener,
} from "@etcd2/raft";
import { EtcdError, StoreWatcherHub } from "@etcd2/store";
import { StartError } from "../base/start-error.ts";
import { compatVersion } from "../base/version.ts";
import { bootstrapRecord, forceNewCluster, writeFoundingEntries } from "../cluster/bootstrap.ts";
import { refuseDowngrade } from "../cluster/cluster-version.ts";
import { Cluster } from "../cluster/cluster.ts";
import { restartReport } from "../cluster/restart-report.ts";
import { Contradictions } from "../lives/contradictions.ts";
import { disownedText, divergedText } from "../lives/last-words.ts";
import { Lives } from "../lives/lives.ts";
import type { MemberStorage } from "../storage/member-storage.ts";
import { Applier } from "./applier.ts";
import { HashPoints } from "./hash-points.ts";
import type { ConsensusEvents, ConsensusOptions, TransportHost } from "./consensus-options.ts";
import { validateEntry } from "./entry-check.ts";
import { PeerLinks } from "./peer-links.ts";
import { createProposals, Requests } from "./requests.ts";
import { SnapshotExchange } from "./snapshot-exchange.ts";

/** A stopping leader waits this long for another to take over. */
const TRANSFER_TIMEOUT_MS = 1000;

/** A member that learns of its own removal goes on for so long. */
const REMOVED_LINGER_MS = 1000;

const REMOVED_TEXT = "the member has been permanently removed from the cluster";

export class Consensus implements TransportHost {
  readonly storage: MemberStorage;
  readonly cluster: Cluster;
  readonly hub: StoreWatcherHub;
  readonly lives: Lives;
  readonly transport: Transport;
  readonly node: RaftNode;
  readonly links: PeerLinks;
  readonly requests: Requests;
  readonly events = new EventEmitter<ConsensusEvents>();
  readonly proposals = createProposals();
  readonly hashPoints = new HashPoints(() => this.storage.machine);
  readonly electionMs: number;
  /** Milliseconds a request may take: 5 s and two election timeouts. */
  readonly requestTimeoutMs: number;
  readonly #options: ConsensusOptions;
  readonly #contradictions: Contradictions;
  readonly #snapshots: SnapshotExchange;
  readonly #committedAtStart: number;
  #removal: NodeJS.Timeout | undefined;
  #role: SoftState = { leader: "", role: "follower" };
  #condemned = "";
  #leaderChanges = 0;

  private constructor(options: ConsensusOptions, cluster: Cluster, hardState: HardState) {
    const { storage, tracing, tickMs, electionTicks } = options;
    this.#options = options;
    this.#committedAtStart = hardState.commit;
    this.storage = storage;
    this.cluster = cluster;
    this.electionMs = tickMs * electionTicks;
    this.requestTimeoutMs = 5000 + 2 * this.electionMs;
    this.hub = new StoreWatcherHub(storage.machine);
    this.lives = this.#createLives(hardState);
    const listener = this.#transportListener();
    this.transport = options.createTransport(
      tracing?.aroundListener(listener, () => this.node) ?? listener,
      this,
    );
    this.links = new PeerLinks(this.transport, storage, cluster);
    this.node = this.#createNode(hardState);
    const { node } = this;
    this.#contradictions = new Contradictions({
      clusterId: storage.clusterId,
      credentials: options.peerCredentials,
      ask: options.askPeer,
      peerUrls: (id) => cluster.get(id)?.peerURLs ?? [],
      holdReads: (isHeld) => {
        node.holdReads(isHeld);
      },
      onProved: (id, entry, term) => {
        this.diverged(divergedText(entry, { id, term }, this.#self()));
      },
    });
    this.#snapshots = new SnapshotExchange({
      ...{ storage, cluster, node, hub: this.hub },
      onInstalled: () => {
        this.proposals.loseTrack();
        this.links.sync();
        this.#requireServable();
        this.events.emit("installed");
      },
      log: options.log,
      onFatal: options.onFatal,
    });
    this.requests = new Requests({
      memberId: storage.memberId,
      ...{ node, cluster, tracing, proposals: this.proposals, electionMs: this.electionMs },
      meter: options.meter,
      timeoutMs: this.requestTimeoutMs,
      now: () => performance.now(),
      isConnected: (id) => this.links.isConnected(id),
    });
    this.links.sync();
  }

  /**
   * Takes part with what the opened storage holds. No event is emitted before the turn in which
   * this resolves is over, so that whoever subscribes in that turn misses none.
   * @throws StartError when the cluster is of a later release.
   */
  static async open(options: ConsensusOptions): Promise<Consensus> {
    const { storage, log } = options;
    const cluster = new Cluster(() => storage.machine.reader);
    const downgrade = refuseDowngrade(cluster.version);
    if (downgrade !== undefined) throw downgrade;
    let hardState = await writeFoundingEntries(storage);
    if (!options.forceNewCluster && cluster.isRemoved(storage.memberId)) {
      options.onRemoved(REMOVED_TEXT);
    }
    if (options.forceNewCluster) {
      hardState = await forceNewCluster(storage, hardState, cluster.members, log);
    }
    for (const line of restartReport(storage, cluster)) log.info(line);
    cluster.reload();
    announce(options, hardState);
    return new Consensus(options, cluster, hardState);
  }

  /** Changes of leader seen since the start. */
  get leaderChanges(): number {
    return this.#leaderChanges;
  }

  /** Why this member serves nothing any more; "" while it does. */
  get condemned(): string {
    return this.#condemned;
  }

  /** True when no other voter must agree. */
  get isAlone(): boolean {
    const { members } = this.cluster;
    return members.length === 1 && this.cluster.get(this.storage.memberId) !== undefined;
  }

  clusterInfo(logIndex = 0): ClusterInfo {
    const logTerm = this.node.committedTerm(logIndex);
    return {
      ...(logTerm > 0 && { logTerm }),
      clusterId: this.storage.clusterId,
      memberId: this.storage.memberId,
      leaderId: this.node.leader,
      serverVersion: compatVersion,
      clusterVersion: this.cluster.version,
      members: this.cluster.members.map((member) => ({
        id: member.id,
        // Peers take a member with a name for one that has run.
        name: member.started ? member.name : "",
        peerUrls: member.peerURLs,
        clientUrls: member.clientURLs,
        isLearner: member.isLearner,
      })),
      removedIds: this.cluster.removedIds,
    };
  }

  /** Applies what the log begins with, and leads at once when alone. */
  async join(): Promise<void> {
    const { founders } = bootstrapRecord(this.storage);
    // A member that has nobody to wait for leads with everything applied that it knows of.
    const isSingle = this.storage.confState.voters.length <= 1;
    const index = isSingle ? this.#committedAtStart : founders.length;
    this.node.tick();
    while (this.node.applied < index && this.node.committed >= index) {
      await once(this.events, "applied");
    }
    const { voters } = this.storage.confState;
    if (this.isAlone || (voters.length === 1 && voters[0] === this.storage.memberId)) {
      this.node.campaign();
    }
  }

  /** As leader: has the best follower take over, and waits a moment for it. */
  async handOver(): Promise<void> {
    if (!this.node.isLeader) return;
    const { progress } = this.node.status();
    const { memberId, confState } = this.storage;
    const [next] = confState.voters
      .filter((id) => id !== memberId && this.links.isConnected(id))
      .sort((a, b) => (progress.get(b)?.match ?? 0) - (progress.get(a)?.match ?? 0));
    if (next === undefined) return;
    this.#options.log.info(`${formatId(memberId)} starts leadership transfer to ${formatId(next)}`);
    this.node.transferLeader(next);
    const deadline = performance.now() + TRANSFER_TIMEOUT_MS;
    const leads = (): boolean => this.node.isLeader;
    while (leads() && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Nothing is decided about this member any more; it still answers what is under way. */
  quiet(): void {
    this.#contradictions.close();
    clearTimeout(this.#removal);
  }

  /** Ends watches, lets the write in flight finish, and closes links. */
  async close(): Promise<void> {
    this.requests.stop();
    this.hub.close();
    await this.node.close();
    await this.transport.close();
    await this.lives.close();
  }

  #createLives({ term }: HardState): Lives {
    const { storage, life, log, onFatal } = this.#options;
    const { founders } = bootstrapRecord(storage);
    return new Lives({
      ...{ life, memberDir: storage.layout.memberDir, memberId: storage.memberId },
      found: { term, lastIndex: storage.wal.log.lastIndex() },
      cluster: this.cluster,
      // Founding entries count once they are applied.
      voters: () => {
        const { voters } = storage.confState;
        return voters.length > 0 ? voters : founders.map(({ id }) => id);
      },
      consensus: this,
      now: () => performance.now(),
      log,
      onFatal,
    });
  }

  #createNode(hardState: HardState): RaftNode {
    const { storage, tracing, electionTicks, tickMs } = this.#options;
    const applier = this.#createApplier();
    return new RaftNode({
      raft: {
        id: storage.memberId,
        storage: storage.logStorage(hardState),
        random: Math.random,
        applied: storage.machine.appliedIndex,
        electionTicks,
        validateEntry,
      },
      log: tracing?.aroundLog(storage.wal) ?? storage.wal,
      transport: tracing?.aroundTransport(this.transport) ?? this.transport,
      stateMachine: {
        apply: (entries, confChanges) => {
          applier.apply(entries, confChanges);
        },
        snapshot: () => storage.snapshotMetadata(),
      },
      listener: this.#nodeListener(),
      mayVote: (message) => this.lives.mayVote(message),
      tickMs,
    });
  }

  #nodeListener(): RaftNodeListener {
    const { meter, observer, onFatal } = this.#options;
    const failed = meter.counter("etcd_server_proposals_failed_total");
    return {
      onSoftState: (state) => {
        this.#softStateChanged(state);
      },
      onFatal,
      onDropped: (data, reason) => {
        const pending = this.proposals.byData(data);
        if (pending === undefined) return;
        failed.add(1);
        this.proposals.settle(pending, new EtcdError(300, `etcdserver: ${reason.message}`, 0));
      },
      onProposalTerm: (term, queued) => {
        for (const data of queued) {
          const pending = this.proposals.byData(data);
          if (pending !== undefined) pending.term = term;
        }
      },
      onReadRound: (seconds, isConfirmed) => {
        observer.readConfirmed(seconds, isConfirmed);
      },
      onLateHeartbeat: (intervalMs) => {
        observer.heartbeatLate(intervalMs / 1000);
      },
      onRefused: ({ type, from }, reason, entry) => {
        observer.messageRefused(`${type} of member ${formatId(from)}`, reason);
        if (entry !== undefined) this.#contradictions.suspect(from, entry);
      },
    };
  }

  #transportListener(): TransportListener {
    return {
      onMessages: (messages) => {
        this.node.step(messages);
      },
      onUnreachable: (id) => {
        this.node.reportUnreachable(id);
      },
      onConnectionLost: (id) => {
        this.node.connectionLost(id);
      },
      onSnapshotSent: (id, ok) => {
        this.node.reportSnapshot(id, ok);
      },
      openSnapshotSink: (message) => this.#snapshots.openSink(message),
      openSnapshotSource: () => this.#snapshots.openSource(),
      onRemoved: (reason) => {
        this.#options.log.warning(reason);
        this.events.emit("removedByOthers");
        this.#removedSelf();
      },
      onDisowned: (reason) => {
        this.#options.onFatal(new StartError(disownedText(reason, this.#self())));
      },
    };
  }

  #createApplier(): Applier {
    const { storage, observer, tracing } = this.#options;
    return new Applier(
      storage,
      this.cluster,
      this.proposals,
      {
        onConfChange: (change, requestId, refusal) => {
          if (refusal === undefined) this.#confChanged(change);
          this.events.emit("confChange", requestId, refusal);
        },
        onClusterVersion: () => {
          this.#clusterVersionChanged();
        },
        onAuthWritten: () => {
          this.events.emit("authWritten");
        },
        onTermApplied: (term) => {
          this.#termApplied(term);
        },
        onApplied: () => {
          this.events.emit("applied");
        },
        onBatch: (seconds, entries) => {
          observer.batchApplied(seconds, entries);
        },
        onProposalApplied: (seconds) => {
          observer.proposalApplied(seconds);
        },
        ...(tracing !== undefined && {
          onRunApplied: (run, startedAt, endedAt) => {
            tracing.runApplied(run, startedAt, endedAt);
          },
        }),
      },
      this.hashPoints,
    );
  }

  /**
   * An entry of `term` was applied for the first time: what was proposed to earlier leaders and is
   * not answered by now got lost with them, and is proposed again.
   */
  #termApplied(term: number): void {
    const current = Math.max(term, this.node.proposalTerm);
    const lost = this.proposals.takeOlderThan(term, current);
    if (lost.length > 0) this.node.proposeAgain(lost);
  }

  /** This member as its operator knows it. */
  #self(): { id: NodeId; name: string; peerUrls: readonly string[] } {
    const id = this.storage.memberId;
    return { id, name: this.#options.name, peerUrls: this.cluster.get(id)?.peerURLs ?? [] };
  }

  /** There is another history: this one ends here, for good, and stays to be looked at. */
  diverged(reason: string): void {
    const { log, life, meter } = this.#options;
    log.critical(reason);
    meter.gauge("etcd2_data_diverged").set(1);
    life.condemn(reason);
    this.#condemned = reason;
    this.events.emit("condemned", reason);
    this.requests.stop();
    this.hub.close();
    void this.node.close().then(() => this.transport.close());
  }

  /**
   * This member is out. It stays for a moment, so that the others learn from it that the change is
   * committed (it may be the leader, and they may not be enough without it) and clients get their
   * answers.
   */
  #removedSelf(): void {
    this.#removal ??= setTimeout(() => {
      this.#options.onRemoved(REMOVED_TEXT);
    }, REMOVED_LINGER_MS);
  }

  #confChanged(change: ConfChange): void {
    const { log } = this.#options;
    const cluster = formatId(this.storage.clusterId);
    for (const { type, nodeId } of change.changes) {
      const isSelf = nodeId === this.storage.memberId;
      const shown = `${isSelf ? "local " : ""}member ${formatId(nodeId)}`;
      const urls = this.cluster.get(nodeId)?.peerURLs ?? [];
      if (type === "remove") {
        log.info(`removed ${shown} from cluster ${cluster}`);
        if (isSelf) this.#removedSelf();
        else this.links.remove(nodeId);
        this.lives.forget(nodeId);
      } else {
        const [verb, where] = type === "update" ? ["updated", "in"] : ["added", "to"];
        log.info(`${verb} ${shown} [${urls.join(" ")}] ${where} cluster ${cluster}`);
        this.links.add(nodeId, urls);
      }
    }
  }

  /** What comes in the log or in a snapshot may be a later release's. */
  #requireServable(): void {
    const downgrade = refuseDowngrade(this.cluster.version);
    if (downgrade !== undefined) this.#options.onFatal(downgrade);
  }

  #clusterVersionChanged(): void {
    this.#requireServable();
    const version = this.cluster.version.split(".").slice(0, 2).join(".");
    this.events.emit("clusterVersion");
    this.#options.log.info(`set the initial cluster version to ${version}`);
    this.#options.log.info(`enabled capabilities for version ${version}`);
  }

  #softStateChanged(state: SoftState): void {
    const { raftLog, stats } = this.#options;
    const id = formatId(this.storage.memberId);
    const { term } = this.node;
    this.events.emit("termChanged");
    if (state.role !== this.#role.role) {
      const role = state.role === "preCandidate" ? "pre-candidate" : state.role;
      raftLog.info(`${id} became ${role} at term ${term}`);
    }
    if (state.leader !== this.#role.leader) {
      const isLost = state.leader === "";
      if (!isLost) {
        this.#leaderChanges += 1;
        this.requests.leaderElected();
      }
      const what = isLost ? "lost" : "elected";
      const leader = isLost ? this.#role.leader : state.leader;
      raftLog.info(`raft.node: ${id} ${what} leader ${formatId(leader)} at term ${term}`);
    }
    this.#role = state;
    stats.roleChanged(state.role, state.leader);
  }
}

/** What the log of a start says of the raft node. */
function announce({ storage, log, raftLog, tickMs }: ConsensusOptions, hardState: HardState): void {
  const peers = storage.confState.voters.map(formatId).join(",");
  const { wal } = storage;
  const last = wal.log.lastIndex();
  raftLog.info(
    `newRaft ${formatId(storage.memberId)} [peers: [${peers}], term: ${hardState.term}, ` +
      `commit: ${hardState.commit}, applied: ${storage.machine.appliedIndex}, lastindex: ${last}, ` +
      `lastterm: ${wal.log.term(last)}]`,
  );
  const syncMs = wal.syncEstimateSeconds * 1000;
  if (syncMs <= tickMs) return;
  log.warning(
    `a sync of the log takes about ${syncMs.toFixed(0)} ms, longer than the heartbeat interval ` +
      `(${tickMs} ms): use a faster disk, or raise --heartbeat-interval and --election-timeout`,
  );
}
