/** What a member does to stay whole and watched: alarms, budgets, logs; parts and real processes. */
import { CountingMeter, createLogger, type MetricName } from "@etcd2/observability";
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ChannelCredentials, Client, status } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import { Alarms } from "../src/member/alarms.ts";
import type { AlarmsOptions } from "../src/member/alarms.ts";
import { ConsensusObserver } from "../src/consensus/consensus-observer.ts";
import { HEALTH_CHECK_PATH } from "../src/listeners/grpc-health.ts";
import { StoreError } from "@etcd2/store";
import { freePort, pause, until } from "@etcd2/test-support";
import { NotifySocket } from "./notify-socket.ts";
import { ask, program, runToEnd, ServerProcess } from "./single-member/server-process.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-protection-"));
const servers: ServerProcess[] = [];

async function start(...flags: string[]): Promise<ServerProcess> {
  const server = await ServerProcess.start(flags);
  servers.push(server);
  return server;
}

after(async () => {
  await Promise.all(servers.map((server) => server.dispose()));
  rmSync(root, { recursive: true, force: true });
});

describe("the alarms", () => {
  const lines: string[] = [];
  const figures = { free: 1000, live: { bytes: 0, isExact: true }, counted: 0 };
  const make = (more: Partial<AlarmsOptions>): Alarms =>
    new Alarms({
      paths: ["here"],
      diskReserveBytes: 0,
      quotaBytes: 0,
      liveSize: () => figures.live,
      countLiveSize: () => {
        figures.live = { bytes: figures.counted, isExact: true };
        return Promise.resolve();
      },
      log: createLogger((_level, line) => lines.push(line)),
      onFatal: (error) => lines.push(`fatal: ${String(error)}`),
      measure: () => Promise.resolve({ freeBytes: figures.free, totalBytes: 1e6 }),
      ...more,
    });

  it("refuse every write while the disk is low, and none after", async () => {
    const alarms = make({ diskReserveBytes: 500 });
    await alarms.lookAtDisk();
    assert.equal(alarms.refusal("set"), undefined);
    assert.equal(alarms.reason, "");
    figures.free = 400;
    await alarms.lookAtDisk();
    for (const action of ["set", "delete"] as const) {
      const refusal = alarms.refusal(action);
      assert.equal(refusal?.code, 310);
      assert.match(refusal.cause, /^etcdserver: database space exceeded: disk space is low/);
    }
    assert.deepEqual(alarms.names, ["diskLow"]);
    assert.match(alarms.reason, /disk space is low/);
    assert.equal(alarms.disk.isLow, true);
    figures.free = 1000;
    await alarms.lookAtDisk();
    assert.equal(alarms.refusal("set"), undefined);
    assert.deepEqual(alarms.names, []);
    alarms.close();
  });

  it("take deletes alone over quota, and writes again well below", () => {
    const alarms = make({ quotaBytes: 100 });
    const look = (bytes: number): boolean => {
      figures.live = { bytes, isExact: true };
      alarms.lookAtQuota();
      return alarms.refusal("create") === undefined;
    };
    assert.equal(look(99), true);
    assert.equal(look(100), false);
    assert.match(alarms.refusal("set")?.cause ?? "", /exceeds --quota-backend-bytes/);
    assert.equal(alarms.refusal("delete"), undefined);
    assert.equal(alarms.refusal("compareAndDelete"), undefined);
    assert.deepEqual(alarms.names, ["quota"]);
    const said = lines.length;
    assert.equal(look(95), false);
    assert.equal(look(120), false);
    assert.equal(lines.length, said);
    assert.equal(look(94), true);
    assert.match(lines.at(-1) ?? "", /below its quota again/);
    alarms.close();
  });

  it("count what is but estimated, once it matters", async () => {
    const alarms = make({ quotaBytes: 100 });
    figures.counted = 10;
    figures.live = { bytes: 79, isExact: false };
    alarms.lookAtQuota();
    assert.equal(figures.live.isExact, false);
    figures.live = { bytes: 120, isExact: false };
    alarms.lookAtQuota();
    assert.deepEqual(alarms.names, ["quota"]);
    await until("the count shows that it was less", () => {
      alarms.lookAtQuota();
      return alarms.refusal("set") === undefined;
    });
    assert.deepEqual(figures.live, { bytes: 10, isExact: true });
    alarms.close();
  });

  it("end the member when the store cannot be counted, not when it was replaced meanwhile", async () => {
    const said = lines.length;
    for (const code of ["closed", "corrupt", "storage"] as const) {
      const alarms = make({
        quotaBytes: 100,
        liveSize: () => ({ bytes: 120, isExact: false }),
        countLiveSize: () => Promise.reject(new StoreError(code, code)),
      });
      await alarms.count();
      alarms.close();
    }
    assert.deepEqual(lines.slice(said), [
      "fatal: StoreError: corrupt",
      "fatal: StoreError: storage",
    ]);
  });

  it("spend little of the time on counting, however often they look", async () => {
    let counts = 0;
    const alarms = make({
      quotaBytes: 100,
      liveSize: () => ({ bytes: 120, isExact: false }),
      countLiveSize: () => {
        counts += 1;
        return pause(200);
      },
    });
    // Counting may take a twentieth: after 200 ms of it the next begins 4 s later at the earliest.
    await alarms.count();
    await alarms.count();
    alarms.close();
    assert.equal(counts, 1);
  });
});

