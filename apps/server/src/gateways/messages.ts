/**
 * What the thread that runs consensus and those that serve clients tell each other. Writes and their
 * outcomes cross as bytes, all of one turn in one message. Knows no rules.
 */
import type { MessagePort } from "node:worker_threads";
import type { Counts, LogLevel } from "@etcd2/observability";
import type { StoreErrorCode } from "@etcd2/store";
import type { ServerConfig } from "../config/server-config.ts";
import type { PasswordJob, PasswordResult } from "../passwords/password-worker.ts";

/** What a thread is started with. */
export interface GatewaySettings {
  readonly config: ServerConfig;
  /** Where its certificates are kept. */
  readonly dataDir: string;
  /** Its number, from 0, and how many there are. */
  readonly thread: number;
  readonly threads: number;
  readonly connectionsMax: number;
  readonly sharedState: SharedArrayBuffer;
  readonly cells: SharedArrayBuffer;
  /** Where the stores to read are told of. */
  readonly storePort: MessagePort;
}

/** A store to read from now on. */
export interface StoreMessage {
  readonly generation: number;
  readonly handle: bigint;
  /** Of its clock. */
  readonly offsetMs: number;
}

/** What one thread counted since it was asked last. */
export interface GatewayCounts extends Counts {
  /** Bytes of its connections since its start. */
  readonly bytes: { readonly received: number; readonly sent: number };
}

/** Requests of one turn. */
export interface WorkMessage {
  readonly kind: "work";
  /** Number of the first write; the others follow. */
  readonly firstWrite: number;
  /** Commands without ids, each after its length in four bytes. */
  readonly writes: Uint8Array | undefined;
  /** Number of a confirmation that quorum reads wait for; 0 for none. */
  readonly read: number;
}

/** From a thread that serves clients. */
export type FromGateway =
  | WorkMessage
  | { readonly kind: "listening"; readonly error: string | undefined }
  | { readonly kind: "attached"; readonly generation: number }
  | {
      readonly kind: "log";
      readonly pkg: string;
      readonly level: LogLevel;
      readonly message: string;
    }
  | { readonly kind: "access"; readonly lines: readonly string[] }
  | { readonly kind: "shed" }
  | { readonly kind: "storageFailed"; readonly code: StoreErrorCode; readonly message: string }
  | { readonly kind: "password"; readonly id: number; readonly job: PasswordJob }
  | {
      readonly kind: "forward";
      readonly port: MessagePort;
      readonly encrypted: boolean;
    }
  | { readonly kind: "counts"; readonly id: number; readonly counts: GatewayCounts }
  | { readonly kind: "closed" };

/** What became of the requests of a thread, and that there is something new for its watches. */
export interface AnswerMessage {
  readonly kind: "answers";
  readonly outcomes: Uint8Array | undefined;
  readonly reads: readonly { readonly read: number; readonly error: string | undefined }[];
  readonly news: boolean;
}

/** To a thread that serves clients. */
export type ToGateway =
  | AnswerMessage
  | { readonly kind: "open"; readonly clusterId: string }
  | { readonly kind: "condemned"; readonly reason: string }
  | {
      readonly kind: "password";
      readonly id: number;
      readonly result: PasswordResult;
      /** Of the PasswordError, when it was one. */
      readonly code: "busy" | "stopped" | "worker" | undefined;
    }
  | { readonly kind: "count"; readonly id: number }
  | { readonly kind: "close"; readonly graceMs: number };
