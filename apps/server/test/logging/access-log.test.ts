/** Lines of the access log, and the files that they go to. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import type { RequestListener } from "node:http";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { until } from "@etcd2/test-support";
import { createHttpServerOptions, prepareHttpServer } from "@etcd2/api-v2";
import { withAccessLog } from "../../src/logging/access-log.ts";
import { openAccessSink } from "../../src/logging/access-sink.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-access-log-"));
after(() => {
  rmSync(root, { recursive: true });
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