describe("a member over its quota", () => {
  let server: ServerProcess;
  before(async () => {
    server = await start();
    assert.equal(
      (await ask("PUT", `${server.clientUrl}/v2/keys/kept`, "value=before")).status,
      201,
    );
    await server.kill("SIGTERM");
    const flags = server.flags;
    server.flags = [...flags, "--quota-backend-bytes", "1"];
    await server.spawn();
    server.flags = flags;
  });

  it("refuses writes with the reason, serves reads and deletes, and says so", async () => {
    const { clientUrl } = server;
    const refused = await ask("PUT", `${clientUrl}/v2/keys/more`, "value=x");
    assert.equal(refused.status, 507);
    assert.match(
      refused.body,
      /"errorCode":310,"message":"Insufficient storage",.*database space exceeded.*quota-backend-bytes/,
    );
    const read = await ask("GET", `${clientUrl}/v2/keys/kept?quorum=true`);
    assert.match(read.body, /"value":"before"/);
    const health = await ask("GET", `${clientUrl}/health`);
    assert.equal(health.status, 503);
    assert.match(
      health.body,
      /^\{"health": "false", "reason": "the store exceeds --quota[^"]*"\}$/m,
    );
    const ready = await ask("GET", `${clientUrl}/readyz?verbose`);
    assert.equal(ready.status, 200);
    assert.match(ready.body, /^\[-\]space excluded: the store exceeds --quota-backend-bytes/m);
    assert.match(ready.body, /^\[\+\]linearizable_read ok$/m);
    const { body } = await ask("GET", `${clientUrl}/metrics`);
    assert.match(body, /^etcd2_alarm\{type="quota"\} 1$/m);
    assert.match(body, /^etcd_server_quota_backend_bytes 1$/m);
    assert.equal((await ask("DELETE", `${clientUrl}/v2/keys/kept`)).status, 200);
    assert.match(server.log, /the store exceeds its quota, only deletes are accepted/);
  });

  it("takes writes again without the quota", async () => {
    await server.kill("SIGTERM");
    await server.spawn();
    const { status } = await ask("PUT", `${server.clientUrl}/v2/keys/more`, "value=x");
    assert.equal(status, 201);
  });
});

describe("the budget of descriptors", () => {
  it("sheds clients beyond it, and counts them", async () => {
    const server = await start("--max-connections", "3");
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const hold = (): Promise<boolean> =>
      new Promise((resolve) => {
        const call = request(`${server.clientUrl}/v2/keys/none?wait=true&stream=true`, { agent });
        call.on("response", () => {
          resolve(true);
        });
        call.on("error", () => {
          resolve(false);
        });
        call.end();
      });
    let held = 0;
    while (held <= 3 && (await hold())) held += 1;
    // One connection may be that of the question whether the server has started.
    assert.ok(held === 2 || held === 3, String(held));
    agent.destroy();
    await until("there is room again", () =>
      ask("GET", `${server.clientUrl}/metrics`).then(
        ({ body }) => {
          assert.match(body, /^etcd2_client_connections_shed_total [1-9]/m);
          return true;
        },
        () => false,
      ),
    );
    assert.equal(server.log.match(/all 3 client connections are in use/g)?.length, 1);
  });

  it("refuses to start with too small a limit", async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const flags = ["--listen-client-urls", url, "--advertise-client-urls", url, "--data-dir", root];
    const { status, stderr } = await runToEnd(
      "sh",
      ["-c", 'ulimit -n 150 && exec "$0" "$@"', program, ...flags],
      root,
    );
    assert.equal(status, 1, stderr);
    assert.match(stderr, /file descriptor limit\[150\] of etcd process is too low/);
  });
});

