/**
 * One run of a simulated cluster, decided by one number: members on simulated disks, clocks and
 * links, clients that write and read, and an adversary that cuts, crashes, pauses and changes the
 * membership. The rules are checked as it goes (checker.ts); at the end everything heals and the
 * members must agree within a bounded time.
 *
 * Known limit, left out on purpose: changes that remove so many voters at once that the rest is no
 * majority of the old ones (see isAcceptable in machine.ts).
 */
import { seededRandom } from "@etcd2/test-support";
import type { ConfState, Message, NodeId, Random } from "../../src/core/model/types.ts";
import type { PowerLoss } from "../../src/testing/simulated-file.ts";
import { confState, encodeChange } from "../core/host.ts";
import { pick, upTo } from "../wal/wal-harness.ts";
import { Amnesia } from "./amnesia.ts";
import type { AmnesiaKind } from "./amnesia.ts";
import { Checker, Violation } from "./checker.ts";
import type { Mutation } from "./mutation.ts";
import type { MachineState } from "./machine.ts";
import { Network } from "./network.ts";
import { SimNode } from "./sim-node.ts";

export interface SimulationOptions {
  readonly seed: number;
  /** Units of time with faults; about one tick of every member each. */
  readonly rounds?: number;
  readonly mutation?: Mutation;
  /** No faults at all but connections of single followers that are reset. */
  readonly onlyResets?: boolean;
  /** One quorum after the other is alone with a candidate, for a short while; otherwise the seed decides. */
  readonly duels?: boolean;
  /** One of three or five members forgets what it had promised; nothing else happens to the membership. */
  readonly amnesia?: AmnesiaKind;
  readonly trace?: (line: string) => void;
}

/** What a run came to; equal for equal options. */
export interface SimulationResult {
  readonly seed: number;
  readonly committed: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly elections: number;
  readonly messages: number;
  readonly lost: number;
  readonly crashes: number;
  readonly digest: number;
  /** Units of time it took to agree after everything had healed. */
  readonly convergence: number;
  /** Snapshots taken over by members that were behind. */
  readonly snapshots: number;
  /** Members that were refused because they had forgotten something. */
  readonly retired: number;
}

/** A run that broke a rule; says how to repeat it. */
export class SimulationFailure extends Error {
  override readonly name = "SimulationFailure";
  readonly seed: number;

  constructor(seed: number, at: number, cause: unknown) {
    const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    super(`seed ${seed}, at ${at}: ${reason}`, { cause });
    this.seed = seed;
  }
}

const ROUNDS = 300;
const CONVERGENCE_MAX = 600;
const MEMBERS_MAX = 8;
const KEYS = ["a", "b", "c", "d"];
const LOSSES: readonly PowerLoss[] = ["none", "all", "prefix", "subset", "garbage"];

/** Runs one seed. @throws SimulationFailure */
export function simulate(options: SimulationOptions): SimulationResult {
  const simulation = new Simulation(options);
  try {
    return simulation.run();
  } catch (error) {
    throw new SimulationFailure(options.seed, simulation.now, error);
  }
}

