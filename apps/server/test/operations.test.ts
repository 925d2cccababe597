import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import type { RequestListener } from "node:http";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { until } from "@etcd2/test-support";

import { createHttpServerOptions, prepareHttpServer } from "@etcd2/api-v2";
import { withAccessLog } from "../src/logging/access-log.ts";
import { openAccessSink } from "../src/logging/access-sink.ts";
import { DiskWatch } from "../src/system/disk.ts";
import { connectionBudget, fdLimit, fdsUsed, parseFdLimit } from "../src/system/fd-limit.ts";
import { createTextLogging } from "../src/logging/logger.ts";
import { ServiceNotifier } from "../src/system/sd-notify.ts";
import type { ServiceNotifierOptions } from "../src/system/sd-notify.ts";
import { NotifySocket } from "./notify-socket.ts";
import { etcdctl, program } from "./single-member/server-process.ts";

const root = mkdtempSync(join(tmpdir(), "operations-"));
after(() => {
  rmSync(root, { recursive: true });
});

describe("the launchers", () => {
  it("need nothing on PATH, and are found through links", () => {
    const link = join(root, "link");
    for (const launcher of [program, etcdctl]) {
      symlinkSync(launcher, link);
      const text = execFileSync(link, ["--version"], { encoding: "utf8", env: { PATH: root } });
      assert.match(text, /2\.3\.8/);
      rmSync(link);
    }
  });
});

describe("the notifier", () => {
  const notifier = (env: Record<string, string>, more: Partial<ServiceNotifierOptions> = {}) => {
    const lines: string[] = [];
    const sink = {
      write: (line: string) => lines.push(line),
      flush: () => undefined,
      close: () => undefined,
    };
    const logging = createTextLogging({ sink, format: "text", useColor: false, level: "info" });
    const log = logging.logger("etcdmain");
    const made = new ServiceNotifier({ env, log, systemdDirectory: root, ...more });
    return { made, lines: () => lines.map((line) => line.slice(27)) };
  };

  /** A runtime that cannot send a datagram itself. */
  const openSender = () => Promise.resolve(undefined);

  for (const [kind, address] of [
    ["a path", () => join(root, "notify")],
    ["an abstract name", () => `@etcd2-notify-${process.pid}`],
  ] as const) {
    it(`tells systemd from this very process, at ${kind}`, async () => {
      const socket = await NotifySocket.listen(address());
      const { made, lines } = notifier({ NOTIFY_SOCKET: address() }, { command: "false" });
      await made.ready();
      await made.stopping();
      await until("both arrived", () => socket.received.length === 2);
      await socket.close();
      assert.deepEqual(socket.received, [
        { pid: process.pid, text: "READY=1" },
        { pid: process.pid, text: "STOPPING=1" },
      ]);
      assert.deepEqual(lines(), []);
    });
  }

  it("says when nobody is at the socket, and when its path is too long for one", async () => {
    const nobody = notifier({ NOTIFY_SOCKET: join(root, "nobody") });
    await nobody.made.ready();
    assert.match(
      nobody.lines().join(""),
      /^E \| etcdmain: failed to notify systemd for readiness: send to .*nobody: ENOENT: .*\n$/,
    );
    const long = notifier({ NOTIFY_SOCKET: `/${"n".repeat(108)}` });
    await long.made.ready();
    assert.match(long.lines().join(""), /n is too long for a socket\n$/);
  });

  it("leaves addresses of other kinds to systemd's helper", async () => {
    const heard = join(root, "vsock");
    const command = join(root, "vsock-helper");
    writeFileSync(command, `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> ${heard}\n`);
    chmodSync(command, 0o755);
    const { made } = notifier({ NOTIFY_SOCKET: "vsock:2:9999" }, { command });
    await made.ready();
    assert.equal(readFileSync(heard, "utf8"), "vsock:2:9999 READY=1\n");
  });

  it("tells systemd by its helper where the runtime cannot send", async () => {
    const heard = join(root, "heard");
    const command = join(root, "helper");
    writeFileSync(command, `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> ${heard}\n`);
    chmodSync(command, 0o755);
    const { made, lines } = notifier({ NOTIFY_SOCKET: "/run/x" }, { command, openSender });
    await made.ready();
    await made.stopping();
    assert.equal(readFileSync(heard, "utf8"), "/run/x READY=1\n/run/x STOPPING=1\n");
    assert.deepEqual(lines(), []);
  });

  it("complains under systemd without a socket, and goes on", async () => {
    const { made, lines } = notifier({});
    await made.ready();
    await made.stopping();
    assert.deepEqual(lines(), [
      "E | etcdmain: failed to notify systemd for readiness: No socket\n",
      "E | etcdmain: forgot to set Type=notify in systemd service file?\n",
    ]);
  });

  it("says when the helper is missing or fails", async () => {
    const missing = notifier(
      { NOTIFY_SOCKET: "/run/x" },
      { command: join(root, "nowhere"), openSender },
    );
    await missing.made.ready();
    assert.match(
      missing.lines().join(""),
      /^E \| etcdmain: failed to notify systemd for readiness: .*ENOENT\n$/,
    );
    const failing = notifier({ NOTIFY_SOCKET: "/run/x" }, { command: "false", openSender });
    await failing.made.ready();
    assert.deepEqual(failing.lines(), [
      "E | etcdmain: failed to notify systemd for readiness: false ended with 1\n",
    ]);
  });

  it("is silent where nobody waits for it", async () => {
    const { made, lines } = notifier(
      {},
      { systemdDirectory: join(root, "nowhere"), command: "false" },
    );
    await made.ready();
    await made.stopping();
    assert.deepEqual(lines(), []);
  });
});

