/**
 * One member of the simulated cluster: the real member, put together as start-member.ts does, over a
 * simulated disk, simulated links and the twin of the store's engine. Owns its starts and its ends.
 */
import type { RequestListener } from "node:http";
import { createApp } from "@etcd2/api-v2";
import { clusterId, layoutOf, memberId } from "@etcd2/member-dir";
import type { MemberRecord } from "@etcd2/member-dir";
import type { NodeId } from "@etcd2/raft";
import { CountingMeter, createLogger } from "@etcd2/observability";
import { StoreError } from "@etcd2/store";
import { LogKv } from "@etcd2/store/testing";
import { bootstrapRecord, foundingIdentity } from "../../src/cluster/bootstrap.ts";
import type { BootstrapRecord, Identity } from "../../src/cluster/bootstrap.ts";
import type { Consensus } from "../../src/consensus/consensus.ts";
import { ConsensusObserver } from "../../src/consensus/consensus-observer.ts";
import { Member } from "../../src/member/member.ts";
import type { MemberOptions } from "../../src/member/member-options.ts";
import { drawId, LifeFile } from "../../src/lives/life-file.ts";
import { whileServing } from "../../src/listeners/while-serving.ts";
import { ServerStats } from "../../src/metrics/server-stats.ts";
import { ensureWritable, inspectDataDir } from "../../src/storage/data-dir.ts";
import type { MemberLocks } from "../../src/storage/member-locks.ts";
import { MemberStorage } from "../../src/storage/member-storage.ts";
import { createMachine, Owner, world } from "./runtime.ts";
import { SimulatedCrash, SimulatedFs } from "./simulated-fs.ts";
import { SimulatedTransport } from "./simulated-transport.ts";
import type { Network } from "./simulated-transport.ts";

const TOKEN = "simulated";
const TICK_MS = 100;
const ELECTION_TICKS = 10;
const LOG_LINES_MAX = 200;

export interface SimMemberOptions {
  readonly name: string;
  readonly network: Network;
  /** Entries between two compactions of the log. */
  readonly snapshotCount: number;
  readonly catchUpEntries: number;
  readonly watchHistory: number;
  /** Told what the member is when it runs; called in its own turn. */
  readonly onRunning: (member: SimMember, consensus: Consensus) => void;
  readonly note: (line: string) => void;
}

/** Locks are between processes of one machine: there is one only. */
const NO_LOCKS = {
  unlockWal: () => undefined,
  release: () => undefined,
  undo: () => undefined,
} as unknown as MemberLocks;

export function peerUrlOf(name: string): string {
  return `http://${name}.sim:2380`;
}

