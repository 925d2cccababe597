/**
 * Compares this member's state with that of the others, at one applied index, now and then and when
 * somebody asks. A member whose state is another one than that of a majority, twice in a row, must not
 * serve it: that is the end of its service. Knows no HTTP.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { sendUnaryData, Server, ServerUnaryCall } from "@grpc/grpc-js";
import { formatId } from "@etcd2/member-dir";
import {
  ConsistencyService,
  GetStateHashRequestSchema,
  GetStateHashResponseSchema,
} from "@etcd2/proto/consistency";
import type { GetStateHashResponse } from "@etcd2/proto/consistency";
import type { Counter, Gauge, Logger, Meter } from "@etcd2/observability";
import type { StateHash } from "@etcd2/store";
import type { Consensus } from "../consensus/consensus.ts";
import { bytesMethod, isUnknownCall, type PeerCalls } from "../consensus/peer-calls.ts";
import { compare, type Comparison, type MemberDigest, named } from "./comparison.ts";

const PATH = `/${ConsistencyService.typeName}/GetStateHash`;

/** How the digest is made; to be raised when that changes. */
const KIND = 1;

/** A member waits so long for the index to be applied. */
const REACH_TIMEOUT_MS = 3000;
/** Reading the state of a large store takes a while. */
const ASK_TIMEOUT_MS = 60_000;

/** Busy clusters run past an index before all have heard of it; the next is further ahead. */
const ATTEMPTS = 5;
const AHEAD = 64;

export interface StateCheckOptions {
  readonly consensus: Consensus;
  readonly calls: PeerCalls;
  /** Milliseconds between two checks; 0 for none but those that are asked for. */
  readonly intervalMs: number;
  readonly log: Logger;
  readonly meter: Meter;
}

export class StateCheck {
  readonly #options: StateCheckOptions;
  readonly #checks: Counter<readonly [string]>;
  readonly #different: Gauge;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<Comparison> | undefined;
  #isClosed = false;

  constructor(options: StateCheckOptions) {
    this.#options = options;
    this.#checks = options.meter.counter("etcd2_state_checks_total");
    this.#different = options.meter.gauge("etcd2_states_different");
  }

