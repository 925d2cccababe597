/**
 * `npm run bench`: our built server and, in the same run, the distribution's etcd 3.4 with
 * --enable-v2, driven by wrk; prints requests per second, their ratio, and the processor time of a
 * request: of the process, and of its main thread, which is what more cores cannot share (the
 * reference has no such thread). This machine may be shared and noisy, so only the ratio of one run
 * means something. Needs `wrk` and etcd 3.4 (Debian: wrk, etcd-server). Loopback only; ends
 * everything it started.
 *
 *   npm run bench -- [--seconds 5] [--rounds 3] [--only put-64,get-64] [--members 3]
 *                    [--reference /usr/bin/etcd] [--flags "--snapshot-count 50000"]
 */
import type { ChildProcess } from "node:child_process";
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { processorSeconds } from "./processor-time.ts";
import { warmUp, workloads, type Workload } from "./workloads.ts";

const root = join(import.meta.dirname, "..", "..");
const run = promisify(execFile);

interface Cluster {
  readonly name: string;
  readonly children: readonly ChildProcess[];
  readonly clients: readonly string[];
  readonly secureClients: readonly string[];
  readonly directory: string;
}

function fetchText(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text += part));
      response.on("end", () => {
        resolve(text);
      });
    }).on("error", reject);
  });
}

async function waitHealthy(url: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      if ((await fetchText(`${url}/health`)).includes("true")) return;
    } catch {
      // Not listening yet.
    }
    if (Date.now() > deadline) throw new Error(`${url} did not become healthy`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function startCluster(
  name: string,
  command: string,
  extra: readonly string[],
  members: number,
  portBase: number,
): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), `bench-${name}-`));
  const peer = (at: number): string => `http://127.0.0.1:${portBase + 100 + at}`;
  const client = (at: number): string => `http://127.0.0.1:${portBase + at}`;
  const initial = Array.from({ length: members }, (_, at) => `m${at}=${peer(at)}`).join(",");
  const secure = (at: number): string => `https://127.0.0.1:${portBase + 50 + at}`;
  const children = Array.from({ length: members }, (_, at) =>
    spawn(
      command,
      [
        ...["--name", `m${at}`, "--data-dir", join(directory, `m${at}`)],
        ...["--listen-client-urls", `${client(at)},${secure(at)}`, "--auto-tls"],
        ...["--advertise-client-urls", client(at)],
        ...["--listen-peer-urls", peer(at), "--initial-advertise-peer-urls", peer(at)],
        ...["--initial-cluster", initial, ...extra],
      ],
      { stdio: "ignore" },
    ),
  );
  const clients = children.map((_, at) => client(at));
  for (const url of clients) await waitHealthy(url);
  const secureClients = children.map((_, at) => secure(at));
  return { name, children, clients, secureClients, directory };
}

async function stopCluster(cluster: Cluster): Promise<void> {
  const gone = cluster.children.map(
    (child) =>
      new Promise<void>((resolve) =>
        child.once("exit", () => {
          resolve();
        }),
      ),
  );
  for (const child of cluster.children) child.kill("SIGKILL");
  await Promise.all(gone);
  rmSync(cluster.directory, { recursive: true, force: true });
}

async function leaderAt(cluster: Cluster): Promise<number> {
  for (const [at, url] of cluster.clients.entries()) {
    if ((await fetchText(`${url}/v2/stats/self`)).includes("StateLeader")) return at;
  }
  return 0;
}

interface Measured {
  readonly perSecond: number;
  readonly p99: string;
  /** Microseconds of processor time of the member asked, for each request. */
  readonly totalMicros: number;
  /** The part of its main thread. */
  readonly mainMicros: number;
}

