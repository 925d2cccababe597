/** TLS between members and towards clients, with real processes. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ClusterInfoError, fetchClusterInfo } from "@etcd2/raft";
import { freePort, until } from "@etcd2/test-support";
import { ask, etcdctl, program, runToEnd } from "../single-member/server-process.ts";

const testCa = new URL("../../../../tools/test-ca.ts", import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), "etcd2-tls-"));
const certificates = join(root, "certs");
const strangers = join(root, "strangers");
const children = new Set<ChildProcess>();

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** A request over TLS with the certificates of a directory; rejects when the handshake fails. */
function askTls(url: string, directory: string, name?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const pair =
      name === undefined
        ? {}
        : {
            cert: readFileSync(join(directory, `${name}.pem`)),
            key: readFileSync(join(directory, `${name}-key.pem`)),
          };
    const ca = readFileSync(join(certificates, "ca.pem"));
    const call = request(url, { ca, agent: false, timeout: 5000, ...pair }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (body += part));
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, body });
      });
    });
    call.on("error", reject);
    call.end();
  });
}

interface Running {
  readonly child: ChildProcess;
  log(): string;
  readonly exited: Promise<number | null>;
}

function run(flags: readonly string[]): Running {
  const child = spawn(program, flags, { stdio: ["ignore", "ignore", "pipe"] });
  children.add(child);
  let log = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (part: string) => (log += part));
  const exited = new Promise<number | null>((resolve) => {
    child.once("close", (status) => {
      children.delete(child);
      resolve(status);
    });
  });
  return { child, log: () => log, exited };
}

before(() => {
  for (const directory of [certificates, strangers]) {
    execFileSync(process.execPath, [testCa, directory, "server", "peer", "client-anna"]);
  }
});

after(async () => {
  const running = [...children];
  await Promise.all(
    running.map((child) => {
      const exited = new Promise((resolve) => child.once("close", resolve));
      child.kill("SIGKILL");
      return exited;
    }),
  );
  rmSync(root, { recursive: true, force: true });
});

const file = (name: string): string => join(certificates, name);

function peerTls(): readonly string[] {
  return [
    ...["--peer-cert-file", file("peer.pem"), "--peer-key-file", file("peer-key.pem")],
    ...["--peer-trusted-ca-file", file("ca.pem"), "--peer-client-cert-auth"],
  ];
}

