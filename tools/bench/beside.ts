/**
 * `npm run bench:beside`: how long one large request keeps the small ones of others waiting. While a
 * thread of its own makes the large request, small reads and writes go on over two connections, one
 * after the other; the slowest of each is what counts. Our built server, and with --reference also
 * the distribution's etcd 3.4 in the same run. Loopback only; ends everything it started.
 *
 *   npm run bench:beside -- [--rounds 5] [--only tree-delete,tree-get] [--reference /usr/bin/etcd]
 *                           [--bound 20]
 *
 * With --bound the status is 1 when the median over the rounds of the slowest small read beside a
 * large request is above so many milliseconds.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, type ClientRequest, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { freePort } from "@etcd2/test-support";

const root = join(import.meta.dirname, "..", "..");

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
}

interface Scenario {
  readonly name: string;
  /** What is there before the large request. */
  readonly prepare: (server: Server) => Promise<void>;
  readonly large: Asked;
  /** Goes on measuring until this says that the work is done; by default until the answer is there. */
  readonly isDone?: (server: Server) => Promise<boolean>;
}

/** One exchange; the body of the answer is counted and thrown away. */
function exchange(base: string, agent: Agent, asked: Asked): Promise<number> {
  return new Promise((resolve, reject) => {
    const { method, path, body = "" } = asked;
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const sent: ClientRequest = request(base + path, { method, agent, headers }, (answer) => {
      answer.resume();
      answer.on("end", () => {
        resolve(answer.statusCode ?? 0);
      });
    });
    sent.on("error", reject);
    if (method === "PUT" || method === "POST") sent.setHeader("Content-Length", body.length);
    sent.end(body);
  });
}

class Server {
  readonly base: string;
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  private constructor(base: string, child: ChildProcess, directory: string) {
    this.base = base;
    this.#child = child;
    this.#directory = directory;
  }

