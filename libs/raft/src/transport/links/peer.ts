/**
 * The link to one peer, as its client: dials one URL after another, backs off, shakes hands, and
 * carries messages in two lanes while the link is up. Snapshots travel elsewhere
 * (snapshot-sender.ts), and what the peer sends us arrives by its own link (grpc-service.ts).
 *
 * States: waiting (for the back-off; messages are dropped) -> dialing (messages queue) -> up ->
 * waiting ... -> closed. Refusals by the peer wait the longest back-off, and are logged once.
 *
 * Two lanes, each a Stream call on the same connection: appends and proposals in one, everything
 * else in the other, so that a heartbeat waits for what the socket holds and not for what is
 * queued, for the price of a second frame in those turns that have both kinds. Measured between two
 * processes on a busy machine, the stream saturated with appends of 512 KiB: a heartbeat is answered
 * after 7 to 11 ms in the median with two lanes and 60 to 95 ms with one; by a receiver whose every
 * turn takes 10 ms after 27 to 40 ms against 410 to 475 ms. A second connection made no difference.
 * Order is kept within a lane; raft needs no more, and appends must never pass each other.
 */
import type { Client, StatusObject } from "@grpc/grpc-js";
import { status as grpcStatus } from "@grpc/grpc-js";
import { Backoff } from "../backoff.ts";
import type { Message, NodeId } from "../../core/model/types.ts";
import { encodeHelloFrame, encodePingFrame } from "../../codec/frames.ts";
import type { Hello } from "../../codec/frames.ts";
import type { LinkLosses } from "../link-losses.ts";
import { createPeerClient } from "../peer-client.ts";
import { PeerLane } from "./peer-lane.ts";
import { PeerStream } from "./peer-stream.ts";
import { refusalIn, refuseAnswer } from "../refusal.ts";
import type { Refusal } from "../refusal.ts";
import { greeting } from "../options.ts";
import type { TransportContext } from "../options.ts";
import type { PeerCounts } from "../peer-counts.ts";
import type { Peer } from "../transport.ts";

type PeerState = "waiting" | "dialing" | "up" | "closed";

/** Pings without an answer after which a link is cut. */
const SILENT_PINGS_MAX = 4;
/** A link that was up for so long has earned an immediate redial. */
const STEADY_MS = 1000;
/** Losses are reported to raft at most this often while they last. */
const UNREACHABLE_REPEAT_MS = 500;

/** What a peer says about this member. */
export interface PeerHooks {
  /** The peer says this member was removed from the cluster. */
  onRemoved(reason: string): void;
  /** The peer says this member came back without the data it answered for. */
  onDisowned(reason: string): void;
}

/** One connection and its two streams; replaced as a whole. */
interface Connection {
  readonly client: Client;
  readonly streams: readonly PeerStream[];
  /** Streams that have been answered with a Hello. */
  greetings: number;
  upSince: number;
  heardAt: number;
  generation: number;
  pingSentAt: number;
  pingsUnanswered: number;
}

/** The link to one peer, dialled again as long as it is not closed. */
export class PeerLink {
  readonly id: NodeId;
  readonly #context: TransportContext;
  readonly #counts: PeerCounts;
  readonly #losses: LinkLosses;
  readonly #hooks: PeerHooks;
  readonly #backoff: Backoff;
  readonly #control: PeerLane;
  readonly #appends: PeerLane;
  #urls: readonly string[];
  #urlAt = 0;
  #state: PeerState = "waiting";
  #connection: Connection | undefined;
  #timer: NodeJS.Timeout | undefined;
  #flushScheduled = false;
  #lostCount = 0;
  #unreachableAt = -Infinity;
  /** What was logged last about this peer not being there; the same is not logged again. */
  #loggedReason = "";

  constructor(context: TransportContext, peer: Peer, losses: LinkLosses, hooks: PeerHooks) {
    const { backoffMinMs, backoffMaxMs } = context.limits;
    this.id = peer.id;
    this.#context = context;
    this.#counts = context.peerCounts(peer.id);
    this.#losses = losses;
    this.#hooks = hooks;
    this.#backoff = new Backoff({ minMs: backoffMinMs, maxMs: backoffMaxMs }, context.random);
    this.#control = new PeerLane(context, peer.id, "dropOldest");
    this.#appends = new PeerLane(context, peer.id, "refuseNew");
    this.#urls = peer.urls;
    this.#dial();
  }

  /** Milliseconds on the monotonic clock; 0 while the link is not up. */
  get activeSince(): number {
    return this.#state === "up" ? (this.#connection?.upSince ?? 0) : 0;
  }

  /** The URL in use, or to be tried next. */
  get url(): string {
    return this.#urls[this.#urlAt % this.#urls.length] ?? "";
  }