class Simulation {
  now = 0;
  readonly #options: SimulationOptions;
  readonly #random: Random;
  readonly #checker = new Checker();
  readonly #network: Network;
  readonly #nodes = new Map<NodeId, SimNode>();
  readonly #amnesia: Amnesia | undefined;
  readonly #bootstrap: ConfState;
  /** How wild this run is: faults per unit of time. */
  readonly #wildness: number;
  readonly #changesMembers: boolean;
  readonly #duels: boolean;
  readonly #leases: boolean;
  readonly #messageBytesMax: number;
  #duelUntil = 0;
  #isHealed = false;
  #writes = 0;
  #created = 0;
  #crashes = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#network = new Network(this.#random);
    const ids: NodeId[] = [];
    const count = pick(this.#random, [1, 2, 3, 3, 3, 3, 5, 5]);
    const isLarge = options.onlyResets === true || options.amnesia !== undefined;
    const size = isLarge ? Math.max(3, count) : count;
    if (options.amnesia !== undefined) {
      this.#amnesia = new Amnesia({
        ...{ kind: options.amnesia, random: this.#random, nodes: this.#nodes },
        note: (line) => {
          this.#note(line);
        },
      });
    }
    for (let at = 0; at < size; at += 1) ids.push(this.#newId());
    this.#bootstrap = confState(ids);
    this.#wildness = pick(this.#random, [0.02, 0.05, 0.1, 0.2]);
    this.#changesMembers = this.#random() < 0.6 && options.amnesia === undefined;
    this.#duels = options.duels ?? this.#random() < 0.2;
    const leases = options.mutation === "pauseLeases" || this.#random() < 0.2;
    this.#leases = leases && options.amnesia === undefined;
    this.#messageBytesMax = pick(this.#random, [1, 100, 400, 400, 4000]);
    for (const id of ids) this.#create(id);
  }

