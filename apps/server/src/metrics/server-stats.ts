/**
 * The figures of /v2/stats/self and /v2/stats/leader: counts and rates of the appends leaders
 * send (heartbeats, answers and votes are none), and of each follower, as its leader sees it, the
 * appends that left for it and the round trips of the link. Fed by the transport's hooks.
 */
import type { FollowerStats, LeaderStats, SelfStats } from "@etcd2/api-v2";
import { formatId } from "@etcd2/member-dir";
import type { NodeId, TrafficListener } from "@etcd2/raft";

/** Rates are taken over this many frames at most, and forgotten after an idle second. */
const RATE_WINDOW = 200;
const IDLE_MS = 1000;

/** Messages and bytes per second over the recent past. */
class Rate {
  readonly #samples: { at: number; messages: number; bytes: number }[] = [];

  add(at: number, messages: number, bytes: number): void {
    this.#samples.push({ at, messages, bytes });
    if (this.#samples.length > RATE_WINDOW) this.#samples.shift();
  }

  /** undefined when there is no meaningful rate. */
  perSecond(now: number): { messages: number; bytes: number } | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || now - last.at > IDLE_MS) {
      this.#samples.length = 0;
      return undefined;
    }
    const seconds = (last.at - first.at) / 1000;
    if (seconds <= 0) return undefined;
    const messages = this.#samples.reduce((sum, sample) => sum + sample.messages, 0);
    const bytes = this.#samples.reduce((sum, sample) => sum + sample.bytes, 0);
    return { messages: messages / seconds, bytes: bytes / seconds };
  }
}

interface Follower {
  /** Round trips measured. */
  samples: number;
  current: number;
  sum: number;
  sumOfSquares: number;
  minimum: number;
  maximum: number;
  success: number;
  fail: number;
}

/** Text of a duration as Go prints it: 8m14.046165245s. */
function formatDuration(ms: number): string {
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = (ms % 60_000) / 1000;
  if (hours === 0 && minutes === 0 && seconds < 1) return `${Number(ms.toFixed(6))}ms`;
  const tail = `${Number(seconds.toFixed(9))}s`;
  if (hours > 0) return `${hours}h${minutes}m${tail}`;
  return minutes > 0 ? `${minutes}m${tail}` : tail;
}

/** RFC 3339 in UTC with nanosecond digits, as far as the clock has them. */
function formatTime(wallMs: number): string {
  const whole = Math.floor(wallMs);
  const nanos = Math.round((wallMs - whole) * 1e6);
  return new Date(whole).toISOString().replace("Z", `${String(nanos).padStart(6, "0")}Z`);
}

export interface ServerStatsOptions {
  readonly name: string;
  readonly memberId: NodeId;
  readonly wallMs: () => number;
  readonly now: () => number;
}

/** Gathers the figures; hears of the traffic by its hooks. */
export class ServerStats implements TrafficListener {
  readonly #options: ServerStatsOptions;
  readonly #startTime: string;
  #leader: NodeId = "";
  #leaderSince = 0;
  #leaderStartTime: string;
  #state: SelfStats["state"] = "StateFollower";
  #received = 0;
  #sent = 0;
  readonly #receiveRate = new Rate();
  readonly #sendRate = new Rate();
  #followers = new Map<NodeId, Follower>();

  constructor(options: ServerStatsOptions) {
    this.#options = options;
    this.#startTime = formatTime(options.wallMs());
    this.#leaderStartTime = "0001-01-01T00:00:00Z";
  }

  /** Whether this member leads, as last told. */
  get isLeader(): boolean {
    return this.#state === "StateLeader";
  }

  roleChanged(role: string, leader: NodeId): void {
    this.#state =
      role === "leader" ? "StateLeader" : role === "follower" ? "StateFollower" : "StateCandidate";
    if (leader === this.#leader) return;
    this.#leader = leader;
    this.#leaderSince = this.#options.now();
    this.#leaderStartTime = formatTime(this.#options.wallMs());
    this.#followers = new Map();
  }

  onAppendsReceived(_from: NodeId, count: number, bytes: number): void {
    this.#received += count;
    this.#receiveRate.add(this.#options.now(), count, bytes);
  }

  onAppendsSent(to: NodeId, count: number, bytes: number): void {
    this.#sent += count;
    this.#sendRate.add(this.#options.now(), count, bytes);
    this.#follower(to).success += count;
  }

  /** A link was measured; leaders keep figures of their followers. */
  onRoundTrip(id: NodeId, seconds: number): void {
    if (!this.isLeader) return;
    const ms = seconds * 1000;
    const follower = this.#follower(id);
    follower.current = ms;
    follower.samples += 1;
    follower.sum += ms;
    follower.sumOfSquares += ms * ms;
    follower.minimum = Math.min(follower.minimum, ms);
    follower.maximum = Math.max(follower.maximum, ms);
  }

  /** Messages did not reach a member; leaders count these as failed sends to their followers. */
  onMessagesDropped(id: NodeId): void {
    if (!this.isLeader) return;
    this.#follower(id).fail += 1;
  }

  self(): SelfStats {
    const now = this.#options.now();
    const received = this.#receiveRate.perSecond(now);
    const sent = this.#sendRate.perSecond(now);
    return {
      name: this.#options.name,
      id: formatId(this.#options.memberId),
      state: this.#state,
      startTime: this.#startTime,
      leaderInfo: {
        leader: this.#leader === "" ? "" : formatId(this.#leader),
        uptime: formatDuration(this.#leader === "" ? 0 : now - this.#leaderSince),
        startTime: this.#leaderStartTime,
      },
      recvAppendRequestCnt: this.#received,
      ...(received && { recvPkgRate: received.messages, recvBandwidthRate: received.bytes }),
      sendAppendRequestCnt: this.#sent,
      ...(sent && { sendPkgRate: sent.messages, sendBandwidthRate: sent.bytes }),
    };
  }

  /** `others` are the members followers are shown for, heard of or not. */
  leader(others: readonly NodeId[]): LeaderStats {
    const followers: Record<string, FollowerStats> = {};
    for (const id of [...this.#followers.keys()]) {
      if (!others.includes(id)) this.#followers.delete(id);
    }
    for (const id of others) {
      const follower = this.#follower(id);
      const count = follower.samples;
      const average = count === 0 ? 0 : follower.sum / count;
      const variance = count === 0 ? 0 : follower.sumOfSquares / count - average * average;
      followers[formatId(id)] = {
        latency: {
          current: follower.current,
          average,
          standardDeviation: Math.sqrt(Math.max(0, variance)),
          minimum: follower.minimum,
          maximum: follower.maximum,
        },
        counts: { fail: follower.fail, success: follower.success },
      };
    }
    return { leader: formatId(this.#options.memberId), followers };
  }

  #follower(id: NodeId): Follower {
    let follower = this.#followers.get(id);
    if (follower === undefined) {
      follower = {
        samples: 0,
        current: 0,
        sum: 0,
        sumOfSquares: 0,
        // etcd 2.3.8 starts from the largest 64-bit number.
        minimum: 2 ** 63,
        maximum: 0,
        success: 0,
        fail: 0,
      };
      this.#followers.set(id, follower);
    }
    return follower;
  }
}