async function measure(
  cluster: Cluster,
  at: number,
  workload: Workload,
  seconds: number,
): Promise<Measured> {
  const script = join(tmpdir(), `bench-${process.pid}.lua`);
  writeFileSync(script, workload.script);
  const { connections, secure } = workload;
  const url = (secure ? cluster.secureClients : cluster.clients)[at] ?? "";
  const pid = cluster.children[at]?.pid ?? 0;
  const before = processorSeconds(pid);
  const { stdout } = await run("wrk", [
    ...["-t", "1", "-c", String(connections), "-d", `${seconds}s`],
    ...["--latency", "-s", script, url],
  ]);
  const after = processorSeconds(pid);
  rmSync(script);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  if (rate === undefined) throw new Error(`wrk said:\n${stdout}`);
  if (/Non-2xx/.test(stdout))
    console.error(`warning: ${workload.name}: ${/Non-2xx.*/.exec(stdout)?.[0] ?? ""}`);
  return {
    perSecond: Number(rate),
    p99: /99%\s+(\S+)/.exec(stdout)?.[1] ?? "?",
    totalMicros: ((after.total - before.total) * 1e6) / requests,
    mainMicros: ((after.main - before.main) * 1e6) / requests,
  };
}

function median(results: readonly Measured[]): Measured {
  const sorted = results.toSorted((a, b) => a.perSecond - b.perSecond);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error("nothing was measured");
  return middle;
}

function row(name: string, a: Measured, b: Measured): string {
  return [
    name.padEnd(13),
    a.perSecond.toFixed(0).padStart(7),
    ` (${a.p99})`.padEnd(12),
    a.totalMicros.toFixed(1).padStart(9),
    a.mainMicros.toFixed(1).padStart(9),
    b.perSecond.toFixed(0).padStart(12),
    ` (${b.p99})`.padEnd(12),
    b.totalMicros.toFixed(1).padStart(9),
    (a.perSecond / b.perSecond).toFixed(2).padStart(8),
  ].join("");
}

/** Under npm the path begins with our own programs, so the reference is named and asked who it is. */
async function checkReference(command: string): Promise<void> {
  const { stdout } = await run(command, ["--version"]);
  if (!stdout.startsWith("etcd Version: 3.4.")) {
    throw new Error(`${command} is not etcd 3.4 but says: ${stdout.split("\n", 1)[0] ?? ""}`);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      reference: { type: "string", default: "/usr/bin/etcd" },
      seconds: { type: "string", default: "5" },
      rounds: { type: "string", default: "3" },
      only: { type: "string", default: "" },
      members: { type: "string", default: "1" },
      flags: { type: "string", default: "" },
    },
  });
  const members = Number(values.members);
  const wanted = values.only === "" ? undefined : new Set(values.only.split(","));
  const chosen = workloads(members).filter((w) => wanted === undefined || wanted.has(w.name));
  const flags = values.flags.split(" ").filter((word) => word !== "");
  const ours = join(root, "apps/server/bin/etcd");
  await checkReference(values.reference);
  const clusters: Cluster[] = [];
  try {
    clusters.push(await startCluster("etcd2", ours, flags, members, 23_790));
    clusters.push(
      await startCluster(
        "etcd3.4",
        values.reference,
        ["--enable-v2", "--logger", "zap", "--log-outputs", "/dev/null"],
        members,
        24_790,
      ),
    );
    // Every key is there before anything is read.
    for (const cluster of clusters) await measure(cluster, await leaderAt(cluster), warmUp, 2);
    console.log(`${members} member(s), ${values.seconds} s a round, median of ${values.rounds}`);
    console.log(
      "               etcd2                                       etcd 3.4\n" +
        "workload       req/s   (p99)       CPU µs  main µs       req/s (p99)        CPU µs   ratio",
    );
    for (const workload of chosen) {
      const results = clusters.map((): Measured[] => []);
      for (let round = 0; round < Number(values.rounds); round += 1) {
        for (const [at, cluster] of clusters.entries()) {
          const leader = await leaderAt(cluster);
          const target = workload.follower ? (leader + 1) % members : leader;
          results[at]?.push(await measure(cluster, target, workload, Number(values.seconds)));
        }
      }
      const [a, b] = results.map(median);
      if (a === undefined || b === undefined) continue;
      console.log(row(workload.name, a, b));
    }
  } finally {
    for (const cluster of clusters) await stopCluster(cluster);
  }
}

await main();
