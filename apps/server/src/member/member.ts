/**
 * One running member put together, each part from those before it: consensus, membership, the
 * gateway's port, and the jobs beside them. Owns the order of starting and stopping; each part's
 * rules live in its own file. Gives the gateway its server and main something to close.
 */
import { Membership } from "../cluster/membership.ts";
import { StateCheck } from "../consistency/state-check.ts";
import { Consensus } from "../consensus/consensus.ts";
import { PeerCalls } from "../consensus/peer-calls.ts";
import { Compactor } from "../storage/compactor.ts";
import { EtcdServer } from "./etcd-server.ts";
import { Leaderless, type LeaderlessView } from "./leaderless.ts";
import type { MemberOptions } from "./member-options.ts";
import { Publisher } from "./publisher.ts";
import { TtlSync } from "./ttl-sync.ts";

/** How often requests are checked for their time limit. */
const EXPIRE_INTERVAL_MS = 100;

/** A stopping member gives requests under way this long, once somebody else leads. */
const SETTLE_TIMEOUT_MS = 500;

export class Member {
  readonly server: EtcdServer;
  readonly stateCheck: StateCheck;
  readonly consensus: Consensus;
  readonly #publisher: Publisher;
  readonly #ttl: TtlSync;
  readonly #timer: NodeJS.Timeout;
  readonly #calls: PeerCalls;
  #isClosed = false;

  private constructor(options: MemberOptions, consensus: Consensus) {
    this.consensus = consensus;
    const membership = createMembership(options, consensus);
    this.server = new EtcdServer({
      ...{ consensus, membership, ops: options.ops(consensus), stats: options.stats },
      ...{ passwords: options.passwords, meter: options.meter },
      writeRefusal: options.writeRefusal,
      alarm: options.alarm,
      onStorageFailure: options.onFatal,
    });
    const compactor = createCompactor(options, consensus);
    consensus.events.on("applied", () => {
      compactor.afterApply();
    });
    const { name, clientURLs, storage, log, onFatal } = options;
    this.#publisher = new Publisher({ consensus, name, clientURLs, log });
    this.#ttl = new TtlSync({
      consensus,
      storage,
      activeSince: (id) => consensus.transport.activeSince(id),
      onFatal,
    });
    const leaderless = new Leaderless({ now: () => performance.now(), log });
    this.#calls = new PeerCalls(() => options.peerCredentials);
    this.stateCheck = new StateCheck({
      ...{ consensus, calls: this.#calls, intervalMs: options.stateCheckMs },
      ...{ log, meter: options.meter },
    });
    this.#timer = setInterval(() => {
      leaderless.look(consensus.node.leader !== "", () => leaderlessView(consensus));
      consensus.requests.expire();
      consensus.lives.look();
      void this.#publisher.ensureClusterVersion();
    }, EXPIRE_INTERVAL_MS);
  }

  /** Starts a member on opened storage. @throws StartError */
  static async start(options: MemberOptions): Promise<Member> {
    const consensus = await Consensus.open(options);
    return new Member(options, consensus);
  }

  /** True when no other voter must agree. */
  get isAlone(): boolean {
    return this.consensus.isAlone;
  }

  /**
   * Takes part, leads at once when alone, and begins to publish this member. A fresh single member
   * waits for `published` before it serves, so that the first client write comes after what the
   * member writes itself.
   */
  async join(): Promise<{ readonly published: Promise<void> }> {
    await this.consensus.join();
    this.stateCheck.start();
    const published = this.consensus.lives.admitted
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
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.stateCheck.close();
    this.#calls.close();
    this.#ttl.close();
    this.#publisher.close();
    this.consensus.quiet();
    await this.consensus.handOver();
    await this.#settle();
    await this.consensus.close();
    await drain();
    await this.consensus.storage.close();
  }

  /** Lets requests under way come to their end, so that a planned stop fails none of them. */
  async #settle(): Promise<void> {
    const { requests, proposals, node } = this.consensus;
    requests.refuseNew();
    const deadline = performance.now() + SETTLE_TIMEOUT_MS;
    while (proposals.size > 0 && node.leader !== "" && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

function leaderlessView({ cluster, links, storage }: Consensus): LeaderlessView {
  const voters = cluster.members.filter(({ isLearner }) => !isLearner);
  const unreachable = voters
    .filter(({ id }) => id !== storage.memberId && !links.isConnected(id))
    .map(({ name, configuredName, peerURLs }) => {
      const known = name === "" ? configuredName : name;
      return known === "" ? peerURLs.join(" ") : `${known} (${peerURLs.join(" ")})`;
    });
  return { voters: voters.length, unreachable };
}

function createMembership(options: MemberOptions, consensus: Consensus): Membership {
  const { log, meter, strictReconfigCheck } = options;
  const { cluster, node, proposals, requestTimeoutMs, storage } = consensus;
  const membership = new Membership({
    ...{ memberId: storage.memberId, cluster, node, strictReconfigCheck, requestTimeoutMs },
    nextRequestId: () => proposals.nextId(),
    isConnected: (id) => consensus.links.isConnected(id),
    wallMs: Date.now,
    onPromoted: () => {
      meter.counter("etcd_server_learner_promote_successes").add(1);
    },
    log,
  });
  consensus.events.on("confChange", (requestId, refusal) => {
    membership.applied(requestId, refusal);
  });
  consensus.events.on("removedByOthers", () => {
    membership.removedByOthers();
  });
  return membership;
}

function createCompactor(options: MemberOptions, consensus: Consensus): Compactor {
  const { storage, snapshotCount, catchUpEntries, meter, log, onFatal } = options;
  const flush = meter.histogram("etcd_disk_backend_snapshot_duration_seconds");
  const sync = meter.histogram("etcd_snap_fsync_duration_seconds");
  const save = meter.histogram("etcd_debugging_snap_save_total_duration_seconds");
  return new Compactor({
    ...{ storage, node: consensus.node, snapshotCount, catchUpEntries, onFatal },
    isConnected: (id) => consensus.links.isConnected(id),
    onCompacted: (flushSeconds, totalSeconds) => {
      flush.observe(flushSeconds);
      sync.observe(flushSeconds);
      save.observe(totalSeconds);
    },
    log,
  });
}