describe("what takes long", () => {
  it("is counted, and warned of at most once a second and kind", () => {
    const lines: string[] = [];
    let now = 0;
    const meter = new CountingMeter();
    const observer = new ConsensusObserver({
      meter,
      log: createLogger((_level, line) => lines.push(line)),
      heartbeatSeconds: 0.1,
      now: () => now,
    });
    observer.proposalApplied(0.9);
    observer.readConfirmed(0.4, true);
    observer.batchApplied(0.05, 3);
    assert.equal(lines.join(), "");
    observer.proposalApplied(1.5);
    observer.proposalApplied(1.6);
    observer.readConfirmed(0.7, false);
    observer.batchApplied(0.25, 12);
    observer.slowSync(2);
    assert.equal(lines.length, 4, lines.join("\n"));
    assert.match(lines[0] ?? "", /^a write took 1500ms from proposal to outcome, expected less/);
    assert.match(lines[2] ?? "", /^applying 12 entries took 250ms/);
    assert.match(lines[3] ?? "", /^sync of the write-ahead log took 2000ms/);
    now = 1001;
    observer.proposalApplied(1.7);
    assert.match(lines[4] ?? "", /took 1700ms .*\(and 1 more before\)$/);
    assert.equal(meter.value("etcd_server_slow_read_indexes_total"), 1);
    assert.equal(meter.value("etcd_server_read_indexes_failed_total"), 1);
    assert.equal(meter.value("etcd_server_slow_apply_total"), 1);
    const observed = (name: MetricName): number | undefined =>
      meter.samples(name).find(({ metricName }) => metricName?.endsWith("_count"))?.value;
    assert.equal(observed("etcd2_proposal_duration_seconds"), 4);
    assert.equal(observed("etcd_disk_backend_commit_duration_seconds"), 2);
  });
});

describe("a member at work", () => {
  it("feeds the figures of its disk, its proposals and its health", async () => {
    const server = await start("--snapshot-count", "5");
    for (let n = 0; n < 8; n += 1) {
      await ask("PUT", `${server.clientUrl}/v2/keys/counted`, "value=x");
    }
    await until("the log is compacted", () => server.log.includes("compacted raft log"));
    await ask("GET", `${server.clientUrl}/health`);
    const { body } = await ask("GET", `${server.clientUrl}/metrics`);
    for (const name of [
      "etcd_disk_wal_write_bytes_total",
      "etcd_disk_wal_fsync_duration_seconds_count",
      "etcd_disk_backend_commit_duration_seconds_count",
      "etcd_disk_backend_snapshot_duration_seconds_count",
      "etcd_snap_fsync_duration_seconds_count",
      "etcd2_proposal_duration_seconds_count",
      "etcd_server_health_success",
      "etcd2_disk_free_bytes",
      "etcd2_client_connections",
    ]) {
      assert.match(body, new RegExp(`^${name} [1-9]`, "m"), name);
    }
  });
});

describe("a member that systemd started", () => {
  it("says when it serves and when it begins to stop", async () => {
    const server = await start();
    await server.kill("SIGTERM");
    const socket = await NotifySocket.listen(join(root, "notify"));
    server.env = { NOTIFY_SOCKET: join(root, "notify") };
    await server.spawn();
    // systemd's default, NotifyAccess=main, takes messages of the process it started alone.
    const { pid } = server;
    await until("it is ready", () => socket.received.length > 0);
    await server.kill("SIGTERM");
    await until("it stops", () => socket.received.length > 1);
    await socket.close();
    assert.deepEqual(socket.received, [
      { pid, text: "READY=1" },
      { pid, text: "STOPPING=1" },
    ]);
    assert.doesNotMatch(server.log, /failed to notify/);
  });
});