  run(): SimulationResult {
    const rounds = this.#options.rounds ?? ROUNDS;
    if (this.#options.onlyResets === true) this.#runWithResets(rounds);
    else {
      while (this.now < rounds) {
        if (this.#duels) this.#duel();
        if (this.#random() < this.#wildness) this.#doHarm();
        const victim = this.#amnesia?.strike(this.now);
        if (victim !== undefined) this.#restart(victim);
        this.#beClients();
        this.#pass();
      }
    }
    const healedAt = this.now;
    this.#heal();
    while (!this.#hasConverged(healedAt)) this.#pass();
    this.#checker.finish();
    const { committedIndex: committed, acknowledged, reads, elections } = this.#checker;
    return {
      ...{ seed: this.#options.seed, committed, acknowledged, reads, elections },
      ...{ messages: this.#network.sent, lost: this.#network.lost, crashes: this.#crashes },
      digest: this.#newest().state.digest,
      convergence: this.now - healedAt,
      snapshots: [...this.#nodes.values()].reduce((sum, node) => sum + node.snapshots, 0),
      retired: this.#amnesia?.retired.size ?? 0,
    };
  }

  /** One unit of time: clocks, arrivals, work. */
  #pass(): void {
    this.now += 1;
    for (const node of this.#nodes.values()) {
      if (!this.#isRunning(node)) continue;
      if (node.pausedUntil === this.now) for (const key of KEYS) node.read(key);
      node.clock += node.clockRate;
      for (; node.clock >= 1; node.clock -= 1) node.tick();
    }
    for (const delivery of this.#network.take(this.now)) {
      const node = this.#nodes.get(delivery.to);
      if (node?.isUp !== true) continue;
      const { message, data, report } = delivery;
      // A process that stands still finds its mail later; a state is replaced between two Readys.
      // Right after it woke, its clients are heard first: it acts on what it believed.
      const isWaking = node.pausedUntil >= this.now;
      const mustWait = isWaking || (message?.type === "snapshot" && node.isBusy);
      if (mustWait) this.#network.put(this.now + 1, delivery);
      else if (message !== undefined) this.#deliver(node, message, data);
      else if (report !== undefined) {
        node.guard((raw) => {
          raw.reportSnapshot(report.about, report.isOk);
        });
      }
      if (this.#random() < 0.3) this.#work(node);
    }
    for (const node of this.#nodes.values()) this.#work(node);
  }

  #deliver(node: SimNode, message: Message, data: MachineState | undefined): void {
    if (this.#amnesia?.mayArrive(node, message) === false) return;
    const before = node.snapshots;
    node.step(message, data);
    if (node.snapshots > before && node.isUp) this.#aimAtInstall(node);
  }

  /** The state was replaced and the log is about to follow: where a crash hurts most. */
  #aimAtInstall(node: SimNode): void {
    if (this.#isHealed || this.#options.onlyResets === true || this.#random() < 0.5) return;
    if (this.#random() < 0.3) {
      this.#crash(node);
      return;
    }
    this.#note(`crash ${node.id} while it installs`);
    node.isArmed = true;
    node.disk.crashAt(node.disk.operations + 1 + upTo(this.#random, 10));
  }

  #work(node: SimNode): void {
    if (!this.#isRunning(node)) return;
    for (let turns = 0; turns < 4; turns += 1) node.work(this.#random() < 0.2);
    if (this.#random() < 0.02) node.checkpoint(this.#random() < 0.5);
  }

  #isRunning(node: SimNode): boolean {
    return node.isUp && node.pausedUntil <= this.now;
  }

  #beClients(): void {
    const random = this.#random;
    const node = this.#any();
    if (node === undefined || !this.#isRunning(node)) return;
    if (random() < 0.6) {
      const writes = Array.from({ length: 1 + upTo(random, 2) }, () => {
        this.#writes += 1;
        return { key: pick(random, KEYS), id: this.#writes };
      });
      node.propose(writes);
    }
    const reader = this.#any();
    if (reader !== undefined && this.#isRunning(reader) && random() < 0.5) {
      reader.read(pick(random, KEYS));
    }
  }

  // The adversary.

  #doHarm(): void {
    const random = this.#random;
    const node = random() < 0.4 ? this.#leader() : this.#any();
    if (node === undefined) return;
    const what = upTo(random, 12);
    if (what <= 1) this.#crash(node);
    else if (what === 2) this.#armDisk(node);
    else if (what === 3) this.#cutLinks();
    else if (what === 4) this.#network.cut.clear();
    else if (what === 5) this.#changeWeather();
    else if (what === 6) this.#pause(node);
    else if (what === 7) {
      if (!this.#leases) node.clockRate = 0.6 + random() * 0.8;
    } else if (what === 8) this.#resetConnection(node);
    else if (what === 9) {
      const to = this.#any()?.id ?? "";
      this.#note(`transfer to ${to}`);
      node.guard((raw) => {
        raw.transferLeader(to);
      });
    } else if (what === 12) {
      this.#note(`${node.isDiskStalled ? "free" : "stall"} the disk of ${node.id}`);
      node.isDiskStalled = !node.isDiskStalled;
    } else if (this.#changesMembers) this.#changeMembers(node);
    for (const down of this.#nodes.values()) {
      if (!down.isUp && random() < 0.4) this.#restart(down);
    }
  }

  /** A lease cannot be kept by a process that stands still: those who read by it must not. */
  #pause(node: SimNode): void {
    if (this.#leases && this.#options.mutation !== "pauseLeases") return;
    node.pausedUntil = this.now + 1 + upTo(this.#random, 40);
  }

  /** What breaks the rules about terms, if anything does: many leaders, none of them for long. */
  #duel(): void {
    const random = this.#random;
    if (this.now < this.#duelUntil) {
      if (random() < 0.1) this.#restartAtOnce();
      return;
    }
    this.#duelUntil = this.now + 2 + upTo(random, 12);
    const { voters } = this.#newest().state.conf;
    const order = voters.map((id) => ({ id, at: random() })).sort((a, b) => a.at - b.at);
    const quorum = order.slice(0, Math.floor(order.length / 2) + 1).map(({ id }) => id);
    this.#note(`only ${quorum.join(" ")} see each other`);
    this.#network.cut.clear();
    for (const from of this.#nodes.keys()) {
      for (const to of this.#nodes.keys()) {
        if (!quorum.includes(from) || !quorum.includes(to)) this.#network.cut.add(`${from}>${to}`);
      }
    }
    for (const id of quorum) {
      const node = this.#nodes.get(id);
      if (node?.isUp === false) this.#restart(node);
      if (node !== undefined) lose(node, node.raw?.leader ?? "");
    }
    for (const id of quorum.slice(0, 1 + upTo(random, 1))) {
      this.#nodes.get(id)?.guard((raw) => {
        raw.campaign();
      });
    }
  }

  #restartAtOnce(): void {
    const node = this.#any();
    if (node?.isUp !== true) return;
    this.#crash(node);
    this.#restart(node);
  }

  #crash(node: SimNode): void {
    if (!node.isUp) return;
    this.#note(`crash ${node.id}`);
    node.crash();
    if (this.#random() < 0.5) for (const other of this.#nodes.values()) lose(other, node.id);
  }

  /** The disk fails soon: in the middle of an operation, or by refusing one. */
  #armDisk(node: SimNode): void {
    if (!node.isUp) return;
    this.#note(`arm the disk of ${node.id}`);
    node.isArmed = true;
    if (this.#random() < 0.6) node.disk.crashAt(node.disk.operations + 1 + upTo(this.#random, 8));
    else {
      const on = pick(this.#random, ["write", "sync", "rename"] as const);
      node.disk.fail({ on, code: "EIO", after: upTo(this.#random, 4) });
    }
  }

  #restart(node: SimNode): void {
    if (this.#amnesia?.retired.has(node.id) === true) return;
    const random = this.#random;
    this.#crashes += 1;
    if (random() < 0.3) node.disk.restartProcess();
    else node.disk.restartAfterPowerLoss(pick(random, LOSSES));
    this.#note(`restart ${node.id}`);
    node.start();
    this.#amnesia?.started(node);
    // As hosts do once a majority has greeted a member that just started; later is as good.
    if (random() < 0.7) hurry(node);
  }

  #cutLinks(): void {
    const random = this.#random;
    const ids = [...this.#nodes.keys()];
    const side = new Set(ids.filter(() => random() < 0.5));
    const isOneWay = random() < 0.4;
    this.#note(`cut ${[...side].join(" ")}${isOneWay ? " one way" : ""}`);
    for (const from of ids) {
      for (const to of ids) {
        if (side.has(from) === side.has(to)) continue;
        if (!isOneWay || side.has(from)) this.#network.cut.add(`${from}>${to}`);
      }
    }
  }

  #changeWeather(): void {
    const random = this.#random;
    this.#network.lossRate = pick(random, [0, 0, 0.05, 0.2, 0.4]);
    this.#network.duplicateRate = pick(random, [0, 0.05, 0.3]);
    this.#network.delayMax = pick(random, [1, 1, 2, 4, 12]);
  }

  /** A connection was reset although nobody died. */
  #resetConnection(node: SimNode): void {
    const { raw } = node;
    if (raw === undefined) return;
    const to = raw.role === "leader" ? this.#any() : node;
    if (to !== undefined) lose(to, to.raw?.leader ?? "");
    node.guard((leader) => {
      leader.reportUnreachable(this.#any()?.id ?? "");
    });
  }

  #changeMembers(node: SimNode): void {
    const random = this.#random;
    const conf = this.#newest().state.conf;
    const what = upTo(random, 5);
    const voter = pick(random, conf.voters);
    let change: string | undefined;
    if (what <= 1 && this.#nodes.size < MEMBERS_MAX) {
      const id = this.#newId();
      this.#create(id);
      change = what === 0 ? `~${id}` : `+${id}`;
    } else if (what === 2 && conf.learners.length > 0) change = `+${pick(random, conf.learners)}`;
    else if (what === 3 && conf.voters.length > 1) change = `-${voter}`;
    else if (what === 4 && conf.learners.length > 0) {
      const mode = pick(random, ["", "implicit ", "explicit "]);
      change = `${mode}+${pick(random, conf.learners)} ${random() < 0.5 ? "-" : "~"}${voter}`;
    } else if (what === 5 && conf.learners.length > 0) change = `-${pick(random, conf.learners)}`;
    if (conf.votersOutgoing.length > 0) change = "";
    if (change === undefined) return;
    this.#note(`propose the change "${change}" at ${node.id}`);
    node.proposeChange(encodeChange(change));
  }

  // The end.

  #heal(): void {
    this.#note("heal");
    this.#isHealed = true;
    this.#network.heal();
    for (const node of this.#nodes.values()) {
      node.pausedUntil = 0;
      node.clockRate = 1;
      node.isDiskStalled = false;
      if (node.isArmed) node.crash();
      if (!node.isUp) this.#restart(node);
    }
  }

  #hasConverged(healedAt: number): boolean {
    const passed = this.now - healedAt;
    if (passed > CONVERGENCE_MAX) {
      const views = [...this.#nodes.values()].map((node) => describe(node)).join("; ");
      throw new Violation(`liveness: no agreement ${CONVERGENCE_MAX} after healing: ${views}`);
    }
    const conf = this.#newest().state.conf;
    if (conf.votersOutgoing.length > 0) {
      if (passed % 20 === 0) this.#leader()?.proposeChange(encodeChange(""));
      return false;
    }
    if (passed < 20) return false;
    const leader = this.#leader()?.raw;
    if (leader === undefined || leader.committed < leader.lastIndex) return false;
    return [...conf.voters, ...conf.learners].every((id) => {
      if (this.#amnesia?.retired.has(id) === true) return true;
      const node = this.#nodes.get(id);
      if (node?.raw === undefined || node.pendingReads > 0) return false;
      return node.raw.leader === leader.status().id && node.state.index === leader.lastIndex;
    });
  }

  /** A reset link alone must never unseat a live leader. */
  #runWithResets(rounds: number): void {
    while (this.#checker.elections === 0 && this.now < rounds) this.#pass();
    for (let at = 0; at < 30; at += 1) this.#pass();
    const elections = this.#checker.elections;
    const term = this.#leader()?.raw?.term;
    while (this.now < rounds) {
      const node = this.#any();
      if (this.now % 3 === 0 && node !== undefined) lose(node, node.raw?.leader ?? "");
      this.#beClients();
      this.#pass();
      if (this.#checker.elections !== elections || this.#leader()?.raw?.term !== term) {
        throw new Violation("a reset link unseated a live leader");
      }
    }
  }

  #newId(): NodeId {
    this.#created += 1;
    return this.#created.toString(16).padStart(16, "0");
  }

  #create(id: NodeId): void {
    const node = new SimNode({
      id,
      bootstrap: this.#bootstrap,
      random: this.#random,
      checker: this.#checker,
      mutation: this.#options.mutation,
      messageBytesMax: this.#messageBytesMax,
      leases: this.#leases,
      send: (message, data) => {
        if (this.#amnesia?.mayLeave(message) === false) return;
        this.#network.send(this.now, message, data);
      },
    });
    this.#nodes.set(id, node);
    node.start();
    this.#amnesia?.started(node);
  }

  #any(): SimNode | undefined {
    return pick(this.#random, [...this.#nodes.values()]);
  }

  /** The leader of the highest term. */
  #leader(): SimNode | undefined {
    let best: SimNode | undefined;
    for (const node of this.#nodes.values()) {
      if (node.raw?.role !== "leader") continue;
      if (best === undefined || node.raw.term > (best.raw?.term ?? 0)) best = node;
    }
    return best;
  }

  /** The member that has applied most. */
  #newest(): SimNode {
    const nodes = [...this.#nodes.values()];
    return nodes.reduce((a, b) => (b.state.index > a.state.index ? b : a));
  }

  #note(line: string): void {
    this.#options.trace?.(`${this.now} ${line}`);
  }
}

function lose(node: SimNode, id: NodeId): void {
  if (id === "") return;
  node.guard((raw) => {
    raw.connectionLost(id);
  });
}

function hurry(node: SimNode): void {
  node.guard((raw) => {
    raw.campaignSoon();
  });
}

function describe({ id, raw, state }: SimNode): string {
  if (raw === undefined) return `${id} down`;
  const conf = `${state.conf.voters.length}+${state.conf.learners.length}`;
  return `${id.slice(-1)} ${raw.role} of ${raw.term}, applied ${state.index} of ${raw.lastIndex}, led by ${raw.leader.slice(-1)}, members ${conf}`;
}
