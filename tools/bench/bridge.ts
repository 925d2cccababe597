/**
 * A bridge beside the JSON gateway of the very etcd v3 server that it serves from, driven by wrk in one
 * run: requests per second of PUT and GET at 64 connections, their ratio, PUT also beside the guarded
 * transaction that it needs, and the memory of the idle bridge. Needs `wrk` and etcd 3.4 or newer. Loopback only; ends everything it started.
 *
 *   node --conditions=etcd2-source tools/bench/bridge.ts [--seconds 5] [--rounds 3] [--reference /usr/bin/etcd]
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";

const run = promisify(execFile);
const program = join(import.meta.dirname, "../../apps/server/bin/etcd");
const START_TIMEOUT_MS = 30_000;
const CONNECTIONS = 64;
const KEYS = 1000;
const VALUE = "x".repeat(256);

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    rounds: { type: "string", default: "3" },
    reference: { type: "string", default: "/usr/bin/etcd" },
  },
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => {
        resolve(port);
      });
    });
  });
}

async function untilHealthy(url: string): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const isUp = await fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) return;
    if (performance.now() > deadline) throw new Error(`${url} does not become healthy`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The requests of wrk: the same keys and values on both sides. */
function scripts(): Readonly<Record<string, string>> {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const keys = Array.from({ length: KEYS }, (_, n) => `"${base64(`/v2/bench/${n}`)}"`);
  const next = `local n = 0\nlocal keys = { ${keys.join(",")} }\n`;
  const take = `n = n + 1\nlocal key = keys[n % ${KEYS} + 1]`;
  const json = `{ ["Content-Type"] = "application/json" }`;
  const form = `{ ["Content-Type"] = "application/x-www-form-urlencoded" }`;
  const body = `'{"key":"' .. key .. '","value":"${base64(VALUE)}"}'`;
  // What a bridge has the cluster do for a plain set: its guards, the value, the record of a value before.
  const version = (key: string, result: string, more = ""): string =>
    `{"target":"VERSION","version":"0","result":"${result}","key":"${base64(key)}"${more}}`;
  const guards = [
    version("/v2.etcd2/d/bench", "GREATER"),
    version("/v2.etcd2/d/bench/0", "EQUAL"),
    version("/v2/bench/0/", "EQUAL", `,"range_end":"${base64("/v2/bench/00")}"`),
  ];
  const put = `{"requestPut":{"key":"' .. key .. '","value":"${base64(VALUE)}","prev_kv":true}}`;
  const removal = `{"requestDeleteRange":{"key":"${base64("/v2.etcd2/f/bench/0")}","prev_kv":true}}`;
  const transaction = `'{"compare":[${guards.join(",")}],"success":[${put},${removal}]}'`;
  const path = `"/v2/keys/bench/" .. (n % ${KEYS})`;
  return {
    "gateway put": `${next}request = function() ${take}\nreturn wrk.format("POST", "/v3/kv/put", ${json}, ${body}) end`,
    "gateway guarded put": `${next}request = function() ${take}\nreturn wrk.format("POST", "/v3/kv/txn", ${json}, ${transaction}) end`,
    "bridge put": `local n = 0\nrequest = function() n = n + 1\nreturn wrk.format("PUT", ${path}, ${form}, "value=${VALUE}") end`,
    "gateway get": `${next}request = function() ${take}\nreturn wrk.format("POST", "/v3/kv/range", ${json}, '{"key":"' .. key .. '"}') end`,
    "bridge get": `local n = 0\nrequest = function() n = n + 1\nreturn wrk.format("GET", ${path}) end`,
    "bridge quorum get": `local n = 0\nrequest = function() n = n + 1\nreturn wrk.format("GET", ${path} .. "?quorum=true") end`,
  };
}

async function requestsPerSecond(script: string, url: string): Promise<number> {
  const args = ["-t1", `-c${CONNECTIONS}`, `-d${options.seconds}s`, "-s", script, url];
  const { stdout } = await run("wrk", args);
  if (stdout.includes("Non-2xx")) throw new Error(`errors while measuring ${script}:\n${stdout}`);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1] ?? Number.NaN);
}

function residentMiB(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024;
}

async function measure(directory: string, etcdUrl: string, bridgeUrl: string): Promise<void> {
  const totals = new Map<string, number>();
  // Makes the directory, for which the guarded transactions ask.
  const body = new URLSearchParams({ value: VALUE });
  const seeded = await fetch(`${bridgeUrl}/v2/keys/bench/0`, { method: "PUT", body });
  if (!seeded.ok) throw new Error(`the bridge answers ${seeded.status}`);
  for (let round = 0; round < Number(options.rounds); round += 1) {
    for (const [name, text] of Object.entries(scripts())) {
      const script = join(directory, `${name.replaceAll(" ", "-")}.lua`);
      writeFileSync(script, text);
      const url = name.startsWith("bridge") ? bridgeUrl : etcdUrl;
      totals.set(name, (totals.get(name) ?? 0) + (await requestsPerSecond(script, url)));
    }
  }
  const mean = (name: string): number => (totals.get(name) ?? 0) / Number(options.rounds);
  for (const [bridge, gateway] of [
    ["bridge put", "gateway put"],
    ["bridge put", "gateway guarded put"],
    ["bridge get", "gateway get"],
    ["bridge quorum get", "gateway get"],
  ] as const) {
    const ratio = (mean(bridge) / mean(gateway)).toFixed(2);
    const figures = `${mean(bridge).toFixed(0)}/s to ${mean(gateway).toFixed(0)}/s`;
    console.log(`${bridge}, ${CONNECTIONS} connections: ${ratio} of ${gateway} (${figures})`);
  }
}

const directory = mkdtempSync(join(tmpdir(), "etcd2-bridge-bench-"));
const children: ChildProcess[] = [];
try {
  const ports = [await freePort(), await freePort(), await freePort()];
  const [etcdUrl = "", peerUrl = "", bridgeUrl = ""] = ports.map(
    (port) => `http://127.0.0.1:${port}`,
  );
  const etcdFlags = [
    ["--data-dir", join(directory, "data"), "--initial-cluster", `default=${peerUrl}`],
    ["--listen-client-urls", etcdUrl, "--advertise-client-urls", etcdUrl],
    ["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
  ].flat();
  children.push(spawn(options.reference, etcdFlags, { stdio: "ignore" }));
  await untilHealthy(etcdUrl);
  const bridgeFlags = ["--v3-endpoints", etcdUrl, "--listen-client-urls", bridgeUrl];
  const bridge = spawn(program, [...bridgeFlags, "--advertise-client-urls", bridgeUrl], {
    stdio: "ignore",
  });
  children.push(bridge);
  await untilHealthy(bridgeUrl);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  console.log(`memory of the idle bridge: ${residentMiB(bridge.pid).toFixed(0)} MiB`);
  await measure(directory, etcdUrl, bridgeUrl);
  console.log(`memory of the bridge afterwards: ${residentMiB(bridge.pid).toFixed(0)} MiB`);
} finally {
  for (const child of children) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
}
