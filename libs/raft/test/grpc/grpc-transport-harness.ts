/**
 * Members without raft: a real transport, service and server each, and a listener that records.
 * Owns their life; the claims are in the tests.
 */
import assert from "node:assert/strict";
import { connect as dial, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { afterEach } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createLogger, type LogFields } from "@etcd2/observability";
import type { Message, NodeId, SnapshotMessage } from "../../src/core/model/types.ts";
import type { ClusterInfo } from "../../src/codec/frames.ts";
import { addRaftService } from "../../src/grpc/grpc-service.ts";
import { GrpcTransport } from "../../src/grpc/grpc-transport.ts";
import { createPeerServer } from "../../src/grpc/peer-server.ts";
import type { PeerServer } from "../../src/grpc/peer-server.ts";
import type { GrpcTransportOptions, TransportLimits } from "../../src/transport/options.ts";
import type { SnapshotSink, TransportListener } from "../../src/transport/transport.ts";

export const CLUSTER = "00000000000c1057";

/** A member id from a small number. */
export function memberId(n: number): NodeId {
  return n.toString(16).padStart(16, "0");
}

/**
 * Awaits a condition, looking often; fails with `what` when it does not come true in time. The time
 * is long: a machine that pauses for seconds must not look like a fault of the transport.
 */
export async function until(
  condition: () => boolean,
  what: string,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await delay(1);
  }
}

/** A sink that keeps what it is given. */
export class RecordingSink implements SnapshotSink {
  readonly message: SnapshotMessage;
  readonly chunks: Uint8Array[] = [];
  outcome: "open" | "committed" | "aborted" = "open";
  reason: Error | undefined;
  /** Held by tests that want a slow disk. */
  gate: Promise<void> | undefined;

  constructor(message: SnapshotMessage) {
    this.message = message;
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.gate;
    this.chunks.push(chunk);
  }

  commit(): Promise<void> {
    this.outcome = "committed";
    return Promise.resolve();
  }

  abort(reason: Error): Promise<void> {
    this.outcome = "aborted";
    this.reason = reason;
    return Promise.resolve();
  }
}

export class RecordingListener implements TransportListener {
  readonly messages: Message[] = [];
  readonly unreachable: NodeId[] = [];
  readonly lost: NodeId[] = [];
  readonly snapshotsSent: { id: NodeId; ok: boolean }[] = [];
  readonly sinks: RecordingSink[] = [];
  readonly removed: string[] = [];
  readonly disowned: string[] = [];
  /** What the next snapshot to send consists of. */
  source: () => AsyncIterable<Uint8Array> = () => {
    throw new Error("no source set");
  };
  /** Replaces the recording of messages: for tests of many. */
  consume: ((messages: readonly Message[]) => void) | undefined;
  /** Applied to each sink opened. */
  prepareSink: (sink: RecordingSink) => void = () => undefined;

  onMessages(messages: readonly Message[]): void {
    if (this.consume !== undefined) this.consume(messages);
    else this.messages.push(...messages);
  }
  onUnreachable(id: NodeId): void {
    this.unreachable.push(id);
  }
  onConnectionLost(id: NodeId): void {
    this.lost.push(id);
  }
  onSnapshotSent(id: NodeId, ok: boolean): void {
    this.snapshotsSent.push({ id, ok });
  }
  openSnapshotSink(message: SnapshotMessage): SnapshotSink {
    const sink = new RecordingSink(message);
    this.prepareSink(sink);
    this.sinks.push(sink);
    return sink;
  }
  openSnapshotSource(): AsyncIterable<Uint8Array> {
    return this.source();
  }
  onRemoved(reason: string): void {
    this.removed.push(reason);
  }
  onDisowned(reason: string): void {
    this.disowned.push(reason);
  }
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

export interface MemberOptions {
  readonly id: NodeId;
  readonly clusterId?: string;
  readonly addresses?: readonly string[];
  readonly limits?: Partial<TransportLimits>;
  /** Largest frame the server takes. */
  readonly frameBytesMax?: number;
  readonly clusterInfo?: () => ClusterInfo | undefined;
  readonly transport?: Partial<GrpcTransportOptions>;
}

/** One member without raft. */
export class TestMember {
  readonly id: NodeId;
  readonly listener = new RecordingListener();
  readonly removedIds = new Set<NodeId>();
  readonly log: LogLine[] = [];
  readonly transport: GrpcTransport;
  readonly server: PeerServer;

