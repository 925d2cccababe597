/**
 * `npm run bench`: our built server and, in the same run, the distribution's etcd 3.4 with
 * --enable-v2, driven by wrk; prints requests per second and their ratio. This machine may be
 * shared and noisy, so only the ratio of one run means something. Needs `wrk` and etcd 3.4
 * (Debian: wrk, etcd-server). Loopback only; ends everything it started.
 *
 *   npm run bench -- [--seconds 5] [--rounds 3] [--only put-64,get-64] [--members 3]
 *                    [--reference /usr/bin/etcd]
 */
import type { ChildProcess } from "node:child_process";
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";

const root = join(import.meta.dirname, "..", "..");
const run = promisify(execFile);

interface Workload {
  readonly name: string;
  readonly connections: number;
  /** Body of wrk's request(); `n` is a counter. */
  readonly script: string;
  /** Ask a follower instead of the leader. */
  readonly follower: boolean;
}

const VALUE = "x".repeat(256);
const put = `
local n = 0
local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
request = function()
  n = n + 1
  return wrk.format("PUT", "/v2/keys/bench/" .. (n % 10000), headers, "value=${VALUE}")
end`;
const read = (query: string): string => `
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/v2/keys/bench/" .. (n % 1000) .. "${query}")
end`;

function workloads(members: number): readonly Workload[] {
  const follower = members > 1;
  return [
    { name: "put-1", connections: 1, script: put, follower: false },
    { name: "put-64", connections: 64, script: put, follower: false },
    { name: "put-256", connections: 256, script: put, follower: false },
    { name: "get-1", connections: 1, script: read(""), follower: false },
    { name: "get-64", connections: 64, script: read(""), follower: false },
    { name: "qget-64", connections: 64, script: read("?quorum=true"), follower },
  ];
}

interface Cluster {
  readonly name: string;
  readonly children: readonly ChildProcess[];
  readonly clients: readonly string[];
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
  const children = Array.from({ length: members }, (_, at) =>
    spawn(
      command,
      [
        ...["--name", `m${at}`, "--data-dir", join(directory, `m${at}`)],
        ...["--listen-client-urls", client(at), "--advertise-client-urls", client(at)],
        ...["--listen-peer-urls", peer(at), "--initial-advertise-peer-urls", peer(at)],
        ...["--initial-cluster", initial, ...extra],
      ],
      { stdio: "ignore" },
    ),
  );
  const clients = children.map((_, at) => client(at));
  for (const url of clients) await waitHealthy(url);
  return { name, children, clients, directory };
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
}

async function measure(url: string, workload: Workload, seconds: number): Promise<Measured> {
  const script = join(tmpdir(), `bench-${process.pid}.lua`);
  writeFileSync(script, workload.script);
  const { connections } = workload;
  const args = [
    "-t",
    "1",
    "-c",
    String(connections),
    "-d",
    `${seconds}s`,
    "--latency",
    "-s",
    script,
  ];
  const { stdout } = await run("wrk", [...args, url]);
  rmSync(script);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  if (rate === undefined) throw new Error(`wrk said:\n${stdout}`);
  if (/Non-2xx/.test(stdout))
    console.error(`warning: ${workload.name}: ${/Non-2xx.*/.exec(stdout)?.[0] ?? ""}`);
  return { perSecond: Number(rate), p99: /99%\s+(\S+)/.exec(stdout)?.[1] ?? "?" };
}

function median(results: readonly Measured[]): Measured {
  const sorted = results.toSorted((a, b) => a.perSecond - b.perSecond);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error("nothing was measured");
  return middle;
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
    },
  });
  const members = Number(values.members);
  const wanted = values.only === "" ? undefined : new Set(values.only.split(","));
  const chosen = workloads(members).filter((w) => wanted === undefined || wanted.has(w.name));
  const ours = join(root, "apps/server/bin/etcd");
  await checkReference(values.reference);
  const clusters: Cluster[] = [];
  try {
    clusters.push(await startCluster("etcd2", ours, [], members, 23_790));
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
    const warm = { name: "warm", connections: 8, script: put, follower: false };
    for (const cluster of clusters)
      await measure(cluster.clients[await leaderAt(cluster)] ?? "", warm, 2);
    console.log(`${members} member(s), ${values.seconds} s a round, median of ${values.rounds}`);
    console.log("workload     etcd2/s  (p99)      etcd 3.4/s  (p99)      ratio");
    for (const workload of chosen) {
      const results = clusters.map((): Measured[] => []);
      for (let round = 0; round < Number(values.rounds); round += 1) {
        for (const [at, cluster] of clusters.entries()) {
          const leader = await leaderAt(cluster);
          const target = workload.follower ? (leader + 1) % members : leader;
          results[at]?.push(
            await measure(cluster.clients[target] ?? "", workload, Number(values.seconds)),
          );
        }
      }
      const [a, b] = results.map(median);
      if (a === undefined || b === undefined) continue;
      const columns = [
        workload.name.padEnd(12),
        a.perSecond.toFixed(0).padStart(7),
        ` (${a.p99})`.padEnd(12),
        b.perSecond.toFixed(0).padStart(10),
        ` (${b.p99})`.padEnd(13),
        (a.perSecond / b.perSecond).toFixed(2).padStart(6),
      ];
      console.log(columns.join(""));
    }
  } finally {
    for (const cluster of clusters) await stopCluster(cluster);
  }
}

await main();
