/**
 * Peers whose URLs name hosts: what is looked up, and what is dialled. Names are answered by a table
 * in this process; the HTTP/2 server is a real one on loopback.
 */
import assert from "node:assert/strict";
import { createServer } from "node:http2";
import type { Http2Server, ServerHttp2Stream } from "node:http2";
import dns from "node:dns/promises";
import { syncBuiltinESMExports } from "node:module";
import { after, afterEach, before, beforeEach, describe, it, mock } from "node:test";
import type { Client, StatusObject } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import { createPeerClient } from "../../src/transport/peer-client.ts";

const DEADLINE_MS = 60_000;

/** What the names stand for. */
let hosts: Map<string, readonly string[]>;
let lookedUp: string[];
let server: Http2Server;
let port: number;
/** The hosts that calls were meant for. */
let authorities: (string | undefined)[];
const clients: Client[] = [];

function answer(host: string): Promise<readonly { address: string; family: number }[]> {
  lookedUp.push(host);
  const addresses = hosts.get(host);
  if (addresses !== undefined) {
    return Promise.resolve(addresses.map((address) => ({ address, family: 4 })));
  }
  const error = new Error(`getaddrinfo ENOTFOUND ${host}`);
  return Promise.reject(Object.assign(error, { code: "ENOTFOUND" }));
}

before(async () => {
  mock.method(dns, "lookup", answer);
  syncBuiltinESMExports();
  server = createServer();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    authorities.push(headers[":authority"]);
    const answer = {
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": "0",
    };
    stream.respond(answer, { endStream: true });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  port = address.port;
});

after(() => {
  mock.restoreAll();
  syncBuiltinESMExports();
  server.close();
});

beforeEach(() => {
  hosts = new Map();
  lookedUp = [];
  authorities = [];
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

function client(host: string): Client {
  const made = createPeerClient({
    url: `http://${host}:${String(port)}`,
    credentials: undefined,
    frameBytesMax: 1_000_000,
  });
  clients.push(made);
  return made;
}

function connected(to: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    to.waitForReady(Date.now() + DEADLINE_MS, (error) => {
      if (error instanceof Error) reject(error);
      else resolve();
    });
  });
}

/** Makes a call; resolves with the details of its failure, "" when an empty answer came. */
function call(by: Client): Promise<string> {
  const bytes = (value: Buffer): Buffer => value;
  return new Promise((resolve) => {
    const stream = by.makeServerStreamRequest("/etcd2.Test/Call", bytes, bytes, Buffer.alloc(0));
    stream.on("data", () => undefined);
    stream.on("error", () => undefined);
    stream.on("status", ({ code, details }: StatusObject) => {
      resolve(code === status.OK ? "" : details);
    });
  });
}

describe("a peer", () => {
  for (const host of ["etcd.1", "etcd_3", "1.2.3", "0x7f.1", "etcd-2.etcd.svc", "node.4."]) {
    it(`named ${host} is looked up under this very name, and the call names it`, async () => {
      hosts.set(host, ["127.0.0.1"]);
      const peer = client(host);
      await connected(peer);
      assert.equal(await call(peer), "");
      assert.deepEqual(new Set(lookedUp), new Set([host]));
      assert.deepEqual(authorities, [`${host}:${String(port)}`]);
    });
  }

  it("given by its address is not looked up", async () => {
    await connected(client("127.0.0.1"));
    assert.deepEqual(lookedUp, []);
  });

  it("with several addresses is reached at the one that answers", async () => {
    hosts.set("etcd.2", ["127.0.0.2", "127.0.0.1"]);
    await connected(client("etcd.2"));
  });

  it("that nobody knows fails with its name, and is found once it is known", async () => {
    const peer = client("etcd.9");
    assert.match(await call(peer), /lookup etcd\.9: no such host/);
    hosts.set("etcd.9", ["127.0.0.1"]);
    await connected(peer);
  });

  it("that moves is looked up again when its old address is dead", async () => {
    hosts.set("etcd.5", ["127.0.0.2"]);
    const peer = client("etcd.5");
    assert.match(await call(peer), /ECONNREFUSED/);
    hosts.set("etcd.5", ["127.0.0.1"]);
    await connected(peer);
  });
});
