/** The member record inside a conf change: etcd.v2.MemberChange to and from plain data. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { MemberChangeSchema } from "@etcd2/proto/command";
import type { NodeId } from "@etcd2/raft/wal";
import type { RequestId } from "@etcd2/store";

/** The member record a conf change carries. */
export interface MemberRecord {
  readonly id: NodeId;
  readonly peerURLs: readonly string[];
  readonly name: string;
  readonly clientURLs: readonly string[];
  readonly isLearner: boolean;
  /** What the configuration that founded the cluster calls it. */
  readonly configuredName?: string;
}

/** What the context of a conf change carries. */
export interface MemberChange {
  /** Of the request that proposed it; all zero for changes that nobody waits for. */
  readonly requestId: RequestId;
  readonly member: MemberRecord;
}

/** The context of a conf change, in the form of the log. */
export function encodeMemberChange(change: MemberChange): Uint8Array {
  const { requestId, member } = change;
  return toBinary(
    MemberChangeSchema,
    create(MemberChangeSchema, {
      session: BigInt(requestId.session),
      sequence: BigInt(requestId.sequence),
      id: member.id,
      peerUrls: [...member.peerURLs],
      name: member.name,
      clientUrls: [...member.clientURLs],
      isLearner: member.isLearner,
      configuredName: member.configuredName ?? "",
    }),
  );
}

/** Reads a context; undefined for contexts that are not a member change, such as an empty one. */
export function decodeMemberChange(bytes: Uint8Array): MemberChange | undefined {
  if (bytes.length === 0) return undefined;
  try {
    const record = fromBinary(MemberChangeSchema, bytes);
    return {
      requestId: { session: Number(record.session), sequence: Number(record.sequence) },
      member: {
        id: record.id,
        peerURLs: record.peerUrls,
        name: record.name,
        clientURLs: record.clientUrls,
        isLearner: record.isLearner,
        configuredName: record.configuredName,
      },
    };
  } catch {
    return undefined;
  }
}