describe("a cluster of three with TLS everywhere", () => {
  const names = ["one", "two", "three"];
  const peers = new Map<string, string>();
  const clients = new Map<string, string>();
  const members = new Map<string, Running>();
  let plainUrl = "";
  const url = (name: string): string => clients.get(name) ?? "";

  before(async () => {
    for (const name of names) {
      peers.set(name, `https://127.0.0.1:${await freePort()}`);
      clients.set(name, `https://127.0.0.1:${await freePort()}`);
    }
    plainUrl = `http://127.0.0.1:${await freePort()}`;
    const cluster = [...peers].map(([name, peer]) => `${name}=${peer}`).join(",");
    for (const name of names) {
      const listen = name === "one" ? `${url(name)},${plainUrl}` : url(name);
      const authority =
        name === "three"
          ? ["--ca-file", file("ca.pem")]
          : ["--trusted-ca-file", file("ca.pem"), "--client-cert-auth"];
      members.set(
        name,
        run([
          ...["--name", name, "--data-dir", join(root, name), "--initial-cluster", cluster],
          ...["--listen-client-urls", listen, "--advertise-client-urls", url(name)],
          ...["--listen-peer-urls", peers.get(name) ?? ""],
          ...["--initial-advertise-peer-urls", peers.get(name) ?? ""],
          ...["--cert-file", file("server.pem"), "--key-file", file("server-key.pem")],
          ...authority,
          ...peerTls(),
        ]),
      );
    }
    for (const name of names) {
      await until(`${name} is healthy`, () =>
        askTls(`${url(name)}/health`, certificates, "client-anna").then(
          ({ status }) => status === 200,
          () => false,
        ),
      );
    }
  });

  it("serves etcdctl with a certificate, on every member", async () => {
    const tls = [
      ...["--ca-file", file("ca.pem"), "--cert-file", file("client-anna.pem")],
      ...["--key-file", file("client-anna-key.pem")],
    ];
    const set = await runToEnd(
      etcdctl,
      ["--endpoints", url("one"), ...tls, "set", "/key", "v"],
      root,
    );
    assert.deepEqual([set.status, set.stdout], [0, "v\n"], set.stderr);
    const get = ["--endpoints", url("three"), ...tls, "get", "--quorum", "/key"];
    const got = await runToEnd(etcdctl, get, root);
    assert.deepEqual([got.status, got.stdout], [0, "v\n"], got.stderr);
  });

  it("gives clients without a certificate, or with one of strangers, nothing", async () => {
    for (const name of names) {
      await assert.rejects(askTls(`${url(name)}/v2/keys/key`, certificates), name);
      await assert.rejects(askTls(`${url(name)}/v2/keys/key`, strangers, "client-anna"), name);
    }
    const log = members.get("one")?.log() ?? "";
    assert.match(log, /refused a client connection from 127\.0\.0\.1: /);
  });

  it("counts the calls between members", async () => {
    const { body } = await askTls(`${url("two")}/metrics`, certificates, "client-anna");
    assert.match(body, /^grpc_server_started_total\{.*grpc_method="Stream".*\} [1-9]/m);
    assert.match(body, /^etcd_network_peer_received_bytes_total\{.*\} [1-9]/m);
  });

  it("serves plain HTTP beside HTTPS where asked to", async () => {
    const { status, body } = await ask("GET", `${plainUrl}/v2/keys/key?quorum=true`);
    assert.equal(status, 200, body);
    assert.match(members.get("one")?.log() ?? "", /scheme of client url http:.* is http while/);
  });

  it("lets nobody speak to the peer port who has no certificate", async () => {
    const peer = peers.get("one") ?? "";
    const port = Number(new URL(peer).port);
    await assert.rejects(fetchClusterInfo(peer, { timeoutMs: 2000 }), ClusterInfoError);
    const plain = `http://127.0.0.1:${port}`;
    await assert.rejects(fetchClusterInfo(plain, { timeoutMs: 2000 }), ClusterInfoError);
    // Even one who shakes hands gets no word before showing a certificate.
    const heard = await new Promise<number>((resolve) => {
      let bytes = 0;
      const socket = connect(port, "127.0.0.1", () =>
        socket.end("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      );
      socket.on("data", (data) => (bytes += data[0] === 0x15 ? 0 : data.length));
      socket.on("error", () => undefined);
      socket.on("close", () => {
        resolve(bytes);
      });
    });
    assert.equal(heard, 0);
    const log = (): string => members.get("one")?.log() ?? "";
    await until("it says whom it refused", () => /refused a peer connection from/.test(log()));
  });

  it("is reached by a proxy that has its own ports, access log and figures", async () => {
    const proxyUrl = `https://127.0.0.1:${await freePort()}`;
    const metricsUrl = `https://127.0.0.1:${await freePort()}`;
    const accessLog = join(root, "proxy-access.log");
    const proxy = run([
      ...["--proxy", "on", "--data-dir", join(root, "proxy"), "--listen-client-urls", proxyUrl],
      ...["--initial-cluster", [...peers].map((pair) => pair.join("=")).join(",")],
      ...["--cert-file", file("server.pem"), "--key-file", file("server-key.pem")],
      ...["--listen-metrics-urls", metricsUrl, "--access-log", accessLog, ...peerTls()],
      ...["--max-connections", "4"],
    ]);
    const answer = await until("the proxy serves", async () => {
      const url = `${proxyUrl}/v2/keys/key?quorum=true`;
      const said = await askTls(url, certificates, "client-anna");
      return said.status === 200 && said;
    });
    assert.match(answer.body, /"value":"v"/);
    assert.match(proxy.log(), /clientTLS: cert = .*server\.pem/);
    assert.match(proxy.log(), /peerTLS: cert = .*peer\.pem/);
    assert.match(proxy.log(), /proxy: listening for metrics on https:/);
    await until("the request is in the access log", () => {
      const lines = existsSync(accessLog) ? readFileSync(accessLog, "utf8") : "";
      return /"key":"\/key".*"status":200,"index":\d+,"ms"/.test(lines);
    });
    const sockets = await Promise.all(
      Array.from({ length: 4 }, () => {
        const socket = connect(Number(new URL(proxyUrl).port), "127.0.0.1");
        socket.on("error", () => undefined);
        return new Promise<typeof socket>((resolve) => {
          socket.once("connect", () => {
            resolve(socket);
          });
        });
      }),
    );
    const { body } = await askTls(`${metricsUrl}/metrics`, certificates);
    for (const socket of sockets) socket.destroy();
    assert.match(body, /^etcd2_client_connections_shed_total [1-9]/m);
    assert.match(body, /^etcd2_client_connections_max 2$/m);
    assert.match(body, /^etcd_network_client_grpc_sent_bytes_total [1-9]/m);
    assert.match(body, /^etcd2_tls_certificate_not_after_seconds\{side="peer"\} \d+$/m);
    assert.equal((await askTls(`${metricsUrl}/v2/keys`, certificates)).status, 404);
    proxy.child.kill("SIGTERM");
    await proxy.exited;
  });

  it("takes a new authority and new certificates while it runs", async () => {
    const next = join(root, "next");
    execFileSync(process.execPath, [testCa, next, "server", "peer", "client-anna"]);
    const put = (name: string, text: string): void => {
      // As tools do it: whole, by renaming.
      writeFileSync(file(`${name}.new`), text);
      renameSync(file(`${name}.new`), file(name));
    };
    const reloaded = (times: number) =>
      until("all members have reloaded both sides", () =>
        names.every((name) => {
          const log = members.get(name)?.log() ?? "";
          return ["client", "peer"].every(
            (side) => log.split(`${side} certificates were reloaded`).length > times,
          );
        }),
      );
    put(
      "ca.pem",
      readFileSync(file("ca.pem"), "utf8") + readFileSync(join(next, "ca.pem"), "utf8"),
    );
    await reloaded(1);
    for (const name of ["server", "peer"]) {
      put(`${name}-key.pem`, readFileSync(join(next, `${name}-key.pem`), "utf8"));
      put(`${name}.pem`, readFileSync(join(next, `${name}.pem`), "utf8"));
    }
    await reloaded(2);
    put("ca.pem", readFileSync(join(next, "ca.pem"), "utf8"));
    await reloaded(3);
    // New connections between members stand on what is new alone.
    const three = members.get("three");
    assert.ok(three !== undefined);
    three.child.kill("SIGTERM");
    await three.exited;
    members.set("three", run(three.child.spawnargs.slice(1)));
    await until("three is back", () =>
      askTls(`${url("three")}/readyz`, next, "client-anna").then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
    await assert.rejects(askTls(`${url("one")}/health`, strangers, "client-anna"));
    assert.equal((await askTls(`${url("one")}/health`, next, "client-anna")).status, 200);
  });
});

describe("certificates a member makes itself", () => {
  it("encrypt both sides, and stay when it starts again", async () => {
    const clientUrl = `https://127.0.0.1:${await freePort()}`;
    const peerUrl = `https://127.0.0.1:${await freePort()}`;
    const dataDir = join(root, "auto");
    const flags = [
      ...["--data-dir", dataDir, "--auto-tls", "--peer-auto-tls"],
      ...["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ...["--initial-cluster", `default=${peerUrl}`],
    ];
    const seen: string[] = [];
    for (const round of [1, 2]) {
      const running = run(flags);
      await until("it is ready", () => running.log().includes("listening for client requests"));
      const certificate = join(dataDir, "tls", "client", "cert.pem");
      seen.push(readFileSync(certificate, "utf8"));
      const version = await runToEnd(
        etcdctl,
        ["--endpoints", clientUrl, "--ca-file", certificate, "set", "/round", String(round)],
        root,
      );
      assert.deepEqual([version.status, version.stdout], [0, `${round}\n`], version.stderr);
      assert.doesNotMatch(running.log(), /invalid file\/dir/);
      running.child.kill("SIGTERM");
      await running.exited;
    }
    assert.equal(seen[0], seen[1]);
  });
});

describe("TLS that cannot work", () => {
  const start = async (flags: readonly string[]): Promise<string> => {
    const clientUrl = `https://127.0.0.1:${await freePort()}`;
    const peerUrl = `http://127.0.0.1:${await freePort()}`;
    const running = run([
      ...["--data-dir", join(root, "never"), "--initial-cluster", `default=${peerUrl}`],
      ...["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ...flags,
    ]);
    assert.equal(await running.exited, 1, running.log());
    return running.log();
  };

  it("stops the start with one line", async () => {
    assert.match(await start([]), /cannot listen on TLS for https:.*KeyFile and CertFile are not/);
    const missing = ["--cert-file", file("none.pem"), "--key-file", file("server-key.pem")];
    assert.match(await start(missing), /cannot read certificate .*none\.pem: no such file/);
  });
});
