/**
 * The handshake's verdict: may these two members talk? Owns the rules, the sentences an operator
 * reads and the machine-readable reason that travels beside them. Knows no streams.
 */
import { Metadata, status } from "@grpc/grpc-js";
import type { StatusObject } from "@grpc/grpc-js";
import type { NodeId } from "../core/model/types.ts";
import type { Hello } from "../codec/frames.ts";
import type { LifeRegistry } from "../lives/peer-lives.ts";

/** Why a peer is not let in. */
export type RefusalReason =
  | "clusterMismatch"
  | "memberMismatch"
  | "removed"
  | "version"
  /** It came back without the data it answered for. */
  | "disowned";

/** A peer that is not let in, and what it is told. */
export interface Refusal {
  readonly reason: RefusalReason;
  /** A sentence for the operator, naming both sides. */
  readonly details: string;
}

/** Trailer that carries the reason; the sentence is for people only. */
const REASON_KEY = "etcd2-refusal";
const REASONS: readonly string[] = [
  "clusterMismatch",
  "memberMismatch",
  "removed",
  "version",
  "disowned",
];

/** What the receiving member knows of itself. */
export interface Identity {
  readonly clusterId: string;
  readonly memberId: NodeId;
  readonly serverVersion: string;
  readonly minClusterVersion: string;
  readonly lives?: Pick<LifeRegistry, "validateLife"> | undefined;
}

/** Checks a Hello that asks to be let in. */
export function refuseHello(
  hello: Hello,
  own: Identity,
  isRemoved: (id: NodeId) => boolean,
): Refusal | undefined {
  const { from, to } = hello;
  if (hello.clusterId !== own.clusterId) {
    const theirs = `member ${from} belongs to cluster ${hello.clusterId}`;
    const ours = `member ${own.memberId} to cluster ${own.clusterId}`;
    return { reason: "clusterMismatch", details: `cluster id mismatch: ${theirs}, ${ours}` };
  }
  if (isRemoved(from)) return removedRefusal(from, own);
  if (to !== own.memberId) {
    const details = `member id mismatch: ${from} asks for ${to}, this is ${own.memberId}`;
    return { reason: "memberMismatch", details };
  }
  return refuseLife(hello, own) ?? refuseVersion(hello, own);
}

/** Checks the Hello that answers ours: the one who dialled wants to know whom it reached. */
export function refuseAnswer(answer: Hello, own: Identity, dialled: NodeId): Refusal | undefined {
  if (answer.clusterId !== own.clusterId) {
    const theirs = `member ${answer.from} belongs to cluster ${answer.clusterId}`;
    const ours = `member ${own.memberId} to cluster ${own.clusterId}`;
    return { reason: "clusterMismatch", details: `cluster id mismatch: ${theirs}, ${ours}` };
  }
  if (answer.from !== dialled) {
    const details = `member id mismatch: ${own.memberId} dialled ${dialled}, reached ${answer.from}`;
    return { reason: "memberMismatch", details };
  }
  return refuseLife(answer, own) ?? refuseVersion(answer, own);
}

/** Who came back without the data it answered for must neither vote nor acknowledge. */
function refuseLife({ from, life }: Hello, own: Identity): Refusal | undefined {
  const reason = life === undefined ? undefined : own.lives?.validateLife(from, life);
  if (reason === undefined) return undefined;
  return { reason: "disowned", details: `${reason} (says ${own.memberId})` };
}

/** What a removed member is told. */
export function removedRefusal(id: NodeId, own: Identity): Refusal {
  const details = `member ${id} has been removed from cluster ${own.clusterId} (says ${own.memberId})`;
  return { reason: "removed", details };
}

function refuseVersion(hello: Hello, own: Identity): Refusal | undefined {
  if (compareMinor(hello.serverVersion, own.minClusterVersion) < 0) {
    const needs = `${own.memberId} runs ${own.serverVersion} and needs ${own.minClusterVersion}`;
    const details = `member ${hello.from} is too old: it runs ${hello.serverVersion}, ${needs}`;
    return { reason: "version", details };
  }
  if (compareMinor(own.serverVersion, hello.minClusterVersion) < 0) {
    const needs = `${hello.from} runs ${hello.serverVersion} and needs ${hello.minClusterVersion}`;
    const details = `member ${own.memberId} is too old: it runs ${own.serverVersion}, ${needs}`;
    return { reason: "version", details };
  }
  return undefined;
}

/** Compares major and minor number; what does not look like a version counts as 0.0. */
function compareMinor(a: string, b: string): number {
  const left = majorMinor(a);
  const right = majorMinor(b);
  return left[0] - right[0] || left[1] - right[1];
}

function majorMinor(version: string): readonly [number, number] {
  const parts = /^v?(\d{1,9})\.(\d{1,9})/.exec(version);
  return [Number(parts?.[1] ?? 0), Number(parts?.[2] ?? 0)];
}

/** The gRPC status that ends the stream of a refused peer. */
export function refusalStatus(refusal: Refusal): StatusObject {
  const metadata = new Metadata();
  metadata.set(REASON_KEY, refusal.reason);
  const isFinal = refusal.reason === "removed" || refusal.reason === "disowned";
  const code = isFinal ? status.PERMISSION_DENIED : status.FAILED_PRECONDITION;
  return { code, details: refusal.details, metadata };
}

/** The refusal in a status received, if it is one. */
export function refusalIn(received: StatusObject): Refusal | undefined {
  const [reason] = received.metadata.get(REASON_KEY);
  if (typeof reason !== "string" || !isReason(reason)) return undefined;
  return { reason, details: received.details };
}

function isReason(text: string): text is RefusalReason {
  return REASONS.includes(text);
}