  static async start(command: string, extra: readonly string[]): Promise<Server> {
    const directory = mkdtempSync(join(tmpdir(), "bench-beside-"));
    const [client, peer] = [await freePort(), await freePort()].map(
      (port) => `http://127.0.0.1:${port}`,
    );
    const urls = ["--listen-client-urls", "--advertise-client-urls"].flatMap((flag) => [
      flag,
      client ?? "",
    ]);
    const peers = ["--listen-peer-urls", "--initial-advertise-peer-urls"].flatMap((flag) => [
      flag,
      peer ?? "",
    ]);
    const args = ["--name", "m", "--data-dir", join(directory, "m"), ...urls, ...peers];
    args.push("--initial-cluster", `m=${peer ?? ""}`, ...extra);
    const child = spawn(command, args, { stdio: "ignore" });
    const server = new Server(client ?? "", child, directory);
    for (const deadline = Date.now() + 30_000; Date.now() < deadline;) {
      const status = await server
        .ask({ method: "GET", path: "/v2/keys/?quorum=true" })
        .catch(() => 0);
      if (status === 200) return server;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await server.stop();
    throw new Error(`${command} did not come up`);
  }

  ask(asked: Asked): Promise<number> {
    return exchange(this.base, this.#agent, asked);
  }

  /** Sends many requests, 64 at a time. */
  async askAll(many: Iterable<Asked>): Promise<void> {
    const queue = many[Symbol.iterator]();
    const lane = async (): Promise<void> => {
      for (let next = queue.next(); next.done !== true; next = queue.next()) {
        const status = await this.ask(next.value);
        if (status >= 300) throw new Error(`${next.value.method} ${next.value.path}: ${status}`);
      }
    };
    await Promise.all(Array.from({ length: 64 }, lane));
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    if (this.#child.exitCode === null && this.#child.kill("SIGKILL")) await gone;
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function* puts(count: number, path: (at: number) => string, more = ""): Generator<Asked> {
  for (let at = 0; at < count; at++) {
    yield { method: "PUT", path: `/v2/keys${path(at)}`, body: `value=${"v".repeat(100)}${more}` };
  }
}

const DEEP = "/a".repeat(1000);
const tree = (at: number): string => `/big/d${at % 100}/key-${at}`;

const SCENARIOS: readonly Scenario[] = [
  {
    name: "tree-get",
    prepare: (server) => server.askAll(puts(20_000, tree)),
    large: { method: "GET", path: "/v2/keys/big?recursive=true" },
  },
  {
    name: "tree-delete",
    prepare: (server) => server.askAll(puts(20_000, tree)),
    large: { method: "DELETE", path: "/v2/keys/big?recursive=true" },
  },
  {
    name: "small-tree-delete",
    prepare: (server) => server.askAll(puts(4000, tree)),
    large: { method: "DELETE", path: "/v2/keys/big?recursive=true" },
  },
  {
    name: "flat-get",
    prepare: (server) => server.askAll(puts(20_000, (at) => `/big/${at}`)),
    large: { method: "GET", path: "/v2/keys/big" },
  },
  {
    name: "hidden-get",
    prepare: (server) => server.askAll(puts(20_000, (at) => `/big/_${at}`)),
    large: { method: "GET", path: "/v2/keys/big" },
  },
  {
    name: "swept-get",
    prepare: async (server) => {
      await server.askAll(puts(20_000, (at) => `/big/${at}`));
      await server.ask({ method: "DELETE", path: "/v2/keys/big?recursive=true" });
    },
    large: { method: "GET", path: "/v2/keys/?recursive=true" },
  },
  {
    name: "deep-put",
    prepare: () => Promise.resolve(),
    large: { method: "PUT", path: `/v2/keys/big${DEEP.slice(2)}`, body: "value=v" },
  },
  {
    name: "deep-get",
    prepare: (server) => server.askAll(puts(1, () => `/big${DEEP.slice(2)}`)),
    large: { method: "GET", path: "/v2/keys/big?recursive=true" },
  },
  {
    name: "deep-delete",
    prepare: (server) => server.askAll(puts(1, () => `/big${DEEP.slice(2)}`)),
    large: { method: "DELETE", path: "/v2/keys/big?recursive=true" },
  },
  {
    name: "expiry",
    prepare: async (server) => {
      await server.askAll(puts(10_000, (at) => `/big/d/${at}`, "&ttl=1000"));
      await server.askAll(puts(10_000, (at) => `/big/d/${at}`, "&ttl=1"));
    },
    large: { method: "GET", path: "/v2/keys/big" },
    isDone: async (server) =>
      (await server.ask({ method: "GET", path: "/v2/keys/big/d/9999" })) === 404,
  },
  {
    name: "history-watch",
    prepare: async (server) => {
      await server.askAll(puts(20_000, (at) => `/other/${at % 100}`));
      await server.ask({ method: "PUT", path: "/v2/keys/big", body: "value=v" });
    },
    large: { method: "GET", path: "/v2/keys/big?wait=true&waitIndex=10" },
  },
  {
    name: "large-value",
    prepare: () => Promise.resolve(),
    large: { method: "PUT", path: "/v2/keys/big", body: `value=${"v".repeat(1 << 20)}` },
  },
];

interface Slowest {
  readonly readMs: number;
  readonly writeMs: number;
  readonly largeMs: number;
}

/** The slowest of the small requests that were under way beside a large one. */
async function beside(server: Server, scenario: Scenario): Promise<Slowest> {
  const { large, isDone } = scenario;
  let isOver = false;
  const probe = async (asked: Asked): Promise<number> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    let slowest = 0;
    for (let count = 0; !isOver || count < 10; count++) {
      const begun = performance.now();
      await exchange(server.base, agent, asked);
      // The first ones warm up the connection.
      if (count > 2) slowest = Math.max(slowest, performance.now() - begun);
    }
    agent.destroy();
    return slowest;
  };
  const reads = probe({ method: "GET", path: "/v2/keys/small" });
  const writes = probe({ method: "PUT", path: "/v2/keys/small", body: "value=s" });
  const begun = performance.now();
  const worker = new Worker(new URL(import.meta.url), { workerData: { base: server.base, large } });
  await new Promise((resolve) => worker.once("message", resolve));
  const asked = performance.now();
  worker.postMessage("go");
  const largeMs = await new Promise<number>((resolve, reject) => {
    worker.once("message", () => {
      resolve(performance.now() - asked);
    });
    worker.once("error", reject);
  });
  while (isDone !== undefined && !(await isDone(server))) {
    if (performance.now() - begun > 60_000) throw new Error(`${scenario.name} did not end`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // What goes on in slices after the answer counts too.
  await new Promise((resolve) => setTimeout(resolve, 300));
  isOver = true;
  const [readMs, writeMs] = await Promise.all([reads, writes]);
  return { readMs, writeMs, largeMs };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

async function measure(server: Server, scenario: Scenario, rounds: number): Promise<Slowest> {
  const all: Slowest[] = [];
  for (let round = 0; round < rounds; round++) {
    await server.ask({ method: "DELETE", path: "/v2/keys/big?recursive=true" });
    await scenario.prepare(server);
    all.push(await beside(server, scenario));
  }
  return {
    readMs: median(all.map((one) => one.readMs)),
    writeMs: median(all.map((one) => one.writeMs)),
    largeMs: median(all.map((one) => one.largeMs)),
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "5" },
      only: { type: "string", default: "" },
      reference: { type: "string", default: "" },
      bound: { type: "string", default: "" },
    },
  });
  const wanted = values.only === "" ? undefined : new Set(values.only.split(","));
  const chosen = SCENARIOS.filter(({ name }) => wanted === undefined || wanted.has(name));
  const servers: [string, Server][] = [];
  let isAbove = false;
  try {
    servers.push(["etcd2", await Server.start(join(root, "apps/server/bin/etcd"), [])]);
    if (values.reference !== "") {
      const extra = ["--enable-v2", "--logger", "zap", "--log-outputs", "/dev/null"];
      servers.push(["etcd 3.4", await Server.start(values.reference, extra)]);
    }
    for (const [, server] of servers) await server.ask({ method: "PUT", path: "/v2/keys/small" });
    console.log("slowest small read, slowest small write, the large request; medians in ms");
    for (const scenario of chosen) {
      let line = scenario.name.padEnd(18);
      for (const [name, server] of servers) {
        const { readMs, writeMs, largeMs } = await measure(server, scenario, Number(values.rounds));
        const figures = [readMs, writeMs, largeMs].map((ms) => ms.toFixed(1).padStart(8)).join("");
        line += `  ${name}${figures}`;
        if (name === "etcd2" && values.bound !== "") isAbove ||= readMs > Number(values.bound);
      }
      console.log(line);
    }
  } finally {
    for (const [, server] of servers) await server.stop();
  }
  if (isAbove) process.exitCode = 1;
}

if (isMainThread) {
  await main();
} else {
  const { base, large } = workerData as { readonly base: string; readonly large: Asked };
  parentPort?.once("message", () => {
    void exchange(base, new Agent(), large).then((status) => {
      parentPort?.postMessage(status);
      parentPort?.close();
    });
  });
  parentPort?.postMessage("ready");
}