describe("the disk watch", () => {
  const mib = 1024 ** 2;
  const watch = (reserveBytes: number, paths = ["/data"]) => {
    const spaces = new Map<string, { freeBytes: number; totalBytes: number }>();
    const said: string[] = [];
    const made = new DiskWatch({
      paths,
      reserveBytes,
      measure: (path) => {
        const space = spaces.get(path);
        return space === undefined ? Promise.reject(new Error("gone")) : Promise.resolve(space);
      },
      onChange: (state, message) => said.push(`${state}: ${message}`),
    });
    const look = async (freeBytes: number, path = "/data", totalBytes = 10_000 * mib) => {
      spaces.set(path, { freeBytes, totalBytes });
      await made.look();
      return made.state;
    };
    return { made, look, said, spaces };
  };

  it("is low below the reserve, and ok again only well above it", async () => {
    const { look, said } = watch(100 * mib);
    assert.equal(await look(100 * mib), "ok");
    assert.equal(await look(100 * mib - 1), "low");
    assert.equal(await look(100 * mib), "low");
    assert.equal(await look(124 * mib), "low");
    assert.equal(await look(125 * mib), "ok");
    assert.equal(await look(110 * mib), "ok");
    assert.deepEqual(said, [
      "low: disk space is low, writes are refused until there is more (99 MiB free, reserve 100 MiB)",
      "ok: disk space is sufficient again, writes are accepted (125 MiB free, reserve 100 MiB)",
    ]);
  });

  it("takes at most a tenth of a small disk for the reserve", async () => {
    const { made, look } = watch(100 * mib);
    assert.equal(await look(15 * mib, "/data", 100 * mib), "ok");
    assert.equal(made.reserveBytes, 10 * mib);
    assert.equal(await look(9 * mib, "/data", 100 * mib), "low");
  });

  it("looks at every file system, and keeps its state while one cannot be asked", async () => {
    const { made, look, spaces } = watch(100 * mib, ["/data", "/wal"]);
    await look(500 * mib, "/data");
    assert.equal(await look(50 * mib, "/wal"), "low");
    assert.equal(made.freeBytes, 50 * mib);
    spaces.clear();
    await made.look();
    assert.equal(made.state, "low");
  });

  it("is never low without a reserve", async () => {
    const { look } = watch(0);
    assert.equal(await look(0), "ok");
  });

  it("goes on looking by itself until it is closed", async () => {
    let looks = 0;
    const made = new DiskWatch({
      paths: [root],
      reserveBytes: 1,
      measure: () => {
        looks++;
        return Promise.resolve({ freeBytes: 10, totalBytes: 1000 });
      },
      onChange: () => undefined,
    });
    await made.start();
    await until("it looks again", () => looks >= 3);
    made.close();
    made.close();
  });

  it("measures real file systems", async () => {
    const made = new DiskWatch({ paths: [root], reserveBytes: 1, onChange: () => undefined });
    await made.look();
    const { freeBytes } = made;
    assert.ok(freeBytes > 0 && freeBytes < Number.POSITIVE_INFINITY);
  });
});

