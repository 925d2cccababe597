/**
 * The figures of the members for the console: what this member says of itself, and what the
 * others answer over the peer port. A member that cannot be asked, or is of a release that does
 * not know the call, is shown as such.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { status as grpcStatus } from "@grpc/grpc-js";
import type { sendUnaryData, Server, ServerUnaryCall, ServiceError } from "@grpc/grpc-js";
import { ConsoleService, GetFiguresResponseSchema } from "@etcd2/proto/console";
import { createPeerClient } from "@etcd2/raft";
import type { PeerCredentials } from "@etcd2/raft";
import { formatId } from "@etcd2/member-dir";
import type { Listeners } from "../listeners/start-listeners.ts";
import type { Alarms } from "../member/alarms.ts";
import type { Consensus } from "../consensus/consensus.ts";
import { compatVersion } from "../base/version.ts";

const PATH = `/${ConsoleService.typeName}/GetFigures`;
const ASK_TIMEOUT_MS = 1500;
const ANSWER_BYTES_MAX = 64 * 1024;

type Figures = MessageInitShape<typeof GetFiguresResponseSchema>;

const asBytes = (bytes: Buffer): Buffer => bytes;

/** Where the figures are read. */
export interface FigureSources {
  readonly listeners: Listeners;
  readonly alarms: Alarms;
}

/** This member's own figures. */
function ownFigures(consensus: Consensus, { listeners, alarms }: FigureSources): Figures {
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
    freeBytes: alarms.disk.freeBytes,
    alarms: [...alarms.names],
    certificateEnd: ends.length === 0 ? 0 : Math.min(...ends),
    pendingProposals: proposals.size,
    watchers: hub.watchers,
    clientConnections: listeners.connections,
    historyFirstIndex: storage.machine.history.firstIndex,
  };
}

/** Lets other members ask for the figures. */
export function addFiguresService(server: Server, figures: () => Figures): void {
  const definition = {
    getFigures: {
      ...{ path: PATH, requestStream: false, responseStream: false },
      ...{ requestSerialize: asBytes, requestDeserialize: asBytes },
      ...{ responseSerialize: asBytes, responseDeserialize: asBytes },
    },
  };
  server.addService(definition, {
    getFigures: (_call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      const message = create(GetFiguresResponseSchema, figures());
      answer(null, Buffer.from(toBinary(GetFiguresResponseSchema, message)));
    },
  });
}

/** One answer over the peer port. */
async function ask(url: string, credentials: PeerCredentials): Promise<Figures> {
  const client = createPeerClient({ url, credentials, frameBytesMax: ANSWER_BYTES_MAX });
  try {
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      const deadline = Date.now() + ASK_TIMEOUT_MS;
      const done = (error: ServiceError | null, response?: Buffer): void => {
        if (error !== null) reject(error);
        else resolve(response ?? Buffer.alloc(0));
      };
      client.makeUnaryRequest(PATH, asBytes, asBytes, Buffer.alloc(0), { deadline }, done);
    });
    return fromBinary(GetFiguresResponseSchema, bytes);
  } finally {
    client.close();
  }
}

interface Asked {
  readonly figures?: Figures;
  readonly roundTripMs?: number;
  /** Why there are no figures: the member is down, or of a release without the call. */
  readonly problem?: "down" | "old";
}

async function askMember(
  id: string,
  urls: readonly string[],
  credentials: PeerCredentials,
): Promise<Asked> {
  for (const url of urls) {
    const start = performance.now();
    try {
      const figures = await ask(url, credentials);
      if (figures.memberId !== id) continue;
      return { figures, roundTripMs: performance.now() - start };
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === grpcStatus.UNIMPLEMENTED) return { problem: "old" };
    }
  }
  return { problem: "down" };
}

/** All members with their figures, as JSON. Takes at most a few seconds, however many are down. */
async function gatherFigures(
  consensus: Consensus,
  credentials: PeerCredentials,
  own: () => Figures,
): Promise<string> {
  const { cluster, storage, node } = consensus;
  const members = await Promise.all(
    cluster.members.map(async ({ id, name, peerURLs, clientURLs, isLearner }) => {
      const shown = { id: formatId(id), name, peerURLs, clientURLs, isLearner };
      if (id === storage.memberId) return { ...shown, figures: own(), isSelf: true };
      return { ...shown, ...(await askMember(formatId(id), peerURLs, credentials)) };
    }),
  );
  const leader = node.leader === "" ? "" : formatId(node.leader);
  return JSON.stringify({ leader, members });
}

/** The figures of a member, once it takes part in a consensus. */
export class MemberFigures {
  readonly #sources: FigureSources;
  #consensus: Consensus | undefined;

  constructor(sources: FigureSources) {
    this.#sources = sources;
  }

  /** Called once, before anybody can ask. */
  attach(consensus: Consensus): void {
    this.#consensus = consensus;
  }

  /** This member's own. */
  own(): Figures {
    return ownFigures(this.#attached(), this.#sources);
  }

  /** Those of all members, as JSON. */
  gather(): Promise<string> {
    const { peerCredentials } = this.#sources.listeners;
    return gatherFigures(this.#attached(), peerCredentials, () => this.own());
  }

  #attached(): Consensus {
    if (this.#consensus === undefined) throw new Error("no consensus is attached yet");
    return this.#consensus;
  }
}
