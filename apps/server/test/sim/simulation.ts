/**
 * One run of a simulated cluster of real members: a safety phase with faults, then everything heals and
 * the cluster must agree within a bounded time, and what clients were told is checked against
 * what the log says. Equal plans give equal runs, event for event.
 */
import { checkLives, checkOperations, checkWatch, concerns } from "@etcd2/checker";
import { enterWorld, seededRandom, World } from "./runtime.ts";
import { forgetDisks } from "./simulated-fs.ts";
import { drawPlan, RATE_MAX } from "./faults.ts";
import type { Fault, Plan } from "./faults.ts";
import { SimClients } from "./sim-clients.ts";
import { exchange } from "./sim-http.ts";
import type { SimRequest } from "./sim-http.ts";
import { peerUrlOf, SimMember } from "./sim-member.ts";
import { Network } from "./simulated-transport.ts";
import { Truth } from "./truth.ts";

/** A healed cluster has so long to agree, in simulated time. */
const CONVERGENCE_MS = 60_000;
/** By then every life is over, every request answered, and every watcher has asked again. */
const SETTLED_MS = 14_000;
const STEP_MS = 200;
const MEMBERS_MAX = 7;

export interface RunOptions {
  readonly plan: Plan;
  readonly trace?: ((line: string) => void) | undefined;
}

/** What a run came to. */
export interface RunResult {
  readonly seed: number;
  /** Equal for equal runs. */
  readonly digest: number;
  readonly problems: readonly string[];
  readonly events: number;
  readonly acknowledged: number;
  readonly operations: number;
  readonly told: number;
  readonly crashes: number;
  readonly snapshots: number;
  readonly convergenceMs: number;
}

/** The plan of a seed. */
export function planOf(seed: number): Plan {
  return drawPlan(seed, seededRandom(seed ^ 0x5eed));
}

/** Runs one plan. What breaks a rule is in `problems`. */
export async function simulate(options: RunOptions): Promise<RunResult> {
  const world = new World(options.plan.seed);
  enterWorld(world);
  forgetDisks();
  try {
    return await new Simulation(world, options).run();
  } finally {
    enterWorld(undefined);
  }
}

class Simulation {
  readonly #world: World;
  readonly #plan: Plan;
  readonly #network = new Network();
  readonly #members: SimMember[] = [];
  readonly #truth = new Truth();
  readonly #clients: SimClients;
  readonly #problems: string[] = [];
  readonly #trace: ((line: string) => void) | undefined;
  /** Members that lost what they had promised: they may be refused. */
  readonly #lossy = new Set<SimMember>();
  #isHealing = false;
  #names = 0;

