/**
 * State machine snapshots on their way between members: a source is opened in the very turn its
 * message was made; a sink writes into a new store generation beside the one in use and replaces
 * it only when all bytes have arrived and proved right. Interrupted at any point, neither is lost.
 */
import type { Logger } from "@etcd2/observability";
import { PassThrough } from "node:stream";
import type { RaftNode, SnapshotMessage, SnapshotSink } from "@etcd2/raft";
import { importSnapshot, isStoreFailure, StoreError } from "@etcd2/store";
import type { Kv, SnapshotInfo, StoreWatcherHub } from "@etcd2/store";
import type { Cluster } from "../cluster/cluster.ts";
import { messageOf } from "../base/message-of.ts";
import { TakeoverError } from "../storage/member-storage.ts";
import type { MemberStorage } from "../storage/member-storage.ts";

export interface SnapshotExchangeOptions {
  readonly storage: MemberStorage;
  readonly cluster: Cluster;
  readonly hub: StoreWatcherHub;
  readonly node: RaftNode;
  /** The cluster may look different after an install: connect to who is there now. */
  readonly onInstalled: () => void;
  readonly log: Logger;
  /** Neither the old state nor the new one can be relied on: the member must stop. */
  readonly onFatal: (error: Error) => void;
}

export class SnapshotExchange {
  readonly #options: SnapshotExchangeOptions;
  #receiving = false;

  constructor(options: SnapshotExchangeOptions) {
    this.#options = options;
  }

  /** A store that cannot be read to its end is no store to lead with: it ends the member. */
  openSource(): AsyncIterable<Uint8Array> {
    return watched(this.#options.storage.machine.exportSnapshot(), this.#options.onFatal);
  }

  openSink(message: SnapshotMessage): SnapshotSink {
    if (this.#receiving) throw new Error("another snapshot is being received");
    const { log } = this.#options;
    log.info(
      `receiving database snapshot [index:${message.snapshot.index}, from ${message.from}]...`,
    );
    const incoming = new IncomingSnapshot(this.#options, message, this.#nextGeneration(), () => {
      this.#receiving = false;
    });
    this.#receiving = true;
    return incoming;
  }

  #nextGeneration(): string {
    try {
      return this.#options.storage.nextGeneration();
    } catch (error) {
      // The name of the state in use is not what it was; anything else may be better next time.
      if (isStoreFailure(error)) this.#options.onFatal(error);
      throw error;
    }
  }
}

/** Hands chunks on as they are asked for; a failure of the store is told before it is thrown. */
function watched(
  source: AsyncIterableIterator<Uint8Array>,
  onFailure: (error: Error) => void,
): AsyncIterableIterator<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      try {
        return await source.next();
      } catch (error) {
        if (isStoreFailure(error)) onFailure(error);
        throw error;
      }
    },
    async return() {
      await source.return?.();
      return { done: true, value: undefined };
    },
  };
}

class IncomingSnapshot implements SnapshotSink {
  readonly #options: SnapshotExchangeOptions;
  readonly #message: SnapshotMessage;
  readonly #onEnd: () => void;
  readonly #pipe = new PassThrough({
    readableObjectMode: true,
    writableObjectMode: true,
    highWaterMark: 16,
  });
  readonly #path: string;
  readonly #imported: Promise<Kv>;

  /** @param path an empty folder to write to. */
  constructor(
    options: SnapshotExchangeOptions,
    message: SnapshotMessage,
    path: string,
    onEnd: () => void,
  ) {
    this.#options = options;
    this.#message = message;
    this.#onEnd = onEnd;
    this.#path = path;
    // A transfer may break off before the import listens.
    this.#pipe.on("error", () => undefined);
    this.#imported = this.#import();
    // The failure is reported by write(), commit() or abort(); never as an unhandled rejection.
    this.#imported.catch(() => undefined);
  }

  async #import(): Promise<Kv> {
    const kv = await this.#options.storage.openGeneration(this.#path);
    try {
      this.#check(await importSnapshot(kv, this.#pipe as AsyncIterable<Uint8Array>));
      return kv;
    } catch (error) {
      await kv.close();
      throw error;
    }
  }

  /** What was sent must be what was announced: that was judged, and the log goes on from there. */
  #check({ raftIndex, raftTerm }: SnapshotInfo): void {
    const { index, term } = this.#message.snapshot;
    if (raftIndex === index && raftTerm === term) return;
    throw new StoreError(
      "corrupt",
      `the snapshot is of entry ${raftIndex} of term ${raftTerm}, announced was ${index} of term ${term}`,
    );
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#pipe.write(chunk)) return;
    await Promise.race([
      new Promise<void>((resolve) => this.#pipe.once("drain", resolve)),
      this.#imported.then(() => undefined),
    ]);
  }

  async commit(): Promise<void> {
    try {
      if (await this.#install()) this.#followUp();
      else this.#discard();
    } catch (error) {
      this.#discard();
      throw error;
    } finally {
      this.#onEnd();
    }
  }

  /** @returns Whether the received state is the one in use now. */
  async #install(): Promise<boolean> {
    const { storage, node, log } = this.#options;
    this.#pipe.end();
    const kv = await this.#imported;
    await kv.close();
    return node.exclusively(async () => {
      // The log may have caught up by itself in the meantime, or the sender been succeeded.
      if (!node.wantsSnapshot(this.#message)) return false;
      await this.#takeOver();
      log.info(`applied snapshot at index ${storage.machine.appliedIndex}`);
      return true;
    });
  }

  /** Half of it would leave this member with the users or the peers of the old state. */
  #followUp(): void {
    try {
      this.#options.onInstalled();
    } catch (error) {
      const text = messageOf(error);
      this.#options.onFatal(
        new Error(`a snapshot could not be taken over: ${text}`, { cause: error }),
      );
      throw error;
    }
  }

  /** Gives its room back at once: a full disk may be why it is not used. */
  #discard(): void {
    try {
      this.#options.storage.discardGeneration(this.#path);
    } catch (error) {
      // The next one to arrive, or the next start, tries again.
      this.#options.log.warning(`an unused snapshot could not be removed: ${messageOf(error)}`);
    }
  }

  /** Until the new state is in place the old one serves; from then on everything must succeed. */
  async #takeOver(): Promise<void> {
    const { storage, cluster, hub, node, log, onFatal } = this.#options;
    let isReplaced = false;
    try {
      const machine = await storage.switchTo(this.#path);
      isReplaced = true;
      hub.attach(machine);
      cluster.reload();
      node.snapshotInstalled({ ...this.#message, snapshot: storage.snapshotMetadata() });
    } catch (error) {
      const text = messageOf(error);
      if (isReplaced || error instanceof TakeoverError) {
        onFatal(new Error(`a snapshot could not be taken over: ${text}`, { cause: error }));
      } else {
        log.warning(
          `a snapshot could not be taken over, the state before it stays in use: ${text}`,
        );
      }
      throw error;
    }
  }

  async abort(reason: Error): Promise<void> {
    this.#pipe.destroy(reason);
    await this.#imported.then(
      (kv) => kv.close(),
      () => undefined,
    );
    this.#discard();
    this.#options.log.info(`snapshot transfer was given up: ${reason.message}`);
    this.#onEnd();
  }
}
