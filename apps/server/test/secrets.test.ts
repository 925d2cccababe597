/**
 * What must stay secret stays so on a real server: passwords, values and credentials in no log, no
 * metric and no access log; files for their owner alone, whatever the umask; and no client writes
 * lines of its own into a log.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { freePort, until } from "@etcd2/test-support";
import { ask, program, runToEnd, ServerProcess } from "./single-member/server-process.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-secrets-"));
const servers: ServerProcess[] = [];
after(async () => {
  await Promise.all(servers.map((server) => server.dispose()));
  rmSync(root, { recursive: true, force: true });
});

const PASSWORD = "Sup3rSecretPass";
const VALUE = "Sup3rSecretValue";
const basic = (user: string, password = PASSWORD): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

/** All that must appear nowhere: in the clear, in base64, or percent-encoded. */
const secrets = [
  ...[PASSWORD, VALUE, basic("root").slice(6), basic("ann").slice(6), basic("ann", VALUE).slice(6)],
  ...[Buffer.from(PASSWORD).toString("base64"), "$2a$", "$2b$"],
];

async function send(
  url: string,
  method: string,
  body: string,
  headers: Record<string, string> = {},
): Promise<number> {
  const given = body === "" ? {} : { body };
  const answer = await fetch(url, { method, headers, ...given });
  await answer.text();
  return answer.status;
}

describe("a server that knows secrets", () => {
  it("tells them to no log, access log, metric or debug page, even at level DEBUG", async () => {
    const accessLog = join(root, "access.log");
    const flags = ["--debug", "--access-log", accessLog, "--bcrypt-cost", "4", "--enable-pprof"];
    const server = await ServerProcess.start(flags);
    servers.push(server);
    const { clientUrl } = server;
    const auth = `${clientUrl}/v2/auth`;
    const user = (name: string, more = {}): string =>
      JSON.stringify({ user: name, password: PASSWORD, ...more });
    const as = (name: string): Record<string, string> => ({ Authorization: basic(name) });
    assert.equal(await send(`${auth}/users/root`, "PUT", user("root")), 201);
    // Documents that are refused in every way there is.
    for (const body of [user("x"), `{"user":"ann","password":"${PASSWORD}`, `[${user("ann")}]`]) {
      assert.ok((await send(`${auth}/users/ann`, "PUT", body)) >= 400);
    }
    assert.equal(await send(`${auth}/users/ann`, "PUT", user("ann")), 201);
    assert.equal(await send(`${auth}/enable`, "PUT", ""), 200);
    const change = user("ann", { grant: ["none"] });
    for (const headers of [{}, as("ann"), as("root")]) {
      await send(`${auth}/users/ann`, "PUT", change, headers);
      await send(`${auth}/users`, "GET", "", headers);
      await send(`${auth}/users/${PASSWORD.slice(0, 3)}?password=${PASSWORD}`, "GET", "", headers);
      await send(`${auth}/roles/r`, "PUT", `{"role":"r","x":"${VALUE}"}`, headers);
      await send(`${auth}/enable?password=${PASSWORD}`, "DELETE", user("root"), {});
    }
    const wrong = { Authorization: basic("ann", VALUE) };
    assert.equal(await send(`${clientUrl}/v2/keys/a`, "GET", "", wrong), 401);
    const form = { "Content-Type": "application/x-www-form-urlencoded", ...as("root") };
    assert.equal(await send(`${clientUrl}/v2/keys/s`, "PUT", `value=${VALUE}`, form), 201);
    const query = `?value=${VALUE}&prevValue=${VALUE}&ttl=${VALUE}`;
    for (const method of ["GET", "PUT", "POST", "DELETE", "OPTIONS"]) {
      await send(`${clientUrl}/v2/keys/s${query}`, method, "", form);
      await send(`${clientUrl}/v2/members${query}`, method, "", form);
      await send(`${clientUrl}/config/local/log${query}`, method, "", form);
    }
    // Lines that are no HTTP, with credentials in them.
    const port = Number(new URL(clientUrl).port);
    await new Promise<void>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.end(`GET /\xe9 HTTP/1.1\r\nAuthorization: ${basic("root")}\r\nbad ${VALUE}\r\n\r\n`);
      });
      socket
        .on("error", () => undefined)
        .on("close", () => {
          resolve();
        });
      socket.resume();
    });
    const pages = await Promise.all(
      ["/metrics", "/debug/vars", "/debug/pprof/cmdline", "/v2/stats/self"].map(async (path) =>
        (await fetch(`${clientUrl}${path}`, { headers: as("root") })).text(),
      ),
    );
    await server.kill("SIGTERM");
    const access = readFileSync(accessLog, "utf8");
    assert.match(access, /"user":"ann"/, "the access log names users");
    assert.ok(server.log.length > 1000 && pages.every((page) => page.length > 10));
    for (const text of [server.log, access, ...pages]) {
      for (const secret of secrets) {
        const at = text.indexOf(secret);
        assert.equal(at, -1, `${secret} is told: ${text.slice(Math.max(0, at - 200), at + 50)}`);
      }
    }
  });

  it("tells no password of a discovery URL, neither in a log nor on a debug page", async () => {
    const discovery = `http://bob:${PASSWORD}@127.0.0.1:1/v2/keys/token`;
    const data = join(root, "discovered");
    const free = `http://127.0.0.1:${await freePort()}`;
    const urls = ["--listen-peer-urls", free, "--initial-advertise-peer-urls", free];
    const child = spawn(program, ["--data-dir", data, ...urls, "--discovery", discovery], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
    await until("it retries", () => log.includes("retrying in"));
    child.kill("SIGKILL");
    assert.match(log, /discovery URL= http:\/\/\*\*\*@127\.0\.0\.1:1\/v2\/keys\/token/);
    assert.ok(!log.includes(PASSWORD), log);

    const server = await ServerProcess.start(["--discovery-proxy", discovery]);
    servers.push(server);
    const vars = await (await fetch(`${server.clientUrl}/debug/vars`)).text();
    assert.match(vars, /\*\*\*@127\.0\.0\.1:1/);
    assert.ok(!vars.includes(PASSWORD), vars);
    assert.ok(!server.log.includes(PASSWORD));
  });

  it("lets no client write lines into its logs", async () => {
    const accessLog = join(root, "lines.log");
    const server = await ServerProcess.start(["--debug", "--access-log", accessLog]);
    servers.push(server);
    const forged = "%0a2026-01-01 00:00:00.000000 C | etcdmain: forged%1b[2J".replaceAll(
      " ",
      "%20",
    );
    for (const path of [
      `/v2/keys/${forged}`,
      `/v2/members/${forged}`,
      `/v2/auth/users/${forged}`,
    ]) {
      await ask("GET", `${server.clientUrl}${path}`);
      await ask("DELETE", `${server.clientUrl}${path}`);
    }
    const headers = {
      Authorization: `Basic ${Buffer.from("\n{}\u001b[2J:pw").toString("base64")}`,
    };
    await send(`${server.clientUrl}/v2/keys/x`, "GET", "", headers);
    await server.kill("SIGTERM");
    const text = readFileSync(accessLog, "utf8");
    for (const log of [server.log, text]) {
      assert.doesNotMatch(log, /^(?:2026-01-01|\{\})/m);
      assert.ok(!log.includes("\u001b"), "no control character gets through");
    }
    const lines = text.trim().split("\n");
    assert.ok(lines.every((line) => (JSON.parse(line) as { method: string }).method !== ""));
    assert.ok(lines.length >= 7);
  });
});

