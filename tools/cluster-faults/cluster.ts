/**
 * A cluster of real processes on loopback for tests and fault runs: founding, the leader, members
 * that join, comparing what all of them hold, and removing every trace at the end.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keysJson } from "./http.ts";
import type { Answer } from "./http.ts";
import { onInterrupt } from "./interrupt.ts";
import { MemberProcess } from "./member-process.ts";
import type { Place } from "./member-process.ts";
import { until } from "@etcd2/test-support";

export interface ClusterOptions {
  readonly size: number;
  /** Flags of every member. */
  readonly flags?: readonly string[];
  /** Milliseconds; small ones make tests of elections quick. */
  readonly heartbeatMs?: number;
  readonly electionMs?: number;
  /** Where member `at` (from 1) runs; on loopback when not given. */
  readonly place?: (at: number) => Place;
}

export interface MemberJson {
  readonly id: string;
  readonly name: string;
  readonly peerURLs: readonly string[];
  readonly clientURLs: readonly string[];
  readonly isLearner?: boolean;
}

export class Cluster {
  readonly directory: string;
  readonly members: MemberProcess[] = [];
  readonly #flags: readonly string[];
  readonly #forget = onInterrupt(() => {
    for (const member of this.members) member.signal("SIGKILL");
    this.#removeFiles();
  });
  #joined = 0;

  private constructor(options: ClusterOptions) {
    this.directory = mkdtempSync(join(tmpdir(), "etcd2-cluster-"));
    const { heartbeatMs = 100, electionMs = 1000, flags = [] } = options;
    this.#flags = [
      ...["--heartbeat-interval", String(heartbeatMs)],
      ...["--election-timeout", String(electionMs)],
      ...flags,
    ];
  }

  /** Starts a new cluster and waits until it leads and every member has published itself. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = await Cluster.reserve(options);
    for (const member of cluster.members) cluster.found(member);
    try {
      await cluster.ready();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** Ports and directories only; nothing is started. */
  static async reserve(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    for (let at = 1; at <= options.size; at += 1) {
      const place = options.place?.(at);
      cluster.members.push(await MemberProcess.reserve(`m${String(at)}`, cluster.directory, place));
    }
    return cluster;
  }

  get initialCluster(): string {
    return this.members.map((member) => `${member.name}=${member.peerUrl}`).join(",");
  }

  /** Starts a founding member; `more` overrides what every member has. */
  found(member: MemberProcess, ...more: readonly string[]): void {
    member.start([...this.#flags, "--initial-cluster", this.initialCluster, ...more]);
  }

  /** Starts a member from its disk. */
  restart(member: MemberProcess, ...more: readonly string[]): void {
    member.start([...this.#flags, ...more]);
  }

  /** Announces a member, starts it with --initial-cluster-state existing. Returns it and its id. */
  async join(options: { learner?: boolean } = {}): Promise<{ id: string; member: MemberProcess }> {
    this.#joined += 1;
    const name = `joined${String(this.#joined)}`;
    const member = await MemberProcess.reserve(name, this.directory);
    const { id } = await this.announce(member, options);
    this.members.push(member);
    member.start([
      ...this.#flags,
      ...["--initial-cluster", await this.memberNames(member)],
      ...["--initial-cluster-state", "existing"],
    ]);
    return { id, member };
  }

  /** POST /v2/members. */
  async announce(member: MemberProcess, options: { learner?: boolean } = {}): Promise<MemberJson> {
    const answer = await this.any().send("/v2/members", {
      method: "POST",
      json: { peerURLs: [member.peerUrl], ...(options.learner === true && { isLearner: true }) },
    });
    if (answer.status !== 201) throw new Error(`member add: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body) as MemberJson;
  }

  /** --initial-cluster of a joining member: the members as they are now. */
  async memberNames(joining: MemberProcess): Promise<string> {
    const pairs: string[] = [];
    for (const { name, peerURLs } of await this.memberList()) {
      const isNew = peerURLs.includes(joining.peerUrl);
      for (const url of peerURLs) pairs.push(`${isNew ? joining.name : name}=${url}`);
    }
    return pairs.join(",");
  }

  async memberList(of: MemberProcess = this.any()): Promise<readonly MemberJson[]> {
    const answer = await of.send("/v2/members");
    return (JSON.parse(answer.body) as { members: MemberJson[] }).members;
  }

  get running(): readonly MemberProcess[] {
    return this.members.filter((member) => member.isRunning);
  }

  /** Some running member. */
  any(): MemberProcess {
    const [first] = this.running;
    if (first === undefined) throw new Error("no member is running");
    return first;
  }

  /** Waits until one of the running members leads and says so itself. */
  leader(deadlineMs = 10_000): Promise<MemberProcess> {
    return until(
      "a member leads",
      async () => {
        for (const member of this.running) {
          const stats = await member.selfStats().catch(() => undefined);
          if (stats?.state === "StateLeader") return member;
        }
        return undefined;
      },
      deadlineMs,
    );
  }

  async followers(): Promise<readonly MemberProcess[]> {
    const leader = await this.leader();
    return this.running.filter((member) => member !== leader);
  }

  /** A member that leads, all known by name on every running member, all answering. */
  async ready(deadlineMs = 15_000): Promise<void> {
    await until(
      "every member is published everywhere",
      async () => {
        if (this.members.every((member) => !member.isRunning)) return false;
        const lists = await Promise.all(this.running.map((member) => this.memberList(member)));
        const healthy = await Promise.all(
          this.running.map((member) => member.send("/health", { timeoutMs: 1000 })),
        );
        return (
          lists.every(
            (list) => list.length > 0 && list.every(({ clientURLs }) => clientURLs.length > 0),
          ) && healthy.every(({ status }) => status === 200)
        );
      },
      deadlineMs,
    ).catch((error: unknown) => {
      throw new Error([String(error), ...this.members.map(({ log }) => log)].join("\n----\n"));
    });
  }

  /** Waits until all running members hold the same tree, and returns it as text. */
  async sameTree(path = "/", deadlineMs = 15_000): Promise<string> {
    let seen: readonly string[] = [];
    try {
      return await until(
        "all members hold the same tree",
        async () => {
          const answers = await Promise.all(
            this.running.map((member) => member.send(`/v2/keys${path}?recursive=true&sorted=true`)),
          );
          seen = answers.map(({ body }) => body);
          const indexes = new Set(answers.map(({ headers }) => headers["x-etcd-index"]));
          const [first] = answers;
          const isSame = new Set(seen).size === 1 && indexes.size === 1;
          return isSame && first?.status === 200 ? first.body : undefined;
        },
        deadlineMs,
      );
    } catch (error) {
      throw new Error(`${String(error)}\n${seen.map((text) => text.slice(0, 2000)).join("\n")}`);
    }
  }

  /** Ends every process and removes every file. */
  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.end("SIGKILL")));
    this.#forget();
    this.#removeFiles();
  }

  #removeFiles(): void {
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Writes one key and returns its modified index. @throws Error unless it was acknowledged. */
export async function put(member: MemberProcess, key: string, value: string): Promise<number> {
  const answer = await member.send(`/v2/keys${key}`, { method: "PUT", form: { value } });
  const index = isWritten(answer) ? keysJson(answer).node?.modifiedIndex : undefined;
  if (index === undefined) throw new Error(`PUT ${key}: ${answer.status} ${answer.body}`);
  return index;
}

/** A linearizable read; undefined for an absent key. */
export async function quorumGet(member: MemberProcess, key: string): Promise<string | undefined> {
  const answer = await member.send(`/v2/keys${key}?quorum=true`);
  if (answer.status === 404) return undefined;
  if (answer.status !== 200) throw new Error(`GET ${key}: ${answer.status} ${answer.body}`);
  return keysJson(answer).node?.value;
}

export function isWritten(answer: Answer): boolean {
  return answer.status === 200 || answer.status === 201;
}
