/** Connections nobody needs go; those somebody waits on stay; every listener has its bound. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { createHttpServerOptions, prepareHttpServer } from "@etcd2/api-v2";
import { createPeerServer } from "@etcd2/raft";
import { freePort, until } from "@etcd2/test-support";
import type { ServerOptions } from "node:http";
import { ConnectionSweep } from "../../src/listeners/connection-sweep.ts";
import { ClientListeners } from "../../src/listeners/listeners.ts";
import { parseSocketUrl } from "../../src/config/urls.ts";

describe("the sweep", () => {
  const limits = { idleMs: 1000, scarceIdleMs: 100, stuckMs: 500 };
  const socket = (): {
    bytesRead: number;
    bytesWritten: number;
    writableLength: number;
    _httpMessage: unknown;
  } => ({ bytesRead: 10, bytesWritten: 20, writableLength: 0, _httpMessage: null });

  it("finds connections that are idle, sooner when they are scarce", () => {
    const sweep = new ConnectionSweep(limits);
    const idle = socket();
    sweep.add(idle, 0);
    assert.deepEqual(sweep.due(10, true), [], "seen for the first time");
    assert.deepEqual(sweep.due(109, true), []);
    assert.deepEqual(sweep.due(110, true), [idle]);
    assert.deepEqual(sweep.due(1009, false), []);
    idle.bytesRead = 11;
    assert.deepEqual(sweep.due(1010, false), [], "it has just sent something");
    assert.deepEqual(sweep.due(2010, false), [idle]);
    sweep.delete(idle);
    assert.deepEqual(sweep.due(9999, true), []);
  });

  it("leaves alone who waits for an answer, and who has not asked yet", () => {
    const sweep = new ConnectionSweep(limits);
    const poll = { ...socket(), _httpMessage: {} };
    const silent = { ...socket(), bytesRead: 0, bytesWritten: 0 };
    for (const each of [poll, silent]) sweep.add(each, 0);
    sweep.due(1, true);
    assert.deepEqual(sweep.due(1e9, true), []);
  });

  it("finds clients that take nothing of their answer", () => {
    const sweep = new ConnectionSweep(limits);
    const stuck = { ...socket(), writableLength: 15, _httpMessage: {} };
    const slow = { ...socket(), writableLength: 15, _httpMessage: {} };
    for (const each of [stuck, slow]) sweep.add(each, 0);
    sweep.due(0, false);
    // One byte more is written to both, and one of them takes a byte.
    stuck.bytesWritten += 1;
    stuck.writableLength += 1;
    slow.bytesWritten += 1;
    assert.deepEqual(sweep.due(500, false), [stuck]);
  });
});

/** A plain connection that says when it was closed. */
function dial(port: number, request = ""): Promise<{ socket: Socket; isClosed: () => boolean }> {
  return new Promise((resolve, reject) => {
    let isClosed = false;
    const socket = connect(port, "127.0.0.1", () => {
      socket.write(request);
      resolve({ socket, isClosed: () => isClosed });
    });
    socket.on("error", reject);
    socket.resume();
    socket.on("close", () => (isClosed = true));
    socket.on("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => undefined);
    });
  });
}

const GET = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe("a client listener", () => {
  it("closes idle and stuck connections, counts them, and cuts no long poll", async () => {
    const port = await freePort();
    const url = parseSocketUrl(`http://127.0.0.1:${port}`);
    assert.ok(url.ok);
    let swept = 0;
    const listeners = new ClientListeners({
      urls: [url.value],
      http: createHttpServerOptions() as ServerOptions,
      tls: undefined,
      onServer: prepareHttpServer,
      connectionsMax: 100,
      onShed: () => undefined,
      onSwept: () => (swept += 1),
      sweepLimits: { idleMs: 150, scarceIdleMs: 150, stuckMs: 150 },
      sweepIntervalMs: 20,
    });
    await listeners.listen();
    const finish: (() => void)[] = [];
    listeners.open((request, response) => {
      if (request.url === "/poll") {
        response.writeHead(200).flushHeaders();
        finish.push(() => response.end("late"));
      } else if (request.url === "/large") {
        response.end(Buffer.alloc(32 << 20));
      } else response.end("now");
    });
    const idle = await dial(port, GET("/"));
    const poll = await dial(port, GET("/poll"));
    let polled = "";
    poll.socket.on("data", (part: Buffer) => (polled += part.toString("latin1")));
    const stuck = await dial(port, GET("/large"));
    stuck.socket.pause();
    await until("the idle connection is closed", idle.isClosed);
    await until("the stuck one is closed too", () => listeners.connections === 1);
    assert.equal(swept, 2);
    assert.equal(poll.isClosed(), false);
    for (const end of finish) end();
    await until("the long poll is answered", () => polled.includes("late"));
    stuck.socket.destroy();
    await until("what was answered is idle now", poll.isClosed);
    await listeners.close(0);
  });
});

describe("the peer listener", () => {
  it("has a bound of connections of its own", async () => {
    const server = await createPeerServer({
      addresses: ["http://127.0.0.1:0"],
      connectionsMax: 3,
    });
    const port = server.listeners[0]?.port ?? 0;
    const dialled = await Promise.all(Array.from({ length: 8 }, () => dial(port)));
    const closed = (): number => dialled.filter(({ isClosed }) => isClosed()).length;
    await until("those beyond it are closed", () => closed() === 5);
    for (const { socket } of dialled) socket.destroy();
    await server.close();
  });

  it("closes connections without a call, so that nobody can hold them all", async () => {
    const server = await createPeerServer({ addresses: ["http://127.0.0.1:0"], idleMs: 100 });
    const port = server.listeners[0]?.port ?? 0;
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const [silent, polite] = [await dial(port), await dial(port, preface)];
    await until("the one that says nothing is closed", silent.isClosed);
    await until("and the one that speaks HTTP/2", polite.isClosed);
    await server.close();
  });
});
