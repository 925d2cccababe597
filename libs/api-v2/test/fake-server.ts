/**
 * An EtcdServer for tests: the real state machine over memory, commands applied at once. It has a
 * member and a cluster, but no raft, no disk and no peers; without a quorum commands time out.
 */
import { CountingMeter, createLogger, FAMILIES } from "@etcd2/observability";
import { createHash, randomBytes } from "node:crypto";
import { createServer, type ServerOptions } from "node:http";
import type { AddressInfo } from "node:net";
import { duplexPair, type Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import {
  EtcdError,
  MemoryKv,
  StateMachine,
  SteadyClock,
  StoreWatcherHub,
  type Command,
  type Outcome,
  type StoreError,
  type StoreReader,
  type WriteCommand,
} from "@etcd2/store";
import {
  createApp,
  createHttpServerOptions,
  prepareHttpServer,
  type Committed,
  type EtcdServer,
  type HealthReport,
  type LeaderStats,
  type PasswordHasher,
  type SelfStats,
} from "../src/index.ts";
import { FakeMembership } from "./fake-membership.ts";

export interface FakeOptions {
  readonly cors?: readonly string[];
  readonly hostWhitelist?: readonly string[];
  readonly ownNames?: readonly string[];
  /** Where to listen; 127.0.0.1 when not given. */
  readonly host?: string;
  readonly pprof?: boolean;
  readonly allNeedAuth?: boolean;
  readonly watchesMax?: number;
  readonly watchBytesMax?: number;
  readonly watchStallMs?: number;
  readonly historyMax?: number;
  /** Members that are never started, so that there is no leader. */
  readonly ghostPeers?: number;
  /** After so long a command without a quorum fails; etcd 2.3.8 waits for 7 s. */
  readonly requestTimeoutMs?: number;
  /** Settings of the HTTP server in place of the usual ones. */
  readonly http?: Pick<
    ServerOptions,
    "headersTimeout" | "requestTimeout" | "connectionsCheckingInterval"
  >;
  /** 0 for any free port. */
  readonly port?: number;
}

/** How often nodes whose life is over are looked for. */
const EXPIRE_INTERVAL_MS = 100;
const START = new Date().toISOString();

function saltedHash(password: Uint8Array, salt: string): string {
  return `fake$${salt}$${createHash("sha256").update(salt).update(password).digest("base64")}`;
}

/** Salted like the real thing, at no cost. */
const passwords: PasswordHasher = {
  hash: (password) => Promise.resolve(saltedHash(password, randomBytes(6).toString("hex"))),
  verify: (password, hash) =>
    Promise.resolve(hash === saltedHash(password, hash.split("$")[1] ?? "")),
};

class FakeServer implements EtcdServer {
  readonly clusterId = "7e27652122e8b2ae";
  readonly passwords = passwords;
  readonly meter = new CountingMeter();
  readonly membership: FakeMembership;
  readonly reader: StoreReader;
  readonly hub: StoreWatcherHub;
  readonly logLines: string[] = [];
  readonly log = createLogger((level, message) => this.logLines.push(`${level} ${message}`));
  readonly storageFailures: StoreError[] = [];
  readonly raftTerm = 2;
  /** Delay of every write, for tests of what happens meanwhile. */
  delayMs = 0;
  clusterVersion = "not_decided";
  authGeneration = 0;
  logLevel = "INFO";
  readonly #machine: StateMachine;
  readonly #requestTimeoutMs: number;
  readonly #expiry: NodeJS.Timeout;

  constructor(machine: StateMachine, options: FakeOptions, clientUrl: string) {
    this.#machine = machine;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? 100;
    this.reader = machine.reader;
    this.hub = new StoreWatcherHub(machine);
    machine.onEvents((events) => {
      if (events.some(({ node }) => node.key.startsWith("/2"))) this.authGeneration++;
    });
    this.membership = new FakeMembership(
      (command) => this.apply(command),
      clientUrl,
      options.ghostPeers ?? 0,
    );
    if (this.hasQuorum) {
      this.clusterVersion = "2.3.0";
      this.apply({ action: "clusterVersion", value: "2.3.0" });
    }
    this.#expiry = setInterval(() => {
      if (this.hasQuorum) this.#expire();
    }, EXPIRE_INTERVAL_MS);
    this.#expiry.unref();
  }

  get hasQuorum(): boolean {
    return this.membership.started * 2 > this.membership.list().length;
  }

  get raftIndex(): number {
    return this.#machine.appliedIndex;
  }

  apply(command: Command): Outcome {
    const entry = { index: this.#machine.appliedIndex + 1, term: this.raftTerm, command };
    return this.#machine.apply([entry])[0];
  }

  propose(command: WriteCommand, done: (result: Committed | EtcdError) => void): void {
    if (!this.hasQuorum) {
      setTimeout(() => {
        done(new EtcdError(300, "etcdserver: request timed out", 0));
      }, this.#requestTimeoutMs);
      return;
    }
    const commit = (): void => {
      const outcome = this.apply(command);
      if (outcome === undefined) throw new Error(`no outcome of ${command.action}`);
      if (outcome instanceof EtcdError) done(outcome);
      else done({ event: outcome, raftIndex: this.raftIndex, raftTerm: this.raftTerm });
    };
    if (this.delayMs > 0) setTimeout(commit, this.delayMs);
    else setImmediate(commit);
  }

  readIndex(done: (error: EtcdError | undefined) => void): void {
    if (this.hasQuorum) setImmediate(done, undefined);
    else {
      setTimeout(() => {
        done(new EtcdError(300, "etcdserver: request timed out", 0));
      }, this.#requestTimeoutMs);
    }
  }

  selfStats(): SelfStats {
    const { id = "", name = "" } = this.membership.self() ?? {};
    return {
      name,
      id,
      state: "StateLeader",
      startTime: START,
      leaderInfo: { leader: id, uptime: "1.5s", startTime: START },
      recvAppendRequestCnt: 0,
      recvPkgRate: Infinity,
      sendAppendRequestCnt: 0,
      sendPkgRate: 0,
    };
  }

  leaderStats(): LeaderStats | undefined {
    const leader = this.membership.leader();
    return leader === undefined ? undefined : { leader: leader.id, followers: {} };
  }

  alarm = "";

  async health(isLocal = false): Promise<HealthReport> {
    await sleep(1);
    const reason = isLocal || this.hasQuorum ? "" : "there is no leader";
    const checks = [
      ...(this.alarm === "" ? [] : [{ name: "space", reason: this.alarm }]),
      ...(isLocal ? [] : [{ name: "leader", reason }]),
    ];
    return { healthy: checks.every((check) => check.reason === ""), checks };
  }

  exportSnapshot(): AsyncIterable<Uint8Array> {
    return this.#machine.exportSnapshot();
  }

  metricsPage(): Promise<{ contentType: string; body: string }> {
    const lines = FAMILIES.flatMap(([name]) =>
      this.meter.samples(name).map(({ labels, value, metricName = name }) => {
        const pairs = Object.entries(labels).map(([label, text]) => `${label}="${String(text)}"`);
        return `${metricName}{${pairs.join(",")}} ${String(value)}\n`;
      }),
    );
    return Promise.resolve({ contentType: "text/plain; version=0.0.4", body: lines.join("") });
  }

  debugVars(): ReadonlyMap<string, unknown> {
    return new Map<string, unknown>([
      ["cmdline", process.argv],
      ["file_descriptor_limit", 1024],
    ]);
  }

  setLogLevel(level: string): void {
    this.logLevel = level;
  }

  storageFailed(error: StoreError): void {
    this.storageFailures.push(error);
  }

  close(): void {
    clearInterval(this.#expiry);
    this.hub.close();
  }

  #expire(): void {
    const due = this.#machine.dueNodes(this.#machine.clock.steadyMs(), 1000);
    if (due.length === 0) return;
    // Nodes that were written within one millisecond go in the order of their writes.
    const expired = [...due].sort(
      (a, b) => a.expirationMs - b.expirationMs || a.modifiedIndex - b.modifiedIndex,
    );
    this.apply({ action: "expire", expired });
  }
}

export interface RunningFake {
  readonly baseUrl: string;
  readonly server: FakeServer;
  /** Connects without a network. */
  readonly connect: () => Duplex;
  readonly close: () => Promise<void>;
}

/** Starts the gateway over a fake server on a port of its own. */
export async function startFakeServer(options: FakeOptions = {}): Promise<RunningFake> {
  const http = createServer({ ...createHttpServerOptions(), ...options.http });
  await new Promise<void>((resolve) => {
    http.listen(options.port ?? 0, options.host ?? "127.0.0.1", resolve);
  });
  const baseUrl = `http://127.0.0.1:${String((http.address() as AddressInfo).port)}`;
  const kv = new MemoryKv();
  const clock = SteadyClock.open(kv);
  const machine = await StateMachine.open({ kv, clock, historyMax: options.historyMax ?? 1000 });
  const server = new FakeServer(machine, options, baseUrl);
  http.on(
    "request",
    createApp(server, {
      cors: options.cors ?? [],
      hostWhitelist: options.hostWhitelist ?? [],
      ownNames: options.ownNames ?? [],
      pprof: options.pprof ?? false,
      allNeedAuth: options.allNeedAuth ?? false,
      watchesMax: options.watchesMax ?? 0,
      ...(options.watchBytesMax !== undefined && { watchBytesMax: options.watchBytesMax }),
      ...(options.watchStallMs !== undefined && { watchStallMs: options.watchStallMs }),
    }),
  );
  prepareHttpServer(http);
  return {
    baseUrl,
    server,
    connect: () => {
      const [near, far] = duplexPair();
      http.emit("connection", far);
      return near;
    },
    close: async () => {
      server.close();
      const closed = new Promise((resolve) => http.close(resolve));
      http.closeAllConnections();
      await closed;
      await machine.close();
    },
  };
}

/** Waits for a condition. @throws Error when it does not come true in time. */
export async function until(condition: () => boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not in time: ${condition.toString()}`);
    await sleep(5);
  }
}
