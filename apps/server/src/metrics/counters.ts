/**
 * Owns the figures that the server counts as it works: plain numbers behind one call each, which
 * is all the hot path pays. It knows neither metric names nor formats (families-*.ts).
 */
import type { GatewayMetrics } from "@etcd2/api-v2";
import type { NodeId, TransportMetrics } from "@etcd2/raft";

import { CountingHistogram, doublingBuckets } from "./histogram.ts";

const httpBuckets = doublingBuckets(0.0005, 13);
const diskBuckets = doublingBuckets(0.001, 14);
const backendSnapshotBuckets = doublingBuckets(0.01, 17);
const roundTripBuckets = doublingBuckets(0.0001, 16);
/** The default buckets of Prometheus' Go client, which etcd's gRPC histograms have. */
const grpcBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Counts by one or more label values. */
export class LabelledCounts {
  readonly #counts = new Map<string, number>();

  /** The key is the label values joined by a tab: most have but one. */
  add(key: string, amount = 1): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + amount);
  }

  entries(): readonly (readonly [labels: readonly string[], value: number])[] {
    return [...this.#counts].map(([key, value]) => [key.split("\t"), value]);
  }
}

/** Histograms by label values. */
export class LabelledHistograms {
  readonly #histograms = new Map<string, CountingHistogram>();
  readonly #bounds: readonly number[];

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
  }

  observe(key: string, value: number): void {
    let histogram = this.#histograms.get(key);
    if (histogram === undefined) {
      histogram = new CountingHistogram(this.#bounds);
      this.#histograms.set(key, histogram);
    }
    histogram.observe(value);
  }

  entries(): readonly (readonly [labels: readonly string[], histogram: CountingHistogram])[] {
    return [...this.#histograms].map(([key, histogram]) => [key.split("\t"), histogram]);
  }
}

/** What is counted about one peer. */
export class PeerCounters {
  sentBytes = 0;
  receivedBytes = 0;
  sentMessages = 0;
  receivedMessages = 0;
  sendFailures = 0;
  snapshotBytesSent = 0;
  snapshotBytesReceived = 0;
  snapshotsSent = 0;
  snapshotsFailed = 0;
  connectionsLost = 0;
  readonly roundTrip = new CountingHistogram(roundTripBuckets);
  /** Seconds from queueing a message to handing it to the socket. */
  readonly sendLatency = new CountingHistogram(httpBuckets);
}

/** All figures counted by one process. */
export class ServerCounters implements GatewayMetrics, TransportMetrics {
  // HTTP
  readonly requestsReceived = new LabelledCounts();
  readonly requestsFailed = new LabelledCounts();
  readonly requestSeconds = new LabelledHistograms(httpBuckets);
  watchRequests = 0;
  recursiveReads = 0;
  connectionsAccepted = 0;
  connectionsShed = 0;
  connectionsSwept = 0;
  slowWatchersDropped = 0;
  watchesRefused = 0;
  healthSuccesses = 0;
  healthFailures = 0;
  accessLogLinesDropped = 0;

  // Consensus
  proposalsFailed = 0;
  readonly proposalSeconds = new CountingHistogram(diskBuckets);
  slowApplies = 0;
  slowReadIndexes = 0;
  failedReadIndexes = 0;
  heartbeatSendFailures = 0;
  messagesRefused = 0;
  /** The data of this member contradicts the cluster's. */
  hasDiverged = false;
  learnersPromoted = 0;
  snapshotApplysInProgress = 0;

  // Disk
  readonly walSyncSeconds = new CountingHistogram(diskBuckets);
  walBytesWritten = 0;
  readonly backendCommitSeconds = new CountingHistogram(diskBuckets);
  readonly backendSnapshotSeconds = new CountingHistogram(backendSnapshotBuckets);
  readonly snapshotSyncSeconds = new CountingHistogram(diskBuckets);
  readonly snapshotSaveSeconds = new CountingHistogram(diskBuckets);

  // gRPC, the peers' side
  readonly rpcsStarted = new LabelledCounts();
  /** By method and status code. */
  readonly rpcsHandled = new LabelledCounts();
  readonly rpcSeconds = new LabelledHistograms(grpcBuckets);

  // Proxy
  readonly proxyRequests = new LabelledCounts();
  readonly proxyHandled = new LabelledCounts();
  readonly proxyDropped = new LabelledCounts();
  readonly proxySeconds = new LabelledHistograms(httpBuckets);

  readonly #peers = new Map<NodeId, PeerCounters>();

  received(method: string): void {
    this.requestsReceived.add(method);
  }

  failed(method: string, status: number): void {
    this.requestsFailed.add(`${method}\t${String(status)}`);
  }

  succeeded(method: string, seconds: number): void {
    this.requestSeconds.observe(method, seconds);
  }

  recursiveRead(): void {
    this.recursiveReads++;
  }

  watchRequested(): void {
    this.watchRequests++;
  }

  watchRefused(): void {
    this.watchesRefused++;
  }

  watchDropped(): void {
    this.slowWatchersDropped++;
  }

  proposalFailed(): void {
    this.proposalsFailed++;
  }

  /** A proposal had its outcome after so many seconds. */
  proposalApplied(seconds: number): void {
    this.proposalSeconds.observe(seconds);
  }

  /** One fdatasync of the write-ahead log. */
  walSynced(seconds: number): void {
    this.walSyncSeconds.observe(seconds);
  }

  /** One batch written to the store. */
  backendCommitted(seconds: number): void {
    this.backendCommitSeconds.observe(seconds);
  }

  /** A call to the peer service began; methods are Stream, Snapshot and ClusterInfo. */
  rpcStarted(method: string): void {
    this.rpcsStarted.add(method);
  }

  /** It ended with this gRPC status, such as "OK" or "Unavailable". */
  rpcHandled(method: string, code: string, seconds: number): void {
    this.rpcsHandled.add(`${method}\t${code}`);
    this.rpcSeconds.observe(method, seconds);
  }

  onFrameSent(to: NodeId, bytes: number, messages: number, seconds: number): void {
    const peer = this.peer(to);
    peer.sentBytes += bytes;
    peer.sentMessages += messages;
    peer.sendLatency.observe(seconds);
  }

  onFrameReceived(from: NodeId, bytes: number, messages: number): void {
    const peer = this.peer(from);
    peer.receivedBytes += bytes;
    peer.receivedMessages += messages;
  }

  onSendFailed(to: NodeId, messages: number): void {
    this.peer(to).sendFailures += messages;
  }

  onRoundTrip(to: NodeId, seconds: number): void {
    this.peer(to).roundTrip.observe(seconds);
  }

  onSnapshotBytesSent(to: NodeId, bytes: number): void {
    this.peer(to).snapshotBytesSent += bytes;
  }

  onSnapshotBytesReceived(from: NodeId, bytes: number): void {
    this.peer(from).snapshotBytesReceived += bytes;
  }

  /** A snapshot stream to the peer ended. */
  snapshotSent(to: NodeId, ok: boolean): void {
    const peer = this.peer(to);
    if (ok) peer.snapshotsSent++;
    else peer.snapshotsFailed++;
  }

  /** Every peer anything was counted about. */
  peers(): ReadonlyMap<NodeId, PeerCounters> {
    return this.#peers;
  }

  peer(id: NodeId): PeerCounters {
    let peer = this.#peers.get(id);
    if (peer === undefined) {
      peer = new PeerCounters();
      this.#peers.set(id, peer);
    }
    return peer;
  }
}