export class SimMember {
  readonly name: string;
  readonly fs: SimulatedFs;
  readonly machine: ReturnType<typeof createMachine>;
  owner: Owner;
  /** What it ended with, if it ended by itself. */
  lastWords = "";
  /** It said that it must not be started again. */
  isRetired = false;
  handler: RequestListener | undefined;
  consensus: Consensus | undefined;
  memberId: NodeId = "";
  crashes = 0;
  readonly log: string[] = [];
  readonly #options: SimMemberOptions;
  readonly #logger = createLogger((level, message) => {
    this.#line(level, message);
  });
  #identity: Identity | undefined;
  #member: Member | undefined;
  #transport: SimulatedTransport | undefined;
  #boots = 0;

  constructor(options: SimMemberOptions) {
    this.#options = options;
    this.name = options.name;
    const { random } = world();
    this.fs = new SimulatedFs(options.name, random);
    this.machine = createMachine(`${options.name}-boot-0`);
    this.owner = new Owner(options.name, this.machine);
    this.owner.isDead = true;
    this.fs.onCrash = () => {
      this.#die("its disk stopped");
    };
    this.fs.syncMs = () => 0.05 + random() * 0.5;
  }

  get isUp(): boolean {
    return !this.owner.isDead;
  }

  /** It serves clients. */
  get isServing(): boolean {
    return this.isUp && this.handler !== undefined;
  }

  /** It runs now. */
  get isAwake(): boolean {
    return this.isUp && this.machine.pausedUntil <= world().now;
  }

  /** What a founder of a cluster of these members is. */
  found(names: readonly string[]): void {
    const urls = new Map(names.map((name) => [name, [peerUrlOf(name)]] as const));
    this.#identity = foundingIdentity(this.name, urls, {
      memberId: (peerUrls) => memberId({ peerUrls, token: TOKEN }),
      clusterId,
    });
    this.memberId = this.#identity.memberId;
  }

  /** What a member that was added to a running cluster is. */
  join(id: NodeId, cluster: NodeId, hosts: readonly MemberRecord[]): void {
    this.#identity = { memberId: id, clusterId: cluster, founders: [], hosts };
    this.memberId = id;
  }

  /** A new process on what the disk holds. */
  start(): void {
    if (this.isUp || this.isRetired) return;
    this.owner = new Owner(this.name, this.machine);
    this.lastWords = "";
    this.#say("start");
    const { owner } = this;
    world().after(0.1, owner, () => {
      this.#boot().catch((error: unknown) => {
        if (!owner.isDead) this.#fatal(error);
      });
    });
  }

  /** The process is gone from one instruction to the next. */
  crash(): void {
    this.#die("killed");
  }

  /** Stops in good order. */
  stop(): void {
    const { owner } = this;
    const member = this.#member;
    if (!this.isUp || member === undefined) {
      this.crash();
      return;
    }
    this.#say("stop in order");
    world().after(0, owner, () => {
      void member.close().then(() => {
        if (!owner.isDead) this.#die("stopped");
      });
    });
  }

  /** The machine itself started again: its monotonic clock with it. */
  reboot(): void {
    this.#boots += 1;
    this.machine.bootId = `${this.name}-boot-${this.#boots}`;
    this.machine.rateSince = world().now;
    this.machine.monotonicMs = 1000;
  }

  #say(what: string): void {
    this.#options.note(`${this.name}: ${what}`);
  }

  #line(level: string, message: string): void {
    this.log.push(`${world().now.toFixed(1)} ${level} ${message}`);
    if (this.log.length > LOG_LINES_MAX) this.log.shift();
  }

  #die(why: string): void {
    if (this.owner.isDead) return;
    this.#say(why);
    this.owner.isDead = true;
    this.crashes += 1;
    this.handler = undefined;
    this.consensus = undefined;
    this.#member = undefined;
    this.machine.pausedUntil = 0;
    this.#transport?.reset();
    this.#transport = undefined;
  }

  /** It ended by itself: with a reason that keeps it from coming back, or not. */
  #fatal(error: unknown): void {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    if (this.owner.isDead) return;
    this.lastWords = text;
    if (process.env["DEBUG"]) console.log(error);
    this.#line("fatal", error instanceof Error ? (error.stack ?? text) : text);
    if (!(error instanceof SimulatedCrash)) this.#say(`ends: ${text}`);
    this.#die("ended");
  }

  async #boot(): Promise<void> {
    const { owner } = this;
    const meter = new CountingMeter();
    const observer = new ConsensusObserver({
      ...{ meter, log: this.#logger },
      heartbeatSeconds: TICK_MS / 1000,
      now: () => performance.now(),
    });
    const { storage, life } = await this.#openStorage();
    const member = await Member.start(
      this.#memberOptions({ storage, life, meter, observer, owner }),
    );
    const app = createApp(member.server, { pprof: false, cors: [], hostWhitelist: ["*"] });
    const { published } = await member.join();
    if (member.isAlone) await published;
    if (owner.isDead) return;
    this.#member = member;
    this.handler = whileServing(app, () => member.server.condemned);
  }

  async #openStorage(): Promise<{ storage: MemberStorage; life: LifeFile }> {
    const layout = layoutOf(`${this.fs.root}/data`, undefined);
    const options = {
      ...{ layout, locks: NO_LOCKS, watchHistory: this.#options.watchHistory },
      onWalSync: () => undefined,
      onSlowWalSync: () => undefined,
      openKv: (path: string, { mustExist = false }: { readonly mustExist?: boolean }) =>
        LogKv.open(path, { mustExist }),
      log: this.#logger,
    };
    if (inspectDataDir(layout) === "member") {
      const storage = await MemberStorage.open(options);
      const { founders, incarnation } = bootstrapRecord(storage);
      const isUnused = storage.wal.log.lastIndex() === 0 && storage.machine.appliedIndex === 0;
      const doubt = founders.length > 1 ? ("founding" as const) : ("none" as const);
      const unfinished =
        incarnation === undefined || !isUnused ? undefined : { incarnation, doubt };
      return { storage, life: LifeFile.open(layout.memberDir, unfinished) };
    }
    ensureWritable(layout.dataDir);
    ensureWritable(layout.memberDir, layout.walDir);
    const identity = this.#identity;
    if (identity === undefined) throw new Error("nobody said who this member is");
    const incarnation = drawId();
    const { founders, hosts } = identity;
    const record: BootstrapRecord = { founders, hosts, incarnation };
    const storage = await MemberStorage.create(options, identity, JSON.stringify(record));
    const doubt = founders.length > 1 ? ("founding" as const) : ("none" as const);
    return { storage, life: LifeFile.create(layout.memberDir, { incarnation, doubt }) };
  }

  #memberOptions(parts: {
    storage: MemberStorage;
    life: LifeFile;
    meter: CountingMeter;
    observer: ConsensusObserver;
    owner: Owner;
  }): MemberOptions {
    const { storage, life, meter, observer, owner } = parts;
    const { network, snapshotCount, catchUpEntries } = this.#options;
    const end = (error: unknown): void => {
      if (!owner.isDead) this.#fatal(error);
    };
    return {
      name: this.name,
      clientURLs: [`http://${this.name}.sim:2379`],
      ...{ storage, life, meter, observer },
      stats: new ServerStats({
        name: this.name,
        memberId: storage.memberId,
        wallMs: Date.now,
        now: () => performance.now(),
      }),
      passwords: {
        hash: (password) => Promise.resolve(`simulated:${Buffer.from(password).toString("hex")}`),
        verify: (password, hash) =>
          Promise.resolve(hash === `simulated:${Buffer.from(password).toString("hex")}`),
      },
      peerCredentials: () => {
        throw new Error("nothing is dialled for real");
      },
      ...{ tickMs: TICK_MS, electionTicks: ELECTION_TICKS, snapshotCount, catchUpEntries },
      ...{ strictReconfigCheck: true, forceNewCluster: false, stateCheckMs: 0, tracing: undefined },
      writeRefusal: () => undefined,
      alarm: () => "",
      createTransport: (listener, host) => {
        this.#transport = new SimulatedTransport({
          ...{ network, owner, listener, host, urls: [peerUrlOf(this.name)] },
          ...{ clusterId: storage.clusterId, memberId: storage.memberId },
        });
        return this.#transport;
      },
      askPeer: (url) => {
        const other = network.at(url);
        const isReachable =
          other !== undefined &&
          network.connects(owner, other.owner) &&
          network.connects(other.owner, owner);
        if (!isReachable) return Promise.reject(new StoreError("closed", "no answer"));
        return Promise.resolve(other.clusterInfo());
      },
      ops: (consensus) => {
        this.consensus = consensus;
        this.#options.onRunning(this, consensus);
        return {
          metricsPage: () => Promise.resolve({ contentType: "text/plain", body: "" }),
          debugVars: () => new Map(),
          setLogLevel: () => undefined,
          log: this.#logger,
        };
      },
      ...{ log: this.#logger, raftLog: this.#logger },
      onFatal: end,
      onRemoved: (reason) => {
        this.isRetired = true;
        end(new Error(reason));
      },
    };
  }
}
