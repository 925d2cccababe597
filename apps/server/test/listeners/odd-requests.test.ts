/** What is odd on the wire is taken and refused alike on every kind of listener. */
import assert from "node:assert/strict";
import type { ServerOptions } from "node:http";
import { connect as connectPlain } from "node:net";
import type { Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import { createHttpServerOptions, prepareHttpServer } from "@etcd2/api-v2";
import { freePort } from "@etcd2/test-support";
import { parseSocketUrl } from "../../src/config/urls.ts";
import { ClientListeners } from "../../src/listeners/listeners.ts";
import type { TlsSide } from "../../src/tls/tls-side.ts";
import { makeSide, text, withPair } from "../tls/tls-harness.ts";

/** Bytes, and the statuses of their answers. */
const REQUESTS: readonly (readonly [string, string])[] = [
  ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "1.1 200"],
  ["GET / HTTP/1.0\n\n", "1.0 200"],
  ["GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "1.1 200"],
  ["PUT / HTTP/1.1\nHost: x\nContent-Length: 3\nContent-Length: 3\n\nabc", "1.1 200"],
  [
    "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n",
    "1.1 200",
  ],
  [
    "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "1.1 200, 1.1 200",
  ],
  ["GET / HTTP/1.1\r\nHost: x\r\n\r\nNONSENSE\r\n\r\n", "1.1 200, 1.1 400"],
  ["PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab", "1.1 400"],
  ["GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "1.1 400"],
  ["GET / HTTP/2.0\r\nHost: x\r\n\r\n", "1.1 505"],
  [`GET / HTTP/1.1\r\nHost: x\r\n${"a:b\r\n".repeat(9_000)}\r\n`, "1.1 200"],
  [`GET / HTTP/1.1\r\nHost: x\r\n${"a:b\r\n".repeat(20_000)}\r\n`, "1.1 431"],
  [`PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n${"x".repeat(300_000)}`, "1.1 200"],
];

const LISTENERS = ["http://127.0.0.1", "http://[::1]", "https://127.0.0.1", "https://[::1]"];

let side: TlsSide;
let listeners: ClientListeners;
const ports = new Map<string, number>();

before(async () => {
  side = await makeSide(withPair("ca/server"));
  const urls = [];
  for (const listener of LISTENERS) {
    const port = await freePort();
    ports.set(listener, port);
    const url = parseSocketUrl(`${listener}:${port}`);
    assert.ok(url.ok);
    urls.push(url.value);
  }
  listeners = new ClientListeners({
    urls,
    http: createHttpServerOptions() as ServerOptions,
    tls: side.serverOptions(),
    onServer: prepareHttpServer,
    connectionsMax: 1000,
    onShed: () => assert.fail(),
  });
  await listeners.listen();
  listeners.open((request, response) => {
    request.resume().on("end", () => response.end("ok"));
  });
});

after(async () => {
  await listeners.close(0);
  side.close();
});

function dial(listener: string): Socket {
  const port = ports.get(listener) ?? assert.fail();
  const host = listener.includes("::1") ? "::1" : "127.0.0.1";
  if (listener.startsWith("http:")) return connectPlain({ host, port, allowHalfOpen: true });
  return Object.assign(connectTls({ host, port, ca: text("ca/ca.pem") }), { allowHalfOpen: true });
}

function statuses(listener: string, pieces: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let answers = "";
    const socket = dial(listener).setNoDelay();
    socket.on("error", reject);
    socket.on("data", (chunk: Buffer) => (answers += chunk.toString("latin1")));
    socket.on("end", () => {
      socket.destroy();
      const found = answers.matchAll(/HTTP\/(1\.[01] \d{3})/g);
      resolve(Array.from(found, ([, status]) => status).join(", "));
    });
    for (const piece of pieces) socket.write(piece, "latin1");
    socket.end();
  });
}

describe("odd requests", () => {
  for (const listener of LISTENERS) {
    it(`are answered alike on ${listener}`, async () => {
      for (const [bytes, wanted] of REQUESTS) {
        const name = JSON.stringify(bytes.slice(0, 100));
        assert.equal(await statuses(listener, [bytes]), wanted, name);
        const half = Math.floor(bytes.length / 2);
        const pieces = [bytes.slice(0, half), bytes.slice(half)];
        assert.equal(await statuses(listener, pieces), wanted, `${name}, in two`);
        if (bytes.length < 200) {
          assert.equal(
            await statuses(listener, Array.from(bytes)),
            wanted,
            `${name}, byte by byte`,
          );
        }
      }
    });
  }
});
