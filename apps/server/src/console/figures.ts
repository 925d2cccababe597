/**
 * What the console shows of the members: what this member says of itself, and what the others
 * answer over the peer port. A member that cannot be asked, or is of a release that does not know
 * the call, is shown as such.
 */
import type { CountingMeter } from "@etcd2/observability";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { sendUnaryData, Server, ServerUnaryCall } from "@grpc/grpc-js";
import {
  ConsoleService,
  GetFiguresResponseSchema,
  GetHealthRequestSchema,
  GetHealthResponseSchema,
} from "@etcd2/proto/console";
import type { ConsoleData } from "@etcd2/api-v2";
import { formatId } from "@etcd2/member-dir";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Listeners } from "../listeners/start-listeners.ts";
import type { Alarms } from "../member/alarms.ts";
import type { Consensus } from "../consensus/consensus.ts";
import { compatVersion } from "../base/version.ts";
import { HealthSamples } from "./health-samples.ts";
import { bytesMethod, isUnknownCall, type PeerAnswer, PeerCalls } from "../consensus/peer-calls.ts";

type Figures = MessageInitShape<typeof GetFiguresResponseSchema>;
type Health = MessageInitShape<typeof GetHealthResponseSchema>;

const FIGURES_PATH = `/${ConsoleService.typeName}/GetFigures`;
const HEALTH_PATH = `/${ConsoleService.typeName}/GetHealth`;
const ASK_TIMEOUT_MS = 1500;

/** Where the figures are read. */
export interface FigureSources {
  readonly listeners: Listeners;
  readonly alarms: Alarms;
  readonly meter: CountingMeter;
}