describe("a private key", () => {
  it("that cannot be used is not shown when the server says so", async () => {
    const key = join(root, "broken-key.pem");
    const text = `-----BEGIN PRIVATE KEY-----\n${Buffer.from(VALUE.repeat(9)).toString("base64")}\n-----END PRIVATE KEY-----\n`;
    writeFileSync(key, text, { mode: 0o600 });
    const url = `https://127.0.0.1:${await freePort()}`;
    for (const cert of [key, join(root, "none.pem")]) {
      const { status, stdout, stderr } = await runToEnd(
        program,
        [
          ...["--debug", "--data-dir", join(root, "tls"), "--cert-file", cert, "--key-file", key],
          ...["--listen-client-urls", url, "--advertise-client-urls", url],
        ],
        root,
      );
      assert.notEqual(status, 0);
      assert.ok(stderr.includes(".pem"), stderr);
      for (const line of text.split("\n").slice(1, 2)) {
        assert.ok(!(stdout + stderr).includes(line.slice(0, 20)), stderr);
      }
      assert.doesNotMatch(stdout + stderr, /PRIVATE KEY/);
    }
  });
});

/** Modes of all files below, by path. */
function modes(directory: string): { path: string; mode: number; isDirectory: boolean }[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).map((name) => {
    const path = join(directory, name);
    const stats = lstatSync(path);
    return { path, mode: stats.mode & 0o777, isDirectory: stats.isDirectory() };
  });
}

describe("files of a server started with a permissive umask", () => {
  const bundle = join(import.meta.dirname, "..", "bundle", "start.cjs");
  // The launcher sets a umask; the program must not depend on having been started by it.
  it("are for their owner alone, those of the store too", async () => {
    const dataDir = join(root, "open", "data");
    const clientUrl = `http://127.0.0.1:${await freePort()}`;
    const peerUrl = `http://127.0.0.1:${await freePort()}`;
    const flags = [
      ...["--data-dir", dataDir, "--snapshot-count", "20", "--access-log", join(root, "open.log")],
      ...["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ...["--initial-cluster", `default=${peerUrl}`],
    ];
    for (let start = 0; start < 2; start++) {
      const child = spawn(
        "sh",
        ["-c", 'umask 000 && exec "$0" --no-warnings "$@"', process.execPath, bundle, ...flags],
        { stdio: "ignore" },
      );
      const exited = new Promise((resolve) => child.once("exit", resolve));
      await until("it serves", () =>
        ask("GET", `${clientUrl}/version`).then(
          () => child.exitCode === null,
          () => false,
        ),
      );
      for (let count = 0; count < 60; count++) {
        await ask("PUT", `${clientUrl}/v2/keys/k${count}`, `value=${"x".repeat(1000)}`);
      }
      child.kill("SIGTERM");
      await exited;
    }
    const found = modes(join(root, "open"));
    assert.ok(found.some(({ path }) => path.endsWith(".wal")));
    assert.ok(
      found.some(({ path }) => path.includes("MANIFEST")),
      "RocksDB's are among them",
    );
    for (const { path, mode, isDirectory } of [...found, ...modes(root)]) {
      const wanted = isDirectory ? 0o700 : 0o600;
      assert.equal(mode & ~wanted, 0, `${path} has mode ${mode.toString(8)}`);
    }
  });
});