  get queuedCount(): number {
    return this.#control.queuedCount + this.#appends.queuedCount;
  }

  get queuedBytes(): number {
    return this.#control.queuedBytes + this.#appends.queuedBytes;
  }

  /** Queues a message; it leaves at the end of this turn of the event loop. */
  send(message: Message): void {
    if (this.#state === "closed") return;
    if (this.#state === "waiting") this.#lostCount++;
    else {
      const bulky = message.type === "append" || message.type === "propose";
      this.#lostCount += (bulky ? this.#appends : this.#control).push(message);
    }
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flush();
    });
  }

  /**
   * New URLs, dialled at once unless a link is up: whom that leads to is proved, and a member is
   * updated before it moves, so until the link ends it is where it was.
   */
  update(urls: readonly string[]): void {
    if (this.#state === "closed") return;
    const current = this.url;
    this.#urls = urls;
    this.#urlAt = Math.max(0, urls.indexOf(current));
    if (this.#state === "up") return;
    this.#hangUp();
    this.#backoff.reset();
    this.#dial();
  }

  /** The peer has just dialled us, so it is alive: do not wait for the back-off. */
  reconnectNow(): void {
    if (this.#state !== "waiting" || this.#loggedReason.startsWith("refused")) return;
    clearTimeout(this.#timer);
    this.#dial();
  }

  /** Called every pingIntervalMs: measures the round trip, cuts a link that has gone silent. */
  ping(): void {
    const connection = this.#connection;
    const [control] = connection?.streams ?? [];
    if (this.#state !== "up" || connection === undefined || control === undefined) return;
    if (connection.pingsUnanswered >= SILENT_PINGS_MAX) {
      this.#logOnce("silent", "peer does not answer pings", "the connection was cut");
      this.#retry(this.#backoff.next());
      return;
    }
    connection.pingsUnanswered++;
    if (connection.pingsUnanswered > 1) return;
    connection.pingSentAt = this.#context.now();
    control.write(encodePingFrame(pingValue(connection)));
  }

  /** Ends the link in good order: queued messages may still leave for a moment. */
  close(): void {
    if (this.#state === "closed") return;
    this.#control.flushAll();
    this.#appends.flushAll();
    this.#state = "closed";
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = undefined;
    this.#control.detach();
    this.#appends.detach();
    if (connection === undefined) return;
    this.#closeGracefully(connection);
  }

  #flush(): void {
    this.#flushScheduled = false;
    this.#control.flush();
    this.#appends.flush();
    if (this.#lostCount > 0) this.#reportLost();
  }

  #reportLost(): void {
    const { traffic, now, listener } = this.#context;
    this.#counts.droppedMessages.add(this.#lostCount);
    traffic.onMessagesDropped(this.id, this.#lostCount);
    this.#lostCount = 0;
    if (now() - this.#unreachableAt < UNREACHABLE_REPEAT_MS) return;
    this.#unreachableAt = now();
    listener.onUnreachable(this.id);
  }

  #dial(): void {
    this.#state = "dialing";
    const { limits } = this.#context;
    let client: Client;
    try {
      client = createPeerClient({
        url: this.url,
        credentials: this.#context.credentials,
        frameBytesMax: limits.frameBytesMax,
      });
    } catch (error) {
      // A URL that cannot be parsed, or credentials that cannot be read: others may be better.
      this.#fail(error instanceof Error ? error.message : String(error));
      return;
    }
    const connection: Connection = {
      client,
      streams: [this.#open(client), this.#open(client)],
      greetings: 0,
      upSince: 0,
      heardAt: 0,
      generation: 0,
      pingSentAt: 0,
      pingsUnanswered: 0,
    };
    this.#connection = connection;
    this.#timer = setTimeout(() => {
      this.#fail(`no answer within ${limits.dialTimeoutMs} ms`);
    }, limits.dialTimeoutMs);
  }

  #open(client: Client): PeerStream {
    const stream = new PeerStream(client, {
      onHello: (hello) => {
        this.#onHello(hello);
      },
      onPong: (sentNs) => {
        this.#onPong(sentNs);
      },
      onPosition: (position) => {
        this.#context.lives?.answersFor(this.id, position);
      },
      onDrained: () => {
        this.#control.flush();
        this.#appends.flush();
      },
      onBadFrame: (error) => {
        this.#logOnce("bad frame", "peer sent an invalid frame", error.message);
        this.#retry(this.#context.limits.backoffMaxMs);
      },
      onEnd: (status) => {
        this.#onEnd(status);
      },
    });
    stream.write(encodeHelloFrame(greeting(this.#context, this.id)));
    return stream;
  }

  #onHello(hello: Hello): void {
    const connection = this.#connection;
    if (connection === undefined || this.#state !== "dialing") return;
    const refusal = refuseAnswer(hello, this.#context, this.id);
    if (refusal !== undefined) {
      this.#onRefused(refusal);
      return;
    }
    connection.greetings++;
    if (connection.greetings < connection.streams.length) return;
    clearTimeout(this.#timer);
    this.#state = "up";
    this.#loggedReason = "";
    connection.upSince = this.#context.now();
    connection.heardAt = connection.upSince;
    connection.generation = this.#losses.generation(this.id);
    const [control, appends] = connection.streams;
    if (control !== undefined) this.#control.attach(control);
    if (appends !== undefined) this.#appends.attach(appends);
    this.#context.lives?.greeted(this.id, hello.life);
    this.#context.log.info("connected to peer", { peer: this.id, url: this.url });
    this.#flush();
  }

  #onPong(sentNs: number): void {
    const connection = this.#connection;
    if (connection === undefined || sentNs !== pingValue(connection)) return;
    const now = this.#context.now();
    connection.pingsUnanswered = 0;
    connection.heardAt = now;
    const seconds = (now - connection.pingSentAt) / 1000;
    this.#counts.roundTrip.observe(seconds);
    this.#context.traffic.onRoundTrip(this.id, seconds);
  }

  /** One stream ended, and with it the connection, on purpose or by a reset. */
  #onEnd(status: StatusObject): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const refusal = refusalIn(status);
    if (refusal !== undefined) {
      this.#onRefused(refusal);
      if (refusal.reason === "disowned") this.#hooks.onDisowned(refusal.details);
      return;
    }
    if (this.#state !== "up") {
      this.#fail(status.details);
      return;
    }
    const { now, limits } = this.#context;
    const silentMs = now() - connection.heardAt;
    this.#logOnce("lost", "lost the connection to peer", status.details);
    if (now() - connection.upSince >= STEADY_MS) {
      this.#backoff.reset();
      this.#retry(0);
    } else this.#retry(this.#backoff.next());
    const fresh = silentMs < limits.pingIntervalMs * SILENT_PINGS_MAX;
    if (fresh && isReset(status)) this.#losses.lost(this.id, connection.generation);
  }

  #onRefused(refusal: Refusal): void {
    this.#logOnce(`refused ${refusal.details}`, "peer refuses the connection", refusal.details);
    this.#retry(this.#context.limits.backoffMaxMs);
    if (refusal.reason === "removed") this.#hooks.onRemoved(refusal.details);
  }

  /** An attempt failed: the next URL is tried after the back-off. */
  #fail(reason: string): void {
    this.#logOnce("unreachable", "cannot reach peer", reason);
    this.#urlAt++;
    this.#retry(this.#backoff.next());
  }

  #logOnce(key: string, message: string, reason: string): void {
    if (this.#loggedReason === key) return;
    this.#loggedReason = key;
    this.#context.log.warning(message, { peer: this.id, url: this.url, reason });
  }

  #retry(waitMs: number): void {
    this.#hangUp();
    this.#state = "waiting";
    if (this.#lostCount > 0) this.#reportLost();
    this.#timer = setTimeout(() => {
      this.#dial();
    }, waitMs);
  }

  #hangUp(): void {
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = undefined;
    this.#control.detach();
    this.#appends.detach();
    this.#lostCount += this.#control.clear() + this.#appends.clear();
    if (connection !== undefined) this.#closeGracefully(connection);
  }

  /** Ends the streams, so that a living peer does not take it for our death; then cuts. */
  #closeGracefully(connection: Connection): void {
    for (const stream of connection.streams) stream.end();
    setTimeout(() => {
      drop(connection);
    }, this.#context.limits.closeGraceMs).unref();
  }
}

/** What a ping carries: nanoseconds on the monotonic clock, within the safe integers. */
function pingValue(connection: Connection): number {
  return Math.round(connection.pingSentAt * 1e6) % Number.MAX_SAFE_INTEGER;
}

/** How the library words a broken connection, by where in the life of the stream it breaks. */
const RESET_CODES: ReadonlySet<grpcStatus> = new Set([
  grpcStatus.UNAVAILABLE,
  grpcStatus.CANCELLED,
  grpcStatus.INTERNAL,
  grpcStatus.UNKNOWN,
]);

/**
 * True when the connection broke under the stream or the member is shutting down, false when the
 * other side ended the stream for a reason it gave.
 */
function isReset(status: StatusObject): boolean {
  return RESET_CODES.has(status.code);
}

function drop(connection: Connection): void {
  for (const stream of connection.streams) stream.cancel();
  connection.client.close();
}