describe("the budget of file descriptors", () => {
  it("keeps 150 back and refuses to start with no more than that", () => {
    const clientsOf = (limit: number, wanted: number): number => {
      const budget = connectionBudget(limit, wanted);
      assert.ok(budget.ok);
      return budget.connectionsMax;
    };
    assert.equal(clientsOf(1024, 0), 738);
    assert.equal(clientsOf(1024, 100), 100);
    assert.equal(clientsOf(1024, 5000), 738);
    assert.equal(clientsOf(151, 0), 1);
    assert.equal(clientsOf(Number.POSITIVE_INFINITY, 0), Number.POSITIVE_INFINITY);
    assert.deepEqual(connectionBudget(150, 0), {
      ok: false,
      error:
        "file descriptor limit[150] of etcd process is too low, and should be set higher than 150 to ensure internal usage",
    });
  });

  it("gives every side its share, and none that of log and store", () => {
    for (const limit of [200, 1024, 4096, 65_536, 1_048_576]) {
      const budget = connectionBudget(limit, 0);
      assert.ok(budget.ok);
      const { connectionsMax, peerConnectionsMax, metricsConnectionsMax } = budget;
      assert.ok(connectionsMax + peerConnectionsMax + metricsConnectionsMax <= limit - 150);
      assert.ok(peerConnectionsMax >= 6 && metricsConnectionsMax >= 1);
      assert.ok(connectionsMax >= (limit - 150) * 0.8, "clients get most of it");
    }
  });

  it("reads the soft limit", () => {
    assert.equal(
      parseFdLimit(
        "Limit\nMax open files            1024                 524288               files\n",
      ),
      1024,
    );
    assert.equal(
      parseFdLimit("Max open files            unlimited            unlimited            files\n"),
      Infinity,
    );
    assert.equal(parseFdLimit(""), Infinity);
    assert.ok(fdLimit() > 10);
    assert.ok(fdsUsed() > 2);
  });
});

