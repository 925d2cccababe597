/**
 * A thread that serves clients: an entry point of its own. It has its share of the connections, TLS,
 * HTTP, access checks, reads and watches to itself, and asks the thread that runs consensus for the rest.
 */
import { MessageChannel, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { createKeysApp, type PasswordHasher, WATCH_BYTES_MAX } from "@etcd2/api-v2";
import { CountingMeter, createLogger, type Logger } from "@etcd2/observability";
import { SharedState, type SharedStore, SteadyClock } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import { messageOf } from "../base/message-of.ts";
import { httpListeners } from "../listeners/client-ports.ts";
import type { ClientListeners } from "../listeners/listeners.ts";
import { pageOptions } from "../listeners/page-options.ts";
import { whileServing } from "../listeners/while-serving.ts";
import { withRequestLines } from "../logging/request-lines.ts";
import { PasswordError } from "../passwords/passwords.ts";
import type { PasswordJob } from "../passwords/password-worker.ts";
import { clientSideAgain } from "../tls/tls-sides.ts";
import type { TlsSide } from "../tls/tls-side.ts";
import { Cells } from "./cells.ts";
import { createForward } from "./forward.ts";
import type { FromGateway, GatewaySettings, StoreMessage, ToGateway } from "./messages.ts";
import { PortStream } from "./port-stream.ts";
import { ThreadServer } from "./thread-server.ts";

/** Lines of the access log are handed over this often. */
const ACCESS_INTERVAL_MS = 50;

/** At most one word about connections that were closed at once in this time. */
const SHED_INTERVAL_MS = 1000;

const settings = workerData as GatewaySettings;
const { config, thread, storePort } = settings;
const shared = new SharedState(settings.sharedState);
const cells = new Cells(settings.threads, settings.cells);
const meter = new CountingMeter();

function post(message: FromGateway): void {
  parentPort?.postMessage(message);
}

/** A logger whose lines the other thread writes. */
function postingLogger(pkg: string): Logger {
  return createLogger(
    (level, message) => {
      post({ kind: "log", pkg, level, message });
    },
    (level) => (level === "debug" || level === "trace" ? cells.logsRequests : true),
  );
}

/** The store of now, which the other thread may replace. */
class CurrentStore {
  #store: (SharedStore & { readonly kv: RocksKv }) | undefined;
  #generation = 0;
  onReplaced: (() => void) | undefined;

  constructor() {
    storePort.on("message", (message: StoreMessage) => {
      this.#use(message);
    });
  }

  /** It was announced before its generation was. */
  readonly current = (): SharedStore => {
    while (this.#generation < cells.storeGeneration) {
      const received = receiveMessageOnPort(storePort);
      if (received === undefined) break;
      this.#use(received.message as StoreMessage);
    }
    if (this.#store === undefined) throw new Error("no store is open yet");
    return this.#store;
  };

  async close(): Promise<void> {
    storePort.close();
    await this.#store?.kv.close();
  }

  #use({ generation, handle, offsetMs }: StoreMessage): void {
    const old = this.#store;
    this.#store = { kv: RocksKv.attach(handle), clock: SteadyClock.withOffset(offsetMs) };
    this.#generation = generation;
    void old?.kv.close();
    post({ kind: "attached", generation });
    // Whoever asked for the store may be in the middle of something.
    if (old !== undefined) setImmediate(() => this.onReplaced?.());
  }
}

/** Passwords are the business of one thread for all. */
class RemotePasswords implements PasswordHasher {
  readonly #waiting = new Map<
    number,
    { readonly resolve: (value: string | boolean) => void; readonly reject: (error: Error) => void }
  >();
  #lastId = 0;

  async hash(password: Uint8Array): Promise<string> {
    return String(await this.#ask({ kind: "hash", password, cost: config.bcryptCost }));
  }

  async verify(password: Uint8Array, hash: string): Promise<boolean> {
    return (await this.#ask({ kind: "verify", password, hash })) === true;
  }

  answered({ id, result, code }: ToGateway & { kind: "password" }): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (result.ok) waiting?.resolve(result.value);
    else waiting?.reject(new PasswordError(code ?? "worker", result.error));
  }

  #ask(job: PasswordJob): Promise<string | boolean> {
    this.#lastId += 1;
    const id = this.#lastId;
    post({ kind: "password", id, job });
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
  }
}

let shedToldAtMs = Number.NEGATIVE_INFINITY;

function createListeners(tls: TlsSide | undefined): ClientListeners {
  const accepted = meter.counter("etcd2_client_connections_accepted_total");
  const shed = meter.counter("etcd2_client_connections_shed_total");
  const swept = meter.counter("etcd2_client_connections_swept_total");
  return httpListeners(config.listenClientUrls, tls, {
    connectionsMax: settings.connectionsMax,
    isShared: true,
    gauge: {
      get open() {
        return cells.connections;
      },
      entered: () => cells.addConnections(1),
      left: () => {
        cells.addConnections(-1);
      },
    },
    onConnection: () => {
      accepted.add(1);
    },
    onShed: () => {
      shed.add(1);
      const now = performance.now();
      if (now - shedToldAtMs < SHED_INTERVAL_MS) return;
      shedToldAtMs = now;
      post({ kind: "shed" });
    },
    onSwept: () => {
      swept.add(1);
    },
  });
}

/** One thread that serves clients, from its listeners to its end. */
class Gateway {
  readonly #listeners: ClientListeners;
  readonly #tls: TlsSide | undefined;
  readonly #store = new CurrentStore();
  readonly #passwords = new RemotePasswords();
  #server: ThreadServer | undefined;
  #condemned = "";
  #accessLines: string[] = [];
  #accessTimer: NodeJS.Timeout | undefined;

  constructor(listeners: ClientListeners, tls: TlsSide | undefined) {
    this.#listeners = listeners;
    this.#tls = tls;
  }

  readonly receive = (message: ToGateway): void => {
    switch (message.kind) {
      case "answers":
        this.#server?.answered(message);
        return;
      case "open":
        void this.#open(message.clusterId);
        return;
      case "condemned":
        this.#condemned = message.reason;
        this.#server?.hub.close();
        return;
      case "password":
        this.#passwords.answered(message);
        return;
      case "count":
        this.#postCounts(message.id);
        return;
      case "close":
        void this.#close(message.graceMs);
    }
  };

  async #open(clusterId: string): Promise<void> {
    const server = new ThreadServer({
      ...{ clusterId, shared, cells, meter, post },
      log: postingLogger("etcdhttp"),
      store: this.#store.current,
      passwords: this.#passwords,
    });
    this.#server = server;
    this.#store.onReplaced = () => {
      server.storeReplaced();
    };
    const app = createKeysApp(
      server,
      {
        ...pageOptions(config),
        pprof: false,
        watchesMax: config.clientWatchersMax,
        watchBytesMax: Math.floor(WATCH_BYTES_MAX / settings.threads),
        watchGauge: {
          get open() {
            return cells.watches;
          },
          entered: () => {
            // What came before this thread was known to have a watch has been told to nobody.
            if (cells.addWatches(thread, 1) === 1)
              setImmediate(() => {
                server.news();
              });
          },
          left: () => {
            cells.addWatches(thread, -1);
          },
        },
      },
      createForward((request) => {
        const { port1, port2 } = new MessageChannel();
        const { encrypted = false } = request.socket as { encrypted?: boolean };
        parentPort?.postMessage({ kind: "forward", port: port2, encrypted } satisfies FromGateway, [
          port2,
        ]);
        return new PortStream(port1);
      }),
    );
    const logged = config.accessLog === "" ? app : await this.#withAccessLog(app);
    const serving = whileServing(logged, () => this.#condemned);
    this.#listeners.open(withRequestLines(serving, postingLogger("etcdhttp")));
  }

  async #withAccessLog(handler: Parameters<typeof whileServing>[0]): Promise<typeof handler> {
    const { withAccessLog } = await import("../logging/access-log.ts");
    return withAccessLog(handler, {
      write: (line) => {
        this.#accessLines.push(line);
        this.#accessTimer ??= setTimeout(this.#handOverLines, ACCESS_INTERVAL_MS).unref();
      },
      close: () => undefined,
    });
  }

  readonly #handOverLines = (): void => {
    clearTimeout(this.#accessTimer);
    this.#accessTimer = undefined;
    if (this.#accessLines.length > 0) post({ kind: "access", lines: this.#accessLines });
    this.#accessLines = [];
  };

  #postCounts(id: number): void {
    post({ kind: "counts", id, counts: { ...meter.take(), bytes: this.#listeners.bytes() } });
  }

  async #close(graceMs: number): Promise<void> {
    this.#server?.hub.close();
    await this.#listeners.close(graceMs);
    this.#handOverLines();
    this.#postCounts(0);
    this.#tls?.close();
    await this.#store.close();
    post({ kind: "closed" });
    parentPort?.close();
  }
}

async function start(): Promise<void> {
  const tls = await clientSideAgain(config, settings, postingLogger("etcdmain"));
  const listeners = createListeners(tls);
  await listeners.listen();
  const gateway = new Gateway(listeners, tls);
  parentPort?.on("message", gateway.receive);
}

void start().then(
  () => {
    post({ kind: "listening", error: undefined });
  },
  (error: unknown) => {
    post({ kind: "listening", error: messageOf(error) });
    parentPort?.close();
  },
);
