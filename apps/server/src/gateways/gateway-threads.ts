/**
 * The threads that serve clients, as the thread that runs consensus sees them: starts them, carries
 * out what they ask, tells them what they must know before a write is acknowledged, and ends with
 * them. A thread that ends by itself takes the process with it.
 */
import { createServer, type RequestListener, type Server } from "node:http";
import { dirname, join } from "node:path";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { createHttpServerOptions } from "@etcd2/api-v2";
import type { CountingMeter } from "@etcd2/observability";
import { SharedState, type StateMachine, SteadyClock, StoreError } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import { messageOf } from "../base/message-of.ts";
import { StartError } from "../base/start-error.ts";
import type { ServerConfig } from "../config/server-config.ts";
import type { Consensus } from "../consensus/consensus.ts";
import type { ClientThreads } from "../listeners/client-ports.ts";
import type { Logging } from "../logging/logger.ts";
import type { EtcdServer } from "../member/etcd-server.ts";
import { Cells } from "./cells.ts";
import { GatewayThread } from "./gateway-thread.ts";
import { unforwarded } from "./forward.ts";
import type { FromGateway, GatewaySettings, StoreMessage } from "./messages.ts";
import { PortStream } from "./port-stream.ts";

/** A scrape waits no longer for the figures of a thread. */
const COUNT_TIMEOUT_MS = 1000;

/** A thread that has closed its listeners and is still there is ended. */
const EXIT_TIMEOUT_MS = 1000;

/** Reads that threads have counted are added to the counters of the store this often. */
const FOLD_INTERVAL_MS = 1000;

/** What the threads need of the process. */
export interface GatewayThreadsOptions {
  readonly config: ServerConfig;
  readonly dataDir: string;
  readonly logging: Logging;
  readonly meter: CountingMeter;
  /** A thread has ended, or could not be trusted any more. */
  readonly onFatal: (error: Error) => void;
  /** Where the code of a thread is; found by itself when left out. */
  readonly worker?: string | URL;
}

/** What they serve, once the member is ready. */
export interface ServedMember {
  readonly server: EtcdServer;
  readonly consensus: Consensus;
  /** Serves what is no matter of keys. */
  readonly app: RequestListener;
  /** Takes the lines of the access log. */
  readonly accessLog: { write(line: string): void };
}

interface Started {
  readonly thread: GatewayThread;
  readonly worker: Worker;
  readonly storePort: MessagePort;
}

function findWorker(): string {
  const main = process.argv[1] ?? "";
  return main.endsWith(".ts")
    ? join(dirname(main), "gateways", "gateway-worker.ts")
    : join(__dirname, "gateway-worker.cjs");
}

export class GatewayThreads implements ClientThreads {
  onShed: (() => void) | undefined;
  readonly #options: GatewayThreadsOptions;
  readonly #shared = new SharedState();
  readonly #cells: Cells;
  readonly #threads: Started[] = [];
  readonly #bytes: { readonly received: number; readonly sent: number }[] = [];
  readonly #internal: Server;
  #served: ServedMember | undefined;
  #handler: RequestListener | undefined;
  #fold: NodeJS.Timeout | undefined;
  #countId = 0;
  readonly #counting = new Map<number, () => void>();
  readonly #attaching = new Map<number, { left: number; done: () => void }>();
  #isClosing = false;