describe("the health service on the peer port", () => {
  const check = (peerUrl: string, request: Buffer): Promise<Buffer | number> =>
    new Promise((resolve, reject) => {
      const client = new Client(new URL(peerUrl).host, ChannelCredentials.createInsecure());
      const same = (bytes: Buffer): Buffer => bytes;
      client.makeUnaryRequest(
        HEALTH_CHECK_PATH,
        same,
        same,
        request,
        { deadline: Date.now() + 20_000 },
        (error: ServiceError | null, answer?: Buffer) => {
          client.close();
          if (error !== null) resolve(error.code);
          else if (answer === undefined) reject(new Error("no answer"));
          else resolve(answer);
        },
      );
    });
  const named = (name: string): Buffer =>
    Buffer.concat([Buffer.from([0x0a, name.length]), Buffer.from(name)]);

  it("answers as the standard says", async () => {
    const server = await start();
    const peerUrl = server.flags[server.flags.indexOf("--listen-peer-urls") + 1] ?? "";
    const serving = Buffer.from([0x08, 1]);
    assert.deepEqual(await check(peerUrl, Buffer.alloc(0)), serving);
    assert.deepEqual(await check(peerUrl, named("raft.v1.RaftService")), serving);
    assert.equal(await check(peerUrl, named("other.Service")), status.NOT_FOUND);
    assert.equal(await check(peerUrl, Buffer.from([0x0a, 200, 1])), status.INVALID_ARGUMENT);
    await server.kill("SIGTERM");
    server.flags = [...server.flags, "--quota-backend-bytes", "1"];
    await server.spawn();
    assert.deepEqual(await check(peerUrl, Buffer.alloc(0)), Buffer.from([0x08, 2]));
  });
});

describe("the access log and the metrics port", () => {
  it("note each request of clients, and serve figures apart", async () => {
    const path = join(root, "access.log");
    const metricsUrl = `http://127.0.0.1:${await freePort()}`;
    const server = await start("--access-log", path, "--listen-metrics-urls", metricsUrl);
    await ask("PUT", `${server.clientUrl}/v2/keys/noted`, "value=secret");
    assert.match((await ask("GET", `${metricsUrl}/metrics`)).body, /^etcd_server_has_leader 1$/m);
    assert.equal((await ask("GET", `${metricsUrl}/health`)).status, 200);
    assert.equal((await ask("GET", `${metricsUrl}/v2/keys/noted`)).status, 404);
    await server.kill("SIGTERM");
    const lines = readFileSync(path, "utf8").trim().split("\n");
    const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const noted = entries.find(({ key }) => key === "/noted");
    assert.equal(noted?.["status"], 201);
    assert.equal(noted["method"], "PUT");
    assert.doesNotMatch(lines.join(), /secret/);
    assert.ok(entries.every((entry) => entry["path"] !== "/metrics"));
  });

  it("show figures to root alone with --auth-metrics, once there is a root", async () => {
    const server = await start("--auth-metrics", "--bcrypt-cost", "4");
    const url = `${server.clientUrl}/metrics`;
    assert.equal((await ask("GET", url)).status, 200);
    const auth = `${server.clientUrl}/v2/auth`;
    const user = JSON.stringify({ user: "root", password: "secret" });
    assert.equal((await ask("PUT", `${auth}/users/root`, user)).status, 201);
    assert.equal((await ask("PUT", `${auth}/enable`)).status, 200);
    assert.equal((await ask("GET", url)).status, 401);
    const answer = await fetch(url, { headers: { Authorization: `Basic ${btoa("root:secret")}` } });
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /^etcd_server_has_leader 1$/m);
    await server.kill("SIGTERM");
  });

  it("stops the start when the access log cannot be opened", async () => {
    const flags = ["--access-log", join(root, "none", "log"), "--data-dir", join(root, "never")];
    const { status, stderr } = await runToEnd(program, flags, root);
    assert.equal(status, 1);
    assert.match(stderr, /cannot open the access log: ENOENT/);
  });
});