  private constructor(options: MemberOptions, server: PeerServer) {
    this.id = options.id;
    this.server = server;
    this.transport = new GrpcTransport({
      clusterId: options.clusterId ?? CLUSTER,
      memberId: options.id,
      serverVersion: "2.4.0",
      minClusterVersion: "2.3.0",
      listener: this.listener,
      log: createLogger((level, message, fields = {}) => this.log.push({ level, message, fields })),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
      ...options.transport,
    });
    addRaftService(server.grpc, {
      transport: this.transport,
      isRemoved: (id) => this.removedIds.has(id),
      clusterInfo: options.clusterInfo ?? (() => undefined),
    });
  }

  static async start(options: MemberOptions): Promise<TestMember> {
    const addresses = options.addresses ?? ["http://localhost:0"];
    const { frameBytesMax } = options;
    const bound = frameBytesMax === undefined ? {} : { frameBytesMax };
    const server = await createPeerServer({ addresses, ...bound });
    return new TestMember(options, server);
  }

  get url(): string {
    return this.server.listeners[0]?.url ?? "";
  }

  /** True once that member has dialled us, `times` times since the start; a link has two streams. */
  inboundGreeted(id: NodeId, times = 1): boolean {
    const streams = this.log.filter(
      ({ message, fields }) => message === "accepted a stream" && fields["peer"] === id,
    );
    return streams.length >= 2 * times;
  }

  get port(): number {
    return this.server.listeners[0]?.port ?? 0;
  }

  async stop(): Promise<void> {
    await this.transport.close();
    await this.server.close();
  }
}

/** What starts members, and what is to be called when the test is over, last first. */
interface MembersOfEachTest {
  readonly start: (id: number, options?: Partial<MemberOptions>) => Promise<TestMember>;
  readonly cleanups: (() => Promise<unknown>)[];
}

/** Gives a test file its members, who stop after each test. To be called once, at its top. */
export function membersOfEachTest(): MembersOfEachTest {
  const cleanups: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
  const start = async (id: number, options: Partial<MemberOptions> = {}): Promise<TestMember> => {
    const member = await TestMember.start({ id: memberId(id), ...options });
    cleanups.push(() => member.stop());
    return member;
  };
  return { start, cleanups };
}

/** Makes each a peer of each. */
export function connect(...members: readonly TestMember[]): void {
  for (const from of members) {
    for (const to of members) {
      if (from !== to) from.transport.addPeer({ id: to.id, urls: [to.url] });
    }
  }
}

/** Resolves when every link between the members is up. */
export async function connected(...members: readonly TestMember[]): Promise<void> {
  await until(
    () =>
      members.every((from) =>
        members.every((to) => from === to || from.transport.activeSince(to.id) > 0),
      ),
    "all links up",
  );
}

/** A TCP relay that can stall or break the connections through it. */
export class Relay {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(port: number) {
    this.#server = createServer((near) => {
      const far = dial(port, "127.0.0.1");
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => undefined);
      }
      near.on("close", () => far.destroy());
      far.on("close", () => near.destroy());
      near.pipe(far).pipe(near);
    });
  }

  static async start(port: number): Promise<Relay> {
    const relay = new Relay(port);
    await new Promise<void>((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get url(): string {
    const address = this.#server.address();
    assert.ok(typeof address === "object" && address !== null);
    return `http://127.0.0.1:${address.port}`;
  }

  /** Open connections stay open and carry nothing more; new ones work. */
  freeze(): void {
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  /** Open connections are reset; new ones work. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#sockets.clear();
  }

  async close(): Promise<void> {
    this.reset();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
