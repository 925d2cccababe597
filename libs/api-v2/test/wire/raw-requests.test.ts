/**
 * What the original answers to raw bytes, recorded from etcd 3.4.23 (Go's net/http) with every
 * request sent behind a first ordinary one and followed by the end of the sending side. The table
 * also says where this server answers otherwise on purpose, and why.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { after, before, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { startFakeServer, type RunningFake } from "../fake-server.ts";
import { statusesOf } from "./answers.ts";

interface Recorded {
  readonly name: string;
  /** Bytes as a byte string. */
  readonly request: string;
  /** Version and status of every answer of the original. */
  readonly original: readonly string[];
  /** Where they differ here. */
  readonly here?: readonly string[];
  readonly why?: string;
}

const table = JSON.parse(
  readFileSync(new URL("../fixtures/raw-requests.json", import.meta.url), "utf8"),
) as readonly Recorded[];

let running: RunningFake;
before(async () => {
  running = await startFakeServer();
});
after(() => running.close());

/** Sends pieces one after another, ends, and gives all that comes back. */
async function answersTo(socket: Duplex, pieces: readonly string[]): Promise<string> {
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  socket.on("error", () => undefined);
  const over = new Promise((resolve) => socket.once("close", resolve).once("end", resolve));
  for (const piece of pieces) {
    socket.write(piece, "latin1");
    await turn();
  }
  socket.end();
  await over;
  socket.destroy();
  return text;
}

function tcp(): Duplex {
  const { hostname, port } = new URL(running.baseUrl);
  return connect({ port: Number(port), host: hostname, noDelay: true });
}

/** Whether a key was new depends on what was tried before. */
function alike(statuses: readonly string[]): string {
  return statuses.join(", ").replaceAll(" 201", " 200");
}

const wanted = ({ original, here }: Recorded): string => alike(here ?? original);

test("raw requests are answered as the original does, or as the table says", async () => {
  for (const recorded of table) {
    const text = await answersTo(tcp(), [recorded.request]);
    assert.equal(alike(statusesOf(text)), wanted(recorded), recorded.name);
  }
});

test("a difference from the original has a reason", () => {
  for (const { name, original, here, why } of table) {
    if (here === undefined) continue;
    assert.notEqual(alike(original), alike(here), name);
    assert.ok(why, name);
  }
});

test("it makes no difference how the bytes are split over packets", async () => {
  for (const recorded of table) {
    const { name, request } = recorded;
    for (let at = 1; at < request.length; at++) {
      const pieces = [request.slice(0, at), request.slice(at)];
      const text = await answersTo(running.connect(), pieces);
      assert.equal(alike(statusesOf(text)), wanted(recorded), `${name}, split at ${String(at)}`);
    }
    const bytes = await answersTo(tcp(), Array.from(request));
    assert.equal(alike(statusesOf(bytes)), wanted(recorded), `${name}, byte by byte`);
  }
});

test("every request of the table is answered behind another one too", async () => {
  const first = "GET /v2/keys HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const recorded of table) {
    const text = await answersTo(tcp(), [first + recorded.request]);
    assert.equal(alike(statusesOf(text)), `1.1 200, ${wanted(recorded)}`, recorded.name);
  }
});
