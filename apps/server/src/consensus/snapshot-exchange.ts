/**
 * State machine snapshots on their way between members: a source is opened in the very turn its
 * message was made; a sink writes into a new store generation beside the one in use and replaces
 * it only when all bytes have arrived and proved right. Interrupted at any point, neither is lost.
 */
import { PassThrough } from "node:stream";
import type { RaftNode, SnapshotMessage, SnapshotSink } from "@etcd2/raft";
import { importSnapshot } from "@etcd2/store";
import type { Kv, StoreWatcherHub } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import type { Cluster } from "../cluster/cluster.ts";
import { messageOf } from "../base/message-of.ts";
import { TakeoverError } from "../storage/member-storage.ts";
import type { MemberStorage } from "../storage/member-storage.ts";

export interface SnapshotExchangeOptions {
  readonly storage: MemberStorage;
  readonly cluster: Cluster;
  readonly hub: StoreWatcherHub;
  readonly node: () => RaftNode;
  /** The cluster may look different after an install: connect to who is there now. */
  readonly onInstalled: () => void;
  readonly log: (message: string) => void;
  /** Neither the old state nor the new one can be relied on: the member must stop. */
  readonly onFatal: (error: Error) => void;
}

export class SnapshotExchange {
  readonly #options: SnapshotExchangeOptions;
  #receiving = false;

  constructor(options: SnapshotExchangeOptions) {
    this.#options = options;
  }

  openSource(): AsyncIterable<Uint8Array> {
    return this.#options.storage.machine.exportSnapshot();
  }

  openSink(message: SnapshotMessage): SnapshotSink {
    if (this.#receiving) throw new Error("another snapshot is being received");
    this.#receiving = true;
    const { log } = this.#options;
    log(`receiving database snapshot [index:${message.snapshot.index}, from ${message.from}]...`);
    return new IncomingSnapshot(this.#options, message, () => {
      this.#receiving = false;
    });
  }
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

  constructor(options: SnapshotExchangeOptions, message: SnapshotMessage, onEnd: () => void) {
    this.#options = options;
    this.#message = message;
    this.#onEnd = onEnd;
    this.#path = options.storage.nextGeneration();
    // A transfer may break off before the import listens.
    this.#pipe.on("error", () => undefined);
    this.#imported = this.#import();
    // The failure is reported by write(), commit() or abort(); never as an unhandled rejection.
    this.#imported.catch(() => undefined);
  }

  async #import(): Promise<Kv> {
    const kv = await RocksKv.open(this.#path);
    try {
      await importSnapshot(kv, this.#pipe as AsyncIterable<Uint8Array>);
      return kv;
    } catch (error) {
      await kv.close();
      throw error;
    }
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#pipe.write(chunk)) return;
    await Promise.race([
      new Promise<void>((resolve) => this.#pipe.once("drain", resolve)),
      this.#imported.then(() => undefined),
    ]);
  }

  async commit(): Promise<void> {
    const { storage, node, log } = this.#options;
    try {
      this.#pipe.end();
      const kv = await this.#imported;
      await kv.close();
      await node().exclusively(async () => {
        // The log may have caught up by itself in the meantime, or the sender been succeeded.
        if (!node().wantsSnapshot(this.#message)) return;
        await this.#takeOver();
        log(`applied snapshot at index ${storage.machine.appliedIndex}`);
      });
      this.#options.onInstalled();
    } finally {
      this.#onEnd();
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
      node().snapshotInstalled({ ...this.#message, snapshot: storage.snapshotMetadata() });
    } catch (error) {
      const text = messageOf(error);
      if (isReplaced || error instanceof TakeoverError) {
        onFatal(new Error(`a snapshot could not be taken over: ${text}`, { cause: error }));
      } else {
        log(`a snapshot could not be taken over, the state before it stays in use: ${text}`);
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
    this.#options.log(`snapshot transfer was given up: ${reason.message}`);
    this.#onEnd();
  }
}
