// `npm start`: installs what is missing, bundles the programs where they are older than their sources,
// and becomes one server. Types are not checked here: `npm run build` and `npm test` do that.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { ensureInstalled, root, runWithProgress, runtime } from "./ensure-installed.mjs";

const programs = ["apps/server", "apps/etcdctl", "apps/migrate"];
const sources = [
  "proto",
  "libs",
  "apps",
  "tools/bundle.mjs",
  "package-lock.json",
  "tsconfig.base.json",
];
/** Next to those of clients and peers, 2379 and 2380. */
const CONSOLE_PORT = 2381;
const skipped = new Set(["node_modules", "dist", "bundle", "gen", "test"]);

function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  let latest = 0;
  for (const name of readdirSync(path)) {
    if (!skipped.has(name)) latest = Math.max(latest, newest(join(path, name)));
  }
  return latest;
}

function isBuilt() {
  const bundles = programs.map((dir) => join(root, dir, "bundle", "start.cjs"));
  if (!bundles.every((file) => existsSync(file))) return false;
  const oldest = Math.min(...bundles.map((file) => statSync(file).mtimeMs));
  return sources.every((path) => newest(join(root, path)) <= oldest);
}

await ensureInstalled({ forStart: true });
if (!isBuilt()) {
  // The server carries the files of the console.
  await runWithProgress("bundling the console", [[runtime, join(root, "apps/console/build.mjs")]]);
  const bundle = (folder) => [runtime, join(root, "tools/bundle.mjs"), join(root, folder)];
  await runWithProgress("bundling the programs", programs.map(bundle));
}

/** The console is opened on localhost unless somebody said otherwise, or its port is taken. */
async function consoleUrl() {
  const said = /^--?(?:listen-console-urls|config-file|proxy|v3-endpoints)(?:=|$)/;
  const names = ["LISTEN_CONSOLE_URLS", "CONFIG_FILE", "PROXY", "V3_ENDPOINTS"];
  if (process.argv.some((word) => said.test(word))) return undefined;
  if (names.some((name) => process.env[`ETCD_${name}`] !== undefined)) return undefined;
  const probe = createServer();
  const isFree = await new Promise((resolve) => {
    probe.once("error", () => resolve(false));
    probe.listen({ host: "localhost", port: CONSOLE_PORT }, () => resolve(true));
  });
  if (isFree) await new Promise((resolve) => probe.close(resolve));
  return isFree ? `http://localhost:${CONSOLE_PORT}` : undefined;
}

const opened = await consoleUrl();
// npm runs scripts in the package's folder; the data directory belongs where the user stands.
const cwd = process.env.INIT_CWD ?? process.cwd();
const child = spawn(join(root, "apps/server/bin/etcd"), process.argv.slice(2), {
  cwd,
  stdio: ["inherit", "inherit", "inherit", "ipc"],
  env: { ...process.env, ...(opened !== undefined && { ETCD_LISTEN_CONSOLE_URLS: opened }) },
});

/** What can be done with the server that has just started: `ready` is what it told. */
function showWhatNext(ready) {
  const [client = ""] = ready.clientUrls;
  const path = relative(cwd, join(root, "node_modules/.bin/etcdctl"));
  // The client looks at these ports by itself.
  const isUsual = /^http:\/\/(?:localhost|127\.0\.0\.1):(?:2379|4001)$/.test(client);
  const etcdctl = isUsual ? path : `${path} --endpoints ${client}`;
  const lines = ["", "etcd2 is ready.", `  clients: ${ready.clientUrls.join(" ")}`];
  if (ready.consoleUrls.length > 0) lines.push(`  console: ${ready.consoleUrls.join(" ")}`);
  if (client.startsWith("http://")) {
    lines.push(
      "Try in another terminal:",
      `  ${etcdctl} set greeting "hello world"`,
      `  ${etcdctl} get greeting`,
      `  curl ${client}/v2/keys/greeting`,
    );
  }
  console.error([...lines, "Ctrl-C stops it.", ""].join("\n"));
}
child.on("message", (message) => {
  if (message?.type === "etcd2-ready") showWhatNext(message);
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
// npm ends by a signal without passing it on; the server ends with it all the same.
const parent = process.ppid;
const watch = setInterval(() => {
  if (process.ppid !== parent) child.kill("SIGTERM");
}, 200);
child.on("exit", (status, signal) => {
  clearInterval(watch);
  if (signal === null) process.exit(status ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
