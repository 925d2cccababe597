/**
 * One running member put together: storage, raft loop, transport, state machine, gateway port and
 * the jobs beside them. Owns the order of starting and stopping; each part's rules live in its own
 * file. Gives the gateway its server and main something to close.
 */
import { randomInt } from "node:crypto";
import { formatId } from "@etcd2/member-dir";
import type {
  ClusterInfo,
  ConfChange,
  HardState,
  NodeId,
  SoftState,
  Transport,
  TransportListener,
} from "@etcd2/raft";
import { RaftNode } from "@etcd2/raft";
import { StoreWatcherHub } from "@etcd2/store";
import { Applier } from "../consensus/applier.ts";
import { bootstrapRecord, forceNewCluster, writeFoundingEntries } from "../cluster/bootstrap.ts";
import { Cluster } from "../cluster/cluster.ts";
import { refuseDowngrade } from "../cluster/cluster-version.ts";
import { Compactor } from "../storage/compactor.ts";
import { validateEntry } from "../consensus/entry-check.ts";
import { EtcdServer } from "./etcd-server.ts";
import { Contradictions } from "../lives/contradictions.ts";
import { disownedText, divergedText } from "../lives/last-words.ts";
import { Lives } from "../lives/lives.ts";
import type { MemberStorage } from "../storage/member-storage.ts";
import { Membership } from "../cluster/membership.ts";
import type { MemberOptions } from "./member-options.ts";
import { Publisher } from "./publisher.ts";
import { restartReport } from "../cluster/restart-report.ts";
import { ServerStats } from "../metrics/server-stats.ts";
import { SnapshotExchange } from "../consensus/snapshot-exchange.ts";
import { TtlSync } from "./ttl-sync.ts";
import { StartError } from "../base/start-error.ts";
import { compatVersion } from "../base/version.ts";

/** How often requests are checked for their time limit. */
const EXPIRE_INTERVAL_MS = 100;

/** A stopping leader waits this long for another to take over. */
const TRANSFER_TIMEOUT_MS = 1000;

/** A stopping member gives requests under way this long, once somebody else leads. */
const SETTLE_TIMEOUT_MS = 500;

/** A member that learns of its own removal goes on for so long. */
const REMOVED_LINGER_MS = 1000;

const REMOVED_TEXT = "the member has been permanently removed from the cluster";

export class Member {
  readonly server: EtcdServer;
  readonly node: RaftNode;
  readonly cluster: Cluster;
  readonly stats: ServerStats;
  readonly hub: StoreWatcherHub;
  readonly transport: Transport;
  readonly storage: MemberStorage;
  readonly lives: Lives;
  readonly #contradictions: Contradictions;
  readonly #options: MemberOptions;
  readonly #membership: Membership;
  readonly #publisher: Publisher;
  readonly #compactor: Compactor;
  readonly #ttl: TtlSync;
  readonly #timer: NodeJS.Timeout;
  readonly #snapshots: SnapshotExchange;
  readonly #now = (): number => performance.now();
  /** Members this one holds links to. */
  readonly #peers = new Set<NodeId>();
  #removal: NodeJS.Timeout | undefined;
  #closed = false;
  #role: SoftState = { leader: "", role: "follower" };
  leaderChanges = 0;