  constructor(world: World, { plan, trace }: RunOptions) {
    this.#world = world;
    this.#plan = plan;
    this.#trace = trace;
    const names = Array.from({ length: plan.members }, () => this.#newName());
    for (const name of names) {
      const member = this.#create(name);
      member.found(names);
      member.start();
    }
    this.#clients = new SimClients({
      members: () => this.#members,
      latencyMs: () => 0.2 + world.random(),
      ...{ count: 4, pauseMs: plan.pauseMs, watchers: 3, trace },
    });
    for (const fault of plan.faults) {
      world.after(fault.at, world.outside, () => {
        this.#note(JSON.stringify(fault));
        this.#harm(fault);
      });
    }
  }

  async run(): Promise<RunResult> {
    const world = this.#world;
    const { durationMs } = this.#plan;
    await world.runUntil(durationMs, () => this.#isBroken());
    this.#heal();
    const healedAt = world.now;
    let convergenceMs = 0;
    while (!this.#isBroken()) {
      await world.runUntil(world.now + STEP_MS, () => this.#isBroken());
      convergenceMs = world.now - healedAt;
      if (convergenceMs > 3000) this.#clients.stop();
      this.#operate();
      if (convergenceMs > SETTLED_MS && this.#hasConverged() && this.#hasTold()) break;
      if (convergenceMs > CONVERGENCE_MS) {
        this.#problems.push(
          `no agreement ${CONVERGENCE_MS} ms after everything healed: ${this.#state()}`,
        );
        break;
      }
    }
    if (!this.#isBroken()) await this.#check();
    const problems = [...world.unhandled, ...this.#truth.problems, ...this.#problems];
    return {
      ...{ seed: this.#plan.seed, digest: world.digest, problems, events: world.events },
      ...{ acknowledged: this.#clients.acknowledged, operations: this.#clients.operations.length },
      told: this.#clients.watchers.reduce((sum, { steps }) => sum + steps.length, 0),
      crashes: this.#members.reduce((sum, { crashes }) => sum + crashes, 0),
      ...{ snapshots: this.#network.snapshots, convergenceMs },
    };
  }

  #isBroken(): boolean {
    return this.#problems.length + this.#truth.problems.length + this.#world.unhandled.length > 0;
  }

  #note(line: string): void {
    this.#world.note(line);
    this.#trace?.(`${this.#world.now.toFixed(1)} ${line}`);
  }

  #newName(): string {
    this.#names += 1;
    return `m${this.#names}`;
  }

  #create(name: string): SimMember {
    const { snapshotCount, catchUpEntries, watchHistory } = this.#plan;
    const member = new SimMember({
      ...{ name, network: this.#network, snapshotCount, catchUpEntries, watchHistory },
      onRunning: (running, consensus) => {
        const run = `${running.name} run ${running.crashes}`;
        this.#truth.observe(run, consensus.storage.machine);
        consensus.events.on("installed", () => {
          this.#truth.observe(run, consensus.storage.machine);
        });
      },
      note: (line) => {
        this.#note(line);
      },
    });
    this.#members.push(member);
    return member;
  }

  // The adversary.

  #harm(fault: Fault): void {
    const member = "member" in fault ? this.#members[fault.member] : undefined;
    switch (fault.kind) {
      case "addMember":
        this.#addMember();
        return;
      case "partition":
        this.#partition(fault);
        return;
      case "weather":
        this.#network.lossRate = fault.loss;
        this.#network.duplicateRate = fault.duplicates;
        this.#network.delayMs = { min: 0.2, max: fault.delayMs };
        this.#later(fault.forMs, () => {
          this.#network.lossRate = 0;
          this.#network.duplicateRate = 0;
          this.#network.delayMs = { min: 0.2, max: 1.5 };
        });
        return;
      case "clock":
      case "crash":
      case "crashAtDisk":
      case "diskFails":
      case "pause":
      case "reboot":
      case "removeMember":
      case "restore":
      case "slowDisk":
      case "stop":
      case "wipe":
        if (member !== undefined && !member.isRetired) this.#harmMember(member, fault);
    }
  }

  #harmMember(
    member: SimMember,
    fault: Exclude<Fault, { kind: "addMember" | "partition" | "weather" }>,
  ): void {
    const { machine, fs } = member;
    switch (fault.kind) {
      case "crash":
        member.crash();
        fs.restart(fault.loss);
        this.#restart(member, fault.downMs);
        return;
      case "crashAtDisk":
        if (!member.isUp) return;
        fs.crashIn(fault.operations);
        this.#later(3000, () => {
          this.#revive(member, fault.loss, fault.downMs);
        });
        return;
      case "stop":
        member.stop();
        this.#later(4000, () => {
          this.#revive(member, "process", fault.downMs);
        });
        return;
      case "reboot":
        member.crash();
        fs.restart(fault.loss);
        member.reboot();
        machine.wallOffsetMs += fault.wallMs;
        this.#restart(member, fault.downMs);
        return;
      case "diskFails":
        fs.fail({
          on: fault.on,
          path: new RegExp(`/${fault.path}/`),
          code: "EIO",
          after: fault.after,
        });
        this.#later(3000, () => {
          this.#revive(member, "process", fault.downMs);
        });
        return;
      case "slowDisk": {
        const before = fs.syncMs;
        fs.syncMs = () => this.#world.random() * fault.syncMs;
        this.#later(fault.forMs, () => {
          fs.syncMs = before;
        });
        return;
      }
      case "pause":
        machine.pausedUntil = this.#world.now + fault.forMs;
        return;
      case "clock":
        machine.wallOffsetMs += fault.wallMs;
        this.#world.setRate(machine, fault.rate);
        return;
      case "wipe":
        member.crash();
        fs.wipe();
        this.#lossy.add(member);
        this.#restart(member, 200);
        return;
      case "restore":
        this.#restore(member, fault.afterMs);
        return;
      case "removeMember":
        this.#removeMember(member);
    }
  }

  #later(delayMs: number, run: () => void): void {
    this.#world.after(delayMs, this.#world.outside, () => {
      if (!this.#isHealing) run();
    });
  }

  #restart(member: SimMember, downMs: number): void {
    this.#later(downMs, () => {
      member.start();
    });
  }

  /** Ends what may be left of it, and starts it again. */
  #revive(
    member: SimMember,
    loss: Parameters<SimMember["fs"]["restart"]>[0],
    downMs: number,
  ): void {
    if (member.isRetired) return;
    member.crash();
    member.fs.restart(loss);
    this.#restart(member, downMs);
  }

  /** Puts back what the directory was, after the member has gone on for a while. */
  #restore(member: SimMember, afterMs: number): void {
    if (!member.isUp) return;
    const putBack = member.fs.save();
    this.#later(afterMs, () => {
      if (member.isRetired) return;
      member.crash();
      putBack();
      this.#lossy.add(member);
      this.#restart(member, 200);
    });
  }

  #partition({ shape, member: at, forMs }: Extract<Fault, { kind: "partition" }>): void {
    const { cut } = this.#network;
    const names = this.#members.filter(({ isRetired }) => !isRetired).map(({ name }) => name);
    const center = names[at % names.length] ?? "";
    const others = names.filter((name) => name !== center);
    const half = others.slice(0, Math.ceil(others.length / 2));
    const around = (name: string, step: number): string =>
      names[(names.indexOf(name) + step + names.length) % names.length] ?? "";
    const isCut = (a: string, b: string): boolean => {
      switch (shape) {
        case "isolate":
          return a === center || b === center;
        case "bridge":
          return a !== center && b !== center && half.includes(a) !== half.includes(b);
        case "ring":
          return b !== around(a, 1) && b !== around(a, -1);
        case "oneWay":
          return a === center;
        case "split":
          return half.includes(a) !== half.includes(b);
      }
    };
    for (const a of names) for (const b of names) if (a !== b && isCut(a, b)) cut.add(`${a}>${b}`);
    this.#later(forMs, () => {
      cut.clear();
    });
  }

  // The operator.

  #ask(member: SimMember, request: SimRequest, done: (status: number, body: string) => void): void {
    exchange(
      this.#world.outside,
      member,
      request,
      {
        onEnd: ({ status, body }) => {
          done(status, body);
        },
        onBroken: () => {
          done(0, "");
        },
      },
      () => 1,
    );
  }

  #serving(): SimMember | undefined {
    return this.#members.find((each) => each.isServing && each.isAwake && !this.#lossy.has(each));
  }

  #addMember(): void {
    const via = this.#serving();
    const running = this.#members.filter(({ isRetired }) => !isRetired);
    if (via === undefined || running.length >= MEMBERS_MAX) return;
    const name = this.#newName();
    this.#ask(
      via,
      { method: "POST", path: "/v2/members", json: { peerURLs: [peerUrlOf(name)] } },
      (status) => {
        if (status !== 201) return;
        const { consensus } = via;
        const added = consensus?.cluster.members.find(({ peerURLs }) =>
          peerURLs.includes(peerUrlOf(name)),
        );
        if (consensus === undefined || added === undefined) return;
        const member = this.#create(name);
        member.join(added.id, consensus.storage.clusterId, consensus.cluster.members);
        this.#note(`${name} joins as ${added.id}`);
        member.start();
      },
    );
  }

  #removeMember(member: SimMember): void {
    const via = this.#members.find((each) => each.isServing && each.isAwake && each !== member);
    const running = this.#members.filter(({ isRetired }) => !isRetired);
    if (via === undefined || running.length <= 2) return;
    const id = member.memberId.replace(/^0+/, "");
    this.#ask(via, { method: "DELETE", path: `/v2/members/${id}` }, () => undefined);
  }

  // The end.

  #heal(): void {
    this.#note("heal");
    this.#isHealing = true;
    this.#network.heal();
    for (const member of this.#members) {
      member.machine.pausedUntil = 0;
      member.fs.syncMs = () => 0.1;
      if (member.isRetired) continue;
      // Whatever is armed still is disarmed by a new start.
      member.crash();
      member.fs.restart("process");
      member.start();
    }
  }

  /** What an operator does about members that end: they are started again, or removed. */
  #operate(): void {
    for (const member of this.#members) {
      if (member.isRetired) continue;
      const isRefused = /refused by the cluster|contradicts the cluster/.test(member.lastWords);
      if (this.#lossy.has(member) && (isRefused || !this.#isSound(member))) {
        this.#replace(member);
        continue;
      }
      if (member.isUp) continue;
      this.#problems.push(`${member.name} ended by itself: ${member.lastWords}`);
    }
  }

  /** It takes part as any other. */
  #isSound(member: SimMember): boolean {
    const { consensus } = member;
    return member.isUp && (consensus === undefined || !consensus.lives.own.isFounding);
  }

  #replace(member: SimMember): void {
    member.crash();
    member.isRetired = true;
    const remove = (): void => {
      const via = this.#serving();
      const id = member.memberId.replace(/^0+/, "");
      if (via === undefined) {
        this.#world.after(500, this.#world.outside, remove);
        return;
      }
      this.#ask(via, { method: "DELETE", path: `/v2/members/${id}` }, (status) => {
        if (status !== 204 && status !== 404 && status !== 410) {
          this.#world.after(500, this.#world.outside, remove);
        }
      });
    };
    remove();
  }

  #inCluster(): readonly SimMember[] {
    const leader = this.#members.find((each) => each.consensus?.node.isLeader === true);
    const ids = new Set(leader?.consensus?.cluster.members.map(({ id }) => id));
    return this.#members.filter((each) => !each.isRetired && ids.has(each.memberId));
  }

  #hasConverged(): boolean {
    const members = this.#inCluster();
    return (
      members.length > 0 &&
      members.every(
        (each) => each.consensus?.storage.machine.appliedIndex === this.#truth.lastIndex,
      )
    );
  }

  /** Every watcher has heard of the last change that concerns it. */
  #hasTold(): boolean {
    const { events } = this.#truth.history();
    return this.#clients.watchers.every(({ path, recursive, next }) => {
      const last = events.findLast((event) => concerns(path, recursive, event));
      return last === undefined || next > last.index;
    });
  }

  #state(): string {
    return this.#members
      .map((each) => {
        const { consensus, name, isRetired, lastWords } = each;
        const applied = consensus?.storage.machine.appliedIndex ?? "-";
        const leader = consensus?.node.leader ?? "";
        return `${name}${isRetired ? " (retired)" : ""} applied ${applied} leader ${leader} ${lastWords}`;
      })
      .join("; ");
  }

  async #check(): Promise<void> {
    const history = this.#truth.history();
    const { operations, lives, watchers } = this.#clients;
    this.#problems.push(...checkOperations(history, operations));
    for (const watcher of watchers) {
      const record = watcher.record(history.lastIndex);
      this.#problems.push(...checkWatch(history, record, this.#plan.watchHistory));
    }
    const happenedAt = (index: number): number | undefined => this.#truth.happenedAt(index);
    this.#problems.push(...checkLives(history, lives, happenedAt, RATE_MAX ** 2));
    for (const path of ["/1/t/a", "/1/t/b"]) {
      if (this.#truth.model.find(path)?.expirationMs === undefined) continue;
      this.#problems.push(`${path} outlived its life`);
    }
    const hashes = new Map<string, string>();
    for (const member of this.#inCluster()) {
      const machine = member.consensus?.storage.machine;
      if (machine === undefined) continue;
      this.#truth.compareState(member.name, machine);
      let digest = "";
      await this.#world.as(member.owner, () => {
        void machine.hash().then(({ hash, raftIndex }) => {
          digest = `${raftIndex} ${hash}`;
        });
      });
      await this.#world.runUntil(this.#world.now + 50);
      hashes.set(member.name, digest);
    }
    if (new Set(hashes.values()).size > 1) {
      this.#problems.push(`states differ: ${JSON.stringify([...hashes])}`);
    }
  }
}