  constructor(options: GatewayThreadsOptions) {
    this.#options = options;
    this.#cells = new Cells(options.config.gatewayThreads);
    this.#internal = createServer(createHttpServerOptions(), (request, response) => {
      this.#handler?.(request, response);
    });
    this.#shared.onPublished = () => {
      for (const { thread } of this.#threads) thread.published();
    };
  }

  get connections(): number {
    return this.#cells.connections;
  }

  bytes(): { readonly received: number; readonly sent: number } {
    const sum = { received: 0, sent: 0 };
    for (const { received, sent } of this.#bytes) {
      sum.received += received;
      sum.sent += sent;
    }
    return sum;
  }

  async listen(connectionsMax: number): Promise<void> {
    const { gatewayThreads } = this.#options.config;
    const listening = Array.from({ length: gatewayThreads }, (_, at) =>
      this.#start(at, connectionsMax),
    );
    const errors = await Promise.all(listening);
    const error = errors.find((text) => text !== undefined);
    if (error === undefined) return;
    await this.close(0);
    throw new StartError(error);
  }

  /** Lets requests through, those that are no matter of keys to the application. */
  open(served: ServedMember): void {
    const { server, consensus, app } = served;
    this.#served = served;
    this.#handler = unforwarded((request, response) => {
      this.#addReads();
      app(request, response);
    });
    this.levelsChanged();
    consensus.hub.watchersElsewhere = () => this.#cells.watches;
    const { machine } = consensus.storage;
    machine.share(this.#shared);
    this.#announce(machine);
    consensus.storage.onReplaced = (incoming, old) => this.#replace(incoming, old);
    const authChanged = (): void => {
      this.#cells.authGeneration += 1;
    };
    const termChanged = (): void => {
      this.#cells.raftTerm = server.raftTerm;
    };
    termChanged();
    consensus.events.on("authWritten", authChanged);
    consensus.events.on("installed", authChanged);
    consensus.events.on("termChanged", termChanged);
    consensus.events.on("condemned", (reason) => {
      for (const { worker } of this.#threads) worker.postMessage({ kind: "condemned", reason });
    });
    for (const { worker } of this.#threads) {
      worker.postMessage({ kind: "open", clusterId: server.clusterId });
    }
    this.#fold = setInterval(() => {
      this.#addReads();
    }, FOLD_INTERVAL_MS).unref();
  }

  /** The levels of the log may have changed. */
  levelsChanged(): void {
    this.#cells.logsRequests = this.#options.logging.logger("etcdhttp").isOn("debug");
  }

  /** Gathers what all threads have counted, before somebody looks. */
  async count(): Promise<void> {
    this.#addReads();
    await Promise.all(
      this.#threads.map(({ worker }) => {
        this.#countId += 1;
        const id = this.#countId;
        return new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, COUNT_TIMEOUT_MS);
          this.#counting.set(id, () => {
            clearTimeout(timer);
            resolve();
          });
          worker.postMessage({ kind: "count", id });
        });
      }),
    );
  }

  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#fold);
    await Promise.all(
      this.#threads.splice(0).map(({ worker, storePort }) => {
        return new Promise<void>((resolve) => {
          const timer = setTimeout(() => void worker.terminate(), graceMs + EXIT_TIMEOUT_MS);
          worker.once("exit", () => {
            clearTimeout(timer);
            storePort.close();
            resolve();
          });
          worker.postMessage({ kind: "close", graceMs });
        });
      }),
    );
    this.#addReads();
  }

  /** @returns Why the thread cannot listen; undefined when it does. */
  #start(at: number, connectionsMax: number): Promise<string | undefined> {
    const { config, dataDir } = this.#options;
    const { port1: storePort, port2 } = new MessageChannel();
    const workerData: GatewaySettings = {
      ...{ config, dataDir, thread: at, threads: config.gatewayThreads, connectionsMax },
      sharedState: this.#shared.buffer,
      cells: this.#cells.buffer,
      storePort: port2,
    };
    const name = `etcd-gateway-${at.toFixed(0)}`;
    const worker = new Worker(this.#options.worker ?? findWorker(), {
      name,
      workerData,
      transferList: [port2],
    });
    const thread = new GatewayThread({
      server: () => this.#served?.server,
      post: (message) => {
        worker.postMessage(message);
      },
      isWatching: () => this.#cells.watchesOf(at) > 0,
    });
    this.#threads.push({ thread, worker, storePort });
    this.#bytes.push({ received: 0, sent: 0 });
    return new Promise((resolve) => {
      let isListening = false;
      const ended = (cause: string): void => {
        if (isListening) this.#ended(name, cause);
        resolve(`the thread ${name} could not be started: ${cause}`);
      };
      worker.on("message", (message: FromGateway) => {
        if (message.kind !== "listening") {
          this.#receive(message, at, thread);
          return;
        }
        isListening = message.error === undefined;
        resolve(message.error);
      });
      worker.on("error", (error) => {
        ended(messageOf(error));
      });
      worker.on("exit", (status) => {
        ended(`it left with status ${status.toFixed(0)}`);
      });
    });
  }

  #ended(name: string, cause: string): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#options.onFatal(new Error(`the thread ${name}, which served clients, ended: ${cause}`));
  }

  #receive(message: FromGateway, at: number, thread: GatewayThread): void {
    switch (message.kind) {
      case "work":
        thread.work(message);
        return;
      case "log":
        this.#options.logging.logger(message.pkg).log(message.level, message.message);
        return;
      case "access":
        for (const line of message.lines) this.#served?.accessLog.write(line);
        return;
      case "shed":
        this.onShed?.();
        return;
      case "storageFailed":
        this.#served?.server.storageFailed(new StoreError(message.code, message.message));
        return;
      case "password":
        void thread.password(message.id, message.job);
        return;
      case "forward":
        this.#internal.emit("connection", new PortStream(message.port, message.encrypted));
        return;
      case "counts": {
        this.#options.meter.add(message.counts);
        this.#bytes[at] = message.counts.bytes;
        this.#counting.get(message.id)?.();
        this.#counting.delete(message.id);
        return;
      }
      case "attached":
        this.#attached(message.generation);
        return;
      case "listening":
      case "closed":
    }
  }

  /** Has all threads read another store; resolves when none reads the old one any more. */
  #replace(incoming: StateMachine, old: StateMachine): Promise<void> {
    const generation = this.#cells.storeGeneration + 1;
    const done = new Promise<void>((resolve) => {
      this.#attaching.set(generation, { left: this.#threads.length, done: resolve });
    });
    this.#addReads();
    this.#shared.beginChange();
    old.share(undefined);
    this.#announce(incoming);
    incoming.share(this.#shared);
    this.#cells.authGeneration += 1;
    this.#shared.endChange();
    return this.#isClosing ? Promise.resolve() : done;
  }

  /** Tells of a store before its generation is one that must be known. */
  #announce(machine: StateMachine): void {
    const { kv, clock } = machine;
    if (!(kv instanceof RocksKv && clock instanceof SteadyClock)) {
      throw new Error("threads can read no store but the one on disk");
    }
    const generation = this.#cells.storeGeneration + 1;
    const message: StoreMessage = { generation, handle: kv.handle, offsetMs: clock.offsetMs };
    for (const { storePort } of this.#threads) storePort.postMessage(message);
    this.#cells.storeGeneration = generation;
  }

  #attached(generation: number): void {
    const attaching = this.#attaching.get(generation);
    if (attaching === undefined) return;
    attaching.left -= 1;
    if (attaching.left > 0) return;
    this.#attaching.delete(generation);
    attaching.done();
  }

  #addReads(): void {
    const { succeeded, failed } = this.#shared.takeReads();
    this.#served?.consensus.storage.machine.countReads(succeeded, failed);
  }
}