  private constructor(options: MemberOptions, hardState: HardState) {
    this.#options = options;
    this.storage = options.storage;
    const { storage } = options;
    const { machine } = storage;
    this.cluster = new Cluster(() => storage.machine.reader);
    this.hub = new StoreWatcherHub(machine);
    this.stats = new ServerStats({
      name: options.name,
      memberId: storage.memberId,
      wallMs: Date.now,
      now: this.#now,
    });
    this.server = this.#createServer();
    const applier = this.#createApplier();
    this.#snapshots = new SnapshotExchange({
      storage,
      cluster: this.cluster,
      hub: this.hub,
      node: () => this.node,
      onInstalled: () => {
        this.server.proposals.loseTrack();
        this.#syncPeers();
        this.#requireServable();
        this.server.clusterVersionChanged();
        this.server.authChanged();
      },
      log: options.log.server,
      onFatal: options.onFatal,
    });
    this.lives = this.#createLives(hardState);
    this.#contradictions = this.#createContradictions();
    const listener = this.#transportListener();
    this.transport = options.createTransport(
      options.tracing?.aroundListener(listener, () => this.node) ?? listener,
      this,
    );
    this.node = this.#createNode(hardState, applier);
    this.#membership = this.#createMembership();
    this.server.attach(this.node, this.#membership, {
      ...options.ops(this),
      selfStats: () => this.stats.self(),
      leaderStats: () => (this.node.isLeader ? this.stats.leader(this.#otherIds()) : undefined),
    });
    this.#compactor = new Compactor({
      storage,
      node: this.node,
      snapshotCount: options.snapshotCount,
      catchUpEntries: options.catchUpEntries,
      isConnected: (id) => this.transport.activeSince(id) > 0,
      onCompacted: (flushSeconds, totalSeconds) => {
        options.counters.compacted(flushSeconds, totalSeconds);
      },
      log: options.log.server,
      onFatal: options.onFatal,
    });
    this.#publisher = new Publisher({
      server: this.server,
      name: options.name,
      clientURLs: options.clientURLs,
      log: options.log.server,
    });
    this.#ttl = this.#createTtlSync();
    this.#timer = setInterval(() => {
      this.server.expireRequests();
      this.lives.look();
      void this.#publisher.ensureClusterVersion();
    }, EXPIRE_INTERVAL_MS);
  }

  #createTtlSync(): TtlSync {
    const { storage, onFatal } = this.#options;
    return new TtlSync({
      server: this.server,
      storage,
      activeSince: (id) => this.transport.activeSince(id),
      onFatal,
    });
  }

  /** Starts a member on opened storage. */
  static async start(options: MemberOptions): Promise<Member> {
    const { storage, log } = options;
    const known = new Cluster(() => storage.machine.reader);
    const downgrade = refuseDowngrade(known.version);
    if (downgrade !== undefined) throw downgrade;
    let hardState = await writeFoundingEntries(storage);
    if (!options.forceNewCluster && known.isRemoved(storage.memberId)) {
      options.onRemoved(REMOVED_TEXT);
    }
    if (options.forceNewCluster) {
      hardState = await forceNewCluster(storage, hardState, known.members, log.server);
    }
    const member = new Member(options, hardState);
    for (const line of restartReport(storage, known)) log.server(line);
    const peers = storage.confState.voters.map(formatId).join(",");
    const { wal } = storage;
    const last = wal.log.lastIndex();
    log.raft(
      `newRaft ${formatId(storage.memberId)} [peers: [${peers}], term: ${hardState.term}, ` +
        `commit: ${hardState.commit}, applied: ${storage.machine.appliedIndex}, lastindex: ${last}, ` +
        `lastterm: ${wal.log.term(last)}]`,
    );
    const syncMs = wal.syncEstimateSeconds * 1000;
    if (syncMs > options.tickMs) {
      log.warn(
        `a sync of the log takes about ${syncMs.toFixed(0)} ms, longer than the heartbeat interval ` +
          `(${options.tickMs} ms): use a faster disk, or raise --heartbeat-interval and --election-timeout`,
      );
    }
    member.#syncPeers();
    return member;
  }

  /** True when no other voter must agree. */
  get isAlone(): boolean {
    return (
      this.cluster.members.length === 1 && this.cluster.get(this.storage.memberId) !== undefined
    );
  }

  /**
   * What the peer port tells whoever asks about the cluster.
   * @param logIndex the entry whose term is asked for too; 0 for none.
   */
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

  /**
   * Applies the founding entries, leads at once when alone, and begins to publish this member.
   * A fresh single member waits for `published` before it serves, so that the first client write
   * comes after what the member writes itself.
   */
  async join(): Promise<{ readonly published: Promise<void> }> {
    const { voters } = this.storage.confState;
    // Founding entries are applied in the first turn of the loop.
    this.node.tick();
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    if (this.isAlone || (voters.length === 1 && voters[0] === this.storage.memberId)) {
      this.node.campaign();
    }
    const published = this.lives.admitted
      .then(() => this.#publisher.publish())
      .then(() => this.#publisher.ensureClusterVersion());
    return { published };
  }

  /**
   * Stops in order: hands leadership over, refuses new work, ends watches, lets the write in
   * flight finish, closes links and files. Idempotent.
   * @param drain ends what may still read from the store; called when the store is about to close.
   */
  async close(drain: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#ttl.close();
    this.#contradictions.close();
    this.#publisher.close();
    clearTimeout(this.#removal);
    await this.#handOver();
    await this.#settle();
    this.server.stop();
    this.hub.close();
    await this.node.close();
    await this.transport.close();
    this.lives.close();
    await drain();
    await this.storage.close();
  }

  async #handOver(): Promise<void> {
    if (!this.node.isLeader) return;
    const { progress } = this.node.status();
    const candidates = this.storage.confState.voters
      .filter((id) => id !== this.storage.memberId && this.transport.activeSince(id) > 0)
      .sort((a, b) => (progress.get(b)?.match ?? 0) - (progress.get(a)?.match ?? 0));
    const [next] = candidates;
    if (next === undefined) return;
    this.#options.log.server(
      `${formatId(this.storage.memberId)} starts leadership transfer to ${formatId(next)}`,
    );
    this.node.transferLeader(next);
    const deadline = this.#now() + TRANSFER_TIMEOUT_MS;
    const leads = (): boolean => this.node.isLeader;
    while (leads() && this.#now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Lets requests under way come to their end, so that a planned stop fails none of them. */
  async #settle(): Promise<void> {
    this.server.refuseNew();
    const deadline = this.#now() + SETTLE_TIMEOUT_MS;
    while (this.server.pendingProposals > 0 && this.node.leader !== "" && this.#now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  #createApplier(): Applier {
    const { storage, counters, tracing } = this.#options;
    return new Applier(storage, this.cluster, this.server.proposals, {
      onConfChange: (change, requestId, refusal) => {
        this.#confChanged(change, requestId, refusal);
      },
      onClusterVersion: () => {
        this.#clusterVersionChanged();
      },
      onAuthWritten: () => {
        this.server.authChanged();
      },
      onTermApplied: (term) => {
        this.server.termApplied(term);
      },
      onApplied: () => {
        this.#compactor.afterApply();
      },
      onBatch: (seconds, entries) => {
        counters.batchApplied(seconds, entries);
      },
      onProposalApplied: (seconds) => {
        counters.proposalApplied(seconds);
      },
      ...(tracing !== undefined && {
        onRunApplied: (run, startedAt, endedAt) => {
          tracing.runApplied(run, startedAt, endedAt);
        },
      }),
    });
  }

  #createNode(hardState: HardState, applier: Applier): RaftNode {
    const options = this.#options;
    const { storage, tracing } = options;
    return new RaftNode({
      raft: {
        id: storage.memberId,
        storage: storage.logStorage(hardState),
        random: Math.random,
        applied: storage.machine.appliedIndex,
        electionTicks: options.electionTicks,
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
      listener: {
        onSoftState: (state) => {
          this.#softStateChanged(state);
        },
        onFatal: options.onFatal,
        onDropped: (data, reason) => {
          this.server.proposalDropped(data, reason.message);
        },
        onProposalTerm: (term, queued) => {
          this.server.proposalTermChanged(term, queued);
        },
        onReadRound: (seconds, isConfirmed) => {
          options.counters.readConfirmed(seconds, isConfirmed);
        },
        onLateHeartbeat: (intervalMs) => {
          options.counters.heartbeatLate(intervalMs / 1000);
        },
        onRefused: ({ type, from }, reason, entry) => {
          options.counters.messageRefused(`${type} of member ${formatId(from)}`, reason);
          if (entry !== undefined) this.#contradictions.suspect(from, entry);
        },
      },
      mayVote: (message) => this.lives.mayVote(message),
      tickMs: options.tickMs,
    });
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
      node: () => this.node,
      now: this.#now,
      warn: log.warn,
      onFatal,
    });
  }

  #createContradictions(): Contradictions {
    return new Contradictions({
      clusterId: this.storage.clusterId,
      credentials: this.#options.peerCredentials,
      peerUrls: (id) => this.cluster.get(id)?.peerURLs ?? [],
      holdReads: (isHeld) => {
        this.node.holdReads(isHeld);
      },
      onProved: (id, entry, term) => {
        this.#diverged(divergedText(entry, { id, term }, this.#self()));
      },
    });
  }

  /** This member as its operator knows it. */
  #self(): { id: NodeId; name: string; peerUrls: readonly string[] } {
    const id = this.storage.memberId;
    return { id, name: this.#options.name, peerUrls: this.cluster.get(id)?.peerURLs ?? [] };
  }

  /** There is another history: this one ends here, for good, and stays to be looked at. */
  #diverged(reason: string): void {
    const { log, life, counters } = this.#options;
    log.critical(reason);
    counters.diverged();
    life.condemn(reason);
    this.server.condemn(reason);
    this.hub.close();
    void this.node.close().then(() => this.transport.close());
  }

  #createServer(): EtcdServer {
    const { storage, tickMs, electionTicks } = this.#options;
    return new EtcdServer({
      memberId: storage.memberId,
      clusterId: storage.clusterId,
      storage,
      hub: this.hub,
      cluster: this.cluster,
      passwords: this.#options.passwords,
      metrics: this.#options.metrics,
      counters: this.#options.counters,
      tracing: this.#options.tracing,
      requestTimeoutMs: this.#requestTimeoutMs(tickMs * electionTicks),
      electionMs: tickMs * electionTicks,
      session: randomInt(1, 2 ** 47),
      now: this.#now,
      isConnected: (id) => this.transport.activeSince(id) > 0,
      writeRefusal: this.#options.writeRefusal,
      alarm: this.#options.alarm,
      onStorageFailure: this.#options.onFatal,
    });
  }

  #requestTimeoutMs(electionMs: number): number {
    return 5000 + 2 * electionMs;
  }

  #createMembership(): Membership {
    const { storage, strictReconfigCheck, tickMs, electionTicks, log } = this.#options;
    return new Membership({
      memberId: storage.memberId,
      cluster: this.cluster,
      node: () => this.node,
      nextRequestId: () => this.server.proposals.nextId(),
      strictReconfigCheck,
      isConnected: (id) => this.transport.activeSince(id) > 0,
      requestTimeoutMs: this.#requestTimeoutMs(tickMs * electionTicks),
      wallMs: Date.now,
      onPromoted: () => {
        this.#options.counters.learnerPromoted();
      },
      log: (level, message) => {
        if (level === "warn") log.warn(message);
        else log.server(message);
      },
    });
  }

  #otherIds(): readonly NodeId[] {
    return this.cluster.members
      .map((member) => member.id)
      .filter((id) => id !== this.storage.memberId);
  }

  #transportListener(): TransportListener {
    const { log } = this.#options;
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
        log.warn(reason);
        this.#membership.removedByOthers();
        this.#removedSelf();
      },
      onDisowned: (reason) => {
        this.#options.onFatal(new StartError(disownedText(reason, this.#self())));
      },
    };
  }

  /** Holds links to exactly the other members; before the log names any, to those known so far. */
  #syncPeers(): void {
    const { members } = this.cluster;
    const wanted = members.length > 0 ? members : bootstrapRecord(this.storage).hosts;
    const ids = new Set(wanted.map((member) => member.id));
    for (const id of this.#peers) if (!ids.has(id)) this.#removePeer(id);
    for (const member of wanted) this.#addPeer(member.id, member.peerURLs);
  }

  #addPeer(id: NodeId, urls: readonly string[]): void {
    if (id === this.storage.memberId) return;
    this.#peers.add(id);
    this.transport.addPeer({ id, urls });
  }

  #removePeer(id: NodeId): void {
    this.#peers.delete(id);
    this.transport.removePeer(id);
  }

  /**
   * This member is out. It stays for a moment, so that the others learn from it that the change is
   * committed (it may be the leader, and they may not be enough without it) and clients get their
   * answers.
   */
  #removedSelf(): void {
    if (this.#removal !== undefined) return;
    this.#removal = setTimeout(() => {
      this.#options.onRemoved(REMOVED_TEXT);
    }, REMOVED_LINGER_MS);
  }

  #confChanged(change: ConfChange, requestId: string, refusal: string | undefined): void {
    const { log } = this.#options;
    const cluster = formatId(this.storage.clusterId);
    for (const { type, nodeId } of refusal === undefined ? change.changes : []) {
      const isSelf = nodeId === this.storage.memberId;
      const urls = this.cluster.get(nodeId)?.peerURLs ?? [];
      if (type === "remove") {
        log.server(
          `removed ${isSelf ? "local " : ""}member ${formatId(nodeId)} from cluster ${cluster}`,
        );
        if (isSelf) this.#removedSelf();
        else this.#removePeer(nodeId);
        this.lives.forget(nodeId);
      } else {
        const verb = type === "update" ? "updated" : "added";
        log.server(
          `${verb} ${isSelf ? "local " : ""}member ${formatId(nodeId)} [${urls.join(" ")}] ${type === "update" ? "in" : "to"} cluster ${cluster}`,
        );
        this.#addPeer(nodeId, urls);
      }
    }
    this.#membership.applied(requestId, refusal);
  }

  /** What comes in the log or in a snapshot may be a later release's. */
  #requireServable(): void {
    const downgrade = refuseDowngrade(this.cluster.version);
    if (downgrade !== undefined) this.#options.onFatal(downgrade);
  }

  #clusterVersionChanged(): void {
    this.#requireServable();
    const version = this.cluster.version.split(".").slice(0, 2).join(".");
    this.server.clusterVersionChanged();
    this.#options.log.server(`set the initial cluster version to ${version}`);
    this.#options.log.server(`enabled capabilities for version ${version}`);
  }

  #softStateChanged(state: SoftState): void {
    const { log } = this.#options;
    const id = formatId(this.storage.memberId);
    const { term } = this.node;
    if (state.role !== this.#role.role) {
      log.raft(
        `${id} became ${state.role === "preCandidate" ? "pre-candidate" : state.role} at term ${term}`,
      );
    }
    if (state.leader !== this.#role.leader) {
      this.leaderChanges += state.leader === "" ? 0 : 1;
      if (state.leader !== "") this.server.leaderElected();
      if (state.leader === "") {
        log.raft(`raft.node: ${id} lost leader ${formatId(this.#role.leader)} at term ${term}`);
      } else {
        log.raft(`raft.node: ${id} elected leader ${formatId(state.leader)} at term ${term}`);
      }
    }
    this.#role = state;
    this.stats.roleChanged(state.role, state.leader);
    this.#options.onSoftState(state);
  }
}