describe("the access log", () => {
  const target = join(root, "access.log");
  const handler: RequestListener = (incoming, response) => {
    if (incoming.url?.includes("wait=true") === true) {
      response.writeHead(200, { "X-Etcd-Index": "7" });
      response.flushHeaders();
      return;
    }
    incoming.resume();
    response.writeHead(201, { "X-Etcd-Index": "12" });
    response.end("{}");
  };

  async function requests(
    asks: readonly {
      method?: string;
      path: string;
      headers?: Record<string, string>;
      body?: string;
      hangUp?: boolean;
    }[],
    serve: RequestListener = handler,
  ) {
    rmSync(target, { force: true });
    const failures: string[] = [];
    const sink = openAccessSink({
      target,
      onDropped: (lines) => failures.push(`dropped ${lines}`),
      onError: (error) => failures.push(error.message),
    });
    const server = createServer(withAccessLog(serve, sink)).listen(0, "127.0.0.1");
    await until("it listens", () => server.listening);
    const { port } = server.address() as AddressInfo;
    for (const { method = "GET", path, headers = {}, body = "", hangUp = false } of asks) {
      await new Promise<void>((resolve) => {
        const asked = request(
          { host: "127.0.0.1", port, method, path, headers, agent: false },
          (response) => {
            if (hangUp) asked.destroy();
            response
              .on("close", resolve)
              .on("error", () => undefined)
              .resume();
          },
        );
        asked.on("error", () => undefined).end(body);
      });
    }
    const read = () =>
      existsSync(target) ? readFileSync(target, "utf8").split("\n").slice(0, -1) : [];
    await until("all lines are there", () => read().length >= asks.length);
    sink.close();
    server.closeAllConnections();
    server.close();
    assert.deepEqual(failures, []);
    return {
      text: read().join("\n"),
      records: read().map((line) => JSON.parse(line) as Record<string, unknown>),
    };
  }

  it("has a line per request with what was asked and answered", async () => {
    const before = Date.now();
    const authorization = `Basic ${Buffer.from("alice:s3cret:pw").toString("base64")}`;
    const { records } = await requests([
      {
        method: "PUT",
        path: "/v2/keys/a%20b/c?prevExist=true&ttl=5",
        headers: { authorization },
        body: "value=1",
      },
      { path: "/v2/members" },
    ]);
    const [put, members] = records;
    assert.ok(put !== undefined && members !== undefined);
    const { time, client, ms, ...rest } = put;
    assert.deepEqual(rest, {
      user: "alice",
      method: "PUT",
      key: "/a%20b/c",
      query: { prevExist: "true", ttl: "5" },
      status: 201,
      index: 12,
    });
    assert.ok(Date.parse(String(time)) >= before - 1);
    assert.match(String(client), /^127\.0\.0\.1:\d+$/);
    assert.ok(typeof ms === "number" && ms >= 0 && ms < 10_000);
    assert.deepEqual([members["path"], members["key"]], ["/v2/members", undefined]);
    assert.equal(statSync(target).mode & 0o777, 0o600);
  });

  it("never has values, passwords or other things a user writes freely", async () => {
    const secret = "hunter2";
    const authorization = `Basic ${Buffer.from(`bob:${secret}`).toString("base64")}`;
    const { text, records } = await requests([
      {
        method: "PUT",
        path: `/v2/keys/k?value=${secret}&prevValue=${secret}&dir=${secret}%20x`,
        headers: { authorization },
        body: `value=${secret}`,
      },
      {
        method: "PUT",
        path: "/v2/auth/users/bob",
        body: JSON.stringify({ user: "bob", password: secret }),
      },
      { path: "/v2/keys/k", headers: { authorization: `Bearer ${secret}` } },
    ]);
    assert.ok(!text.includes(secret), text);
    assert.equal(records[0]?.["user"], "bob");
    assert.equal(records[2]?.["user"], undefined);
  });

  it("takes neither a lone password nor a target's user information for something to show", async () => {
    const lone = `Basic ${Buffer.from("hunter2").toString("base64")}`;
    const { text, records } = await requests([
      { path: "/v2/keys/k", headers: { authorization: lone } },
      { path: "http://bob:hunter2@etcd.example/v2/keys/k?value=hunter2" },
    ]);
    assert.ok(!text.includes("hunter2"), text);
    assert.equal(records[0]?.["user"], undefined);
    assert.equal(records[1]?.["key"], "/k");
  });

  it("shows the path that was sent, whatever routing makes of it", async () => {
    const routing: RequestListener = (incoming, response) => {
      incoming.url = "/";
      handler(incoming, response);
    };
    const { records } = await requests([{ path: "/v2/auth/users/bob" }], routing);
    assert.equal(records[0]?.["path"], "/v2/auth/users/bob");
  });

  it("knows the client of a request line that the runtime does not parse", async () => {
    const lines: string[] = [];
    const sink = { write: (line: string) => lines.push(line), close: () => undefined };
    const server = createServer(createHttpServerOptions(), withAccessLog(handler, sink));
    prepareHttpServer(server);
    server.listen(0, "127.0.0.1");
    await until("it listens", () => server.listening);
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    socket.on("connect", () => {
      const { localPort = 0 } = socket;
      const line = Buffer.from("GET /v2/keys/\u00ff HTTP/1.1\r\nHost: x\r\n\r\n", "latin1");
      lines.push(`127.0.0.1:${localPort}`);
      socket.write(line);
    });
    await until("there is a line", () => lines.length > 1);
    socket.destroy();
    server.close();
    const [address = "", line = ""] = lines;
    const { client, key, status } = JSON.parse(line) as Record<string, unknown>;
    assert.deepEqual({ client, key, status }, { client: address, key: "/%ff", status: 201 });
  });

  it("cannot be forged by a path", async () => {
    const { records } = await requests([{ path: '/v2/keys/a"},{"status":1}%0a{' }]);
    assert.equal(records.length, 1);
    assert.equal(records[0]?.["status"], 201);
  });

  it("tells of watches whose client left", async () => {
    const { records } = await requests([
      { path: "/v2/keys/w?wait=true&recursive=true", hangUp: true },
    ]);
    const [line] = records;
    assert.deepEqual([line?.["aborted"], line?.["status"], line?.["index"]], [true, 200, 7]);
    assert.deepEqual(line?.["query"], { wait: "true", recursive: "true" });
  });

  it("follows rotation of its file", async () => {
    rmSync(target, { force: true });
    const sink = openAccessSink({
      target,
      onDropped: () => assert.fail(),
      onError: (error) => assert.fail(error),
    });
    sink.write("one\n");
    await until("the first line is there", () => readFileSync(target, "utf8") === "one\n");
    renameSync(target, `${target}.1`);
    // Lines go to the old file until the change is noticed.
    let lines = 0;
    await until("the new file is opened", () => {
      sink.write(`${++lines}\n`);
      return existsSync(target) && statSync(target).size > 0;
    });
    sink.close();
    sink.close();
    const all = readFileSync(`${target}.1`, "utf8") + readFileSync(target, "utf8");
    assert.equal(all.split("\n").length, lines + 2);
  });

  it("counts what it has to drop, and refuses to start without its file", () => {
    let dropped = 0;
    const sink = openAccessSink({
      target,
      onDropped: (lines) => (dropped += lines),
      onError: () => undefined,
    });
    const line = `${"x".repeat(1024 * 1024)}\n`;
    for (let n = 0; n < 10; n++) sink.write(line);
    sink.close();
    sink.write("late\n");
    assert.equal(dropped, 8);
    assert.throws(
      () =>
        openAccessSink({
          target: join(root, "no", "file"),
          onDropped: () => undefined,
          onError: () => undefined,
        }),
      /ENOENT/,
    );
  });
});