  /** Begins to check by itself. The first check comes at a random part of the interval. */
  start(random: () => number = Math.random): void {
    const { intervalMs } = this.#options;
    if (intervalMs === 0) return;
    const plan = (delayMs: number): void => {
      this.#timer = setTimeout(() => {
        void this.check().finally(() => {
          if (!this.#isClosed) plan(intervalMs);
        });
      }, delayMs).unref();
    };
    plan(intervalMs * random());
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** Lets other members ask for the digest of this one's state. */
  serve(server: Server): void {
    addConsistencyService(server, this.#options.consensus);
  }

  /** Compares now, and acts on what is found; one comparison at a time, shared by all who ask. */
  check(): Promise<Comparison> {
    this.#running ??= this.#check().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #check(): Promise<Comparison> {
    const { log, consensus } = this.#options;
    const first = await this.#compare();
    // States do not become equal by themselves: what is seen once and not again was no difference.
    const comparison = isDifferent(first) ? await this.#compare() : first;
    this.#checks.add(1, comparison.verdict);
    if (comparison.verdict !== "unknown") this.#different.set(comparison.different.length);
    const { verdict, different, raftIndex } = comparison;
    const at = `at raft index ${raftIndex}`;
    if (verdict === "minority") {
      consensus.diverged(
        `${at} a majority of the members holds another state than this one: this member ends its ` +
          "service; keep its data directory to look at, remove it and add it again with an empty one",
      );
    } else if (verdict === "majority") {
      log.critical(
        `${at} ${named(different)} holds another state than the majority: remove it and add it again ` +
          "with an empty data directory",
      );
    } else if (verdict === "divided") {
      log.critical(
        `${at} the members hold different states, and no majority agrees on one: take a snapshot of ` +
          `each (${named(different)} differs from this one) before anything else`,
      );
    }
    return comparison;
  }

  async #compare(): Promise<Comparison> {
    const { storage } = this.#options.consensus;
    let best: Comparison | undefined;
    for (let attempt = 0; attempt < ATTEMPTS && !this.#isClosed; attempt++) {
      const { log } = storage.wal;
      const index =
        attempt === 0 ? storage.machine.appliedIndex : log.lastIndex() + AHEAD * 4 ** (attempt - 1);
      const comparison = compare(index, await this.#digests(index));
      const isComplete = comparison.members.every(({ problem }) => problem !== "late");
      if (isComplete) return comparison;
      if (best === undefined || answers(comparison) > answers(best)) best = comparison;
      // Nothing is written: all members stand where this one does, or soon will.
      if (storage.machine.appliedIndex < index) {
        const now = storage.machine.appliedIndex;
        const still = compare(now, await this.#digests(now));
        if (still.members.every(({ problem }) => problem !== "late")) return still;
      }
    }
    return best ?? compare(storage.machine.appliedIndex, []);
  }

  #digests(index: number): Promise<MemberDigest[]> {
    const { cluster, storage } = this.#options.consensus;
    return Promise.all(
      cluster.members.map(async ({ id, name, configuredName, peerURLs }) => {
        const isSelf = id === storage.memberId;
        const known = name === "" ? configuredName : name;
        const member = { id: formatId(id), name: known, isSelf };
        return {
          ...member,
          ...(isSelf ? await this.#own(index) : await this.#ask(member.id, peerURLs, index)),
        };
      }),
    );
  }

  async #own(index: number): Promise<Pick<MemberDigest, "digest" | "problem">> {
    const hash = await this.#options.consensus.hashPoints.at(index, REACH_TIMEOUT_MS);
    return hash === undefined ? { problem: "late" } : { digest: digestOf(hash) };
  }

  async #ask(
    id: string,
    urls: readonly string[],
    index: number,
  ): Promise<Pick<MemberDigest, "digest" | "problem">> {
    const request = create(GetStateHashRequestSchema, { raftIndex: BigInt(index) });
    const bytes = toBinary(GetStateHashRequestSchema, request);
    for (const url of urls) {
      try {
        const answer = await this.#options.calls.call(url, PATH, bytes, ASK_TIMEOUT_MS);
        const said = fromBinary(GetStateHashResponseSchema, answer.bytes);
        if (said.memberId === id) return readAnswer(said, index);
      } catch (error) {
        if (isUnknownCall(error)) return { problem: "old" };
      }
    }
    return { problem: "down" };
  }
}

function readAnswer(
  { kind, raftIndex, raftTerm, hash }: GetStateHashResponse,
  index: number,
): Pick<MemberDigest, "digest" | "problem"> {
  if (kind !== KIND) return { problem: "old" };
  if (raftIndex !== BigInt(index)) return { problem: "late" };
  return { digest: `${raftTerm}:${hash}` };
}

function digestOf({ raftTerm, hash }: StateHash): string {
  return `${raftTerm}:${hash}`;
}

function isDifferent({ verdict }: Comparison): boolean {
  return verdict !== "same" && verdict !== "unknown";
}

function answers({ members }: Comparison): number {
  return members.filter(({ digest }) => digest !== undefined).length;
}

function addConsistencyService(server: Server, { storage, hashPoints }: Consensus): void {
  server.addService(
    { getStateHash: bytesMethod(PATH) },
    {
      getStateHash: (
        { request }: ServerUnaryCall<Buffer, Buffer>,
        answer: sendUnaryData<Buffer>,
      ) => {
        const { raftIndex } = fromBinary(GetStateHashRequestSchema, request);
        const memberId = formatId(storage.memberId);
        hashPoints.at(Number(raftIndex), REACH_TIMEOUT_MS).then(
          (hash) => {
            const message = create(GetStateHashResponseSchema, {
              ...{ memberId, kind: KIND },
              ...(hash !== undefined && {
                raftIndex: BigInt(hash.raftIndex),
                raftTerm: BigInt(hash.raftTerm),
                etcdIndex: BigInt(hash.etcdIndex),
                hash: hash.hash,
              }),
            });
            answer(null, Buffer.from(toBinary(GetStateHashResponseSchema, message)));
          },
          (error: unknown) => {
            answer(error instanceof Error ? error : new Error(String(error)));
          },
        );
      },
    },
  );
}