/** Bytes of the files in a directory, of which there are few; those that vanish meanwhile count 0. */
function bytesOfFiles(directory: string): number {
  const sizes = readdirSync(directory).map(
    (name) => statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0,
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** This member's own figures. */
function ownFigures(consensus: Consensus, sources: FigureSources): Figures {
  const { listeners, alarms } = sources;
  const { node, storage, cluster, proposals, hub } = consensus;
  const { role, term } = node.status();
  const isLearner = cluster.get(storage.memberId)?.isLearner === true;
  const { log } = storage.wal;
  const ends = listeners.certificates.map(({ notAfterSeconds }) => notAfterSeconds);
  return {
    memberId: formatId(storage.memberId),
    version: compatVersion,
    role: isLearner ? "learner" : role,
    ...{ term, committed: node.committed, applied: node.applied },
    ...{ firstIndex: log.firstIndex(), lastIndex: log.lastIndex() },
    storeBytes: storage.machine.approximateSizeBytes,
    logEntries: log.lastIndex() - log.firstIndex() + 1,
    logBytes: bytesOfFiles(storage.layout.walDir),
    freeBytes: alarms.disk.freeBytes,
    alarms: [...alarms.names],
    certificateEnd: ends.length === 0 ? 0 : Math.min(...ends),
    pendingProposals: proposals.size,
    watchers: hub.watchers,
    clientConnections: listeners.connections,
    historyFirstIndex: storage.machine.history.firstIndex,
  };
}

/** Lets other members ask for the figures and the health. */
export function addConsoleService(server: Server, console: MemberFigures): void {
  type Call = ServerUnaryCall<Buffer, Buffer>;
  server.addService(
    { getFigures: bytesMethod(FIGURES_PATH), getHealth: bytesMethod(HEALTH_PATH) },
    {
      getFigures: (_call: Call, answer: sendUnaryData<Buffer>) => {
        const message = create(GetFiguresResponseSchema, console.own());
        answer(null, Buffer.from(toBinary(GetFiguresResponseSchema, message)));
      },
      getHealth: ({ request }: Call, answer: sendUnaryData<Buffer>) => {
        const { sinceMs } = fromBinary(GetHealthRequestSchema, request);
        const message = create(GetHealthResponseSchema, console.ownHealth(sinceMs));
        answer(null, Buffer.from(toBinary(GetHealthResponseSchema, message)));
      },
    },
  );
}

/** Why there is no answer: the member is down, or of a release without the call. */
type Problem = "down" | "old";

interface Asked<T> {
  readonly said?: T;
  readonly roundTripMs?: number;
  readonly problem?: Problem;
}

/** What the page calls a member, with what was learned of it. */
type Gathered<T> = Asked<T> & {
  readonly id: string;
  readonly name: string;
  readonly peerURLs: readonly string[];
  readonly clientURLs: readonly string[];
  readonly isLearner: boolean;
  readonly isSelf?: boolean;
};

/** The figures of a member, once it takes part in a consensus. */
export class MemberFigures implements ConsoleData {
  readonly #sources: FigureSources;
  readonly #calls: PeerCalls;
  readonly #samples: HealthSamples;
  #consensus: Consensus | undefined;

  constructor(sources: FigureSources) {
    this.#sources = sources;
    this.#calls = new PeerCalls(() => sources.listeners.peerCredentials);
    this.#samples = new HealthSamples({
      meter: sources.meter,
      storeBytes: () => this.#consensus?.storage.machine.approximateSizeBytes ?? 0,
      pendingProposals: () => this.#consensus?.proposals.size ?? 0,
      shownId: formatId,
      wallMs: Date.now,
      now: () => performance.now(),
    });
  }

  /** Called once, before anybody can ask. */
  attach(consensus: Consensus): void {
    this.#consensus = consensus;
    this.#samples.start();
  }

  close(): void {
    this.#samples.close();
    this.#calls.close();
  }

  /** This member's own. */
  own(): Figures {
    return ownFigures(this.#attached(), this.#sources);
  }

  /** This member's own samples after that moment of its clock. */
  ownHealth(sinceMs: number): Health {
    const memberId = formatId(this.#attached().storage.memberId);
    return { memberId, samples: [...this.#samples.since(sinceMs)] };
  }

  /** The figures of all members, as JSON. Takes at most a few seconds, however many are down. */
  async members(): Promise<string> {
    const members = await this.#gather(
      () => this.own(),
      (url) => this.#calls.call(url, FIGURES_PATH, new Uint8Array(0), ASK_TIMEOUT_MS),
      (bytes) => fromBinary(GetFiguresResponseSchema, bytes),
    );
    const { node } = this.#attached();
    const leader = node.leader === "" ? "" : formatId(node.leader);
    const shown = members.map(({ said, ...member }) => ({ ...member, figures: said }));
    return JSON.stringify({ leader, members: shown });
  }

  /** The samples of all members, as JSON. */
  async health(sinceMs: number): Promise<string> {
    const request = toBinary(GetHealthRequestSchema, create(GetHealthRequestSchema, { sinceMs }));
    const members = await this.#gather(
      () => this.ownHealth(sinceMs),
      (url) => this.#calls.call(url, HEALTH_PATH, request, ASK_TIMEOUT_MS),
      (bytes) => fromBinary(GetHealthResponseSchema, bytes),
    );
    const shown = members.map(({ id, name, said, problem }) => ({
      ...{ id, name, problem },
      samples: said?.samples ?? [],
    }));
    return JSON.stringify({ members: shown });
  }

  async #gather<T extends { readonly memberId?: string | undefined }>(
    own: () => T,
    call: (url: string) => Promise<PeerAnswer>,
    read: (bytes: Buffer) => T,
  ): Promise<Gathered<T>[]> {
    const { cluster, storage } = this.#attached();
    return Promise.all(
      cluster.members.map(async ({ id, name, configuredName, peerURLs, clientURLs, isLearner }) => {
        const known = name === "" ? configuredName : name;
        const shown = { id: formatId(id), name: known, peerURLs, clientURLs, isLearner };
        if (id === storage.memberId) return { ...shown, said: own(), isSelf: true };
        return { ...shown, ...(await askMember(shown.id, peerURLs, call, read)) };
      }),
    );
  }

  #attached(): Consensus {
    if (this.#consensus === undefined) throw new Error("no consensus is attached yet");
    return this.#consensus;
  }
}

async function askMember<T extends { readonly memberId?: string | undefined }>(
  id: string,
  urls: readonly string[],
  call: (url: string) => Promise<PeerAnswer>,
  read: (bytes: Buffer) => T,
): Promise<Asked<T>> {
  for (const url of urls) {
    try {
      const { bytes, roundTripMs } = await call(url);
      const said = read(bytes);
      if (said.memberId === id) return { said, roundTripMs };
    } catch (error) {
      if (isUnknownCall(error)) return { problem: "old" };
    }
  }
  return { problem: "down" };
}
