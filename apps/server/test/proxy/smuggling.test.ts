/**
 * Nobody gets a request past a proxy that the proxy has not accepted, and none arrives with a body
 * that did not come whole: seeded heaps of ambiguous bytes, and a member that looks at what comes.
 */
import assert from "node:assert/strict";
import { createServer, connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { after, test } from "node:test";
import fc from "fast-check";
import { seedOfRun } from "@etcd2/test-support";
import { cleanups, proxyTo } from "./proxy-harness.ts";

const seed = seedOfRun("smuggling");

after(() => {
  for (const clean of cleanups) clean();
});

/** A member that reads requests in the strictest way there is, and answers each. */
class StrictMember {
  readonly requests: string[] = [];
  readonly faults: string[] = [];
  readonly #server = createServer((socket) => {
    this.#serve(socket);
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => this.#server.close());
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #serve(socket: Socket): void {
    let text = "";
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      for (;;) {
        const used = this.#take(text);
        if (used === 0) return;
        text = text.slice(used);
        socket.write("HTTP/1.1 200 OK\r\nX-Member: yes\r\nContent-Length: 2\r\n\r\nok");
      }
    });
  }

  /** Reads one request; 0 when it is not complete. */
  #take(text: string): number {
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) return 0;
    const [line = "", ...fields] = text.slice(0, end).split("\r\n");
    const isPlain =
      /^[A-Z-]+ [!-~]+ HTTP\/1\.1$/.test(line) &&
      fields.every((field) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*$/.test(field));
    const values = (name: string): string[] =>
      fields
        .filter((field) => field.toLowerCase().startsWith(`${name}:`))
        .map((field) => field.slice(name.length + 2));
    const lengths = values("content-length");
    const encodings = values("transfer-encoding");
    const isFramed =
      lengths.length + encodings.length <= 1 &&
      lengths.every((length) => /^\d+$/.test(length)) &&
      encodings.every((encoding) => encoding === "chunked");
    if (!isPlain || !isFramed || values("host").length !== 1) this.faults.push(text.slice(0, end));
    let used = end + 4;
    if (encodings.length === 0) used += Number(lengths[0] ?? 0);
    else {
      for (let isLast = false; !isLast;) {
        const size = /^([0-9a-f]+)\r\n/.exec(text.slice(used));
        if (size === null) return 0;
        isLast = parseInt(size[1] ?? "", 16) === 0;
        used += size[0].length + parseInt(size[1] ?? "", 16) + 2;
      }
    }
    if (text.length < used) return 0;
    this.requests.push(`${line}\n${text.slice(end + 4, used)}`);
    return used;
  }
}

/** Sends bytes and their end; gives all that comes back. */
function send(url: string, pieces: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1", noDelay: true });
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("close", () => {
      resolve(text);
    });
    for (const piece of pieces) socket.write(piece, "latin1");
    socket.end();
  });
}

const INNER = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
const framing = fc.constantFrom(
  "Content-Length: 6",
  "Content-Length: 5",
  `Content-Length: ${INNER.length}`,
  "Content-Length: 0",
  "Content-Length: 06",
  "Content-Length : 6",
  "Content-Length: 6, 6",
  "Content-Length: +6",
  "Content_Length: 6",
  "Content-Length:\r\n 6",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding:\tchunked",
  "Transfer-Encoding:\x0bchunked",
  "Transfer-Encoding: chunked, identity",
  "Transfer-Encoding: identity",
  "Transfer-Encoding:\r\n chunked",
  "X: y\rTransfer-Encoding: chunked",
  "X: y\0\r\nContent-Length: 6",
  "X: y\nTransfer-Encoding: chunked",
  "Connection: Content-Length",
  "Connection: Transfer-Encoding, close",
  "Connection: Upgrade\r\nUpgrade: h2c",
  "Expect: 100-continue",
  "TE: chunked",
);
const body = fc.constantFrom(
  "",
  "value=",
  "0\r\n\r\n",
  `0\r\n\r\n${INNER}`,
  INNER,
  `6\r\nvalue=\r\n0\r\n\r\n${INNER}`,
  `6;a="\r\nvalue=\r\n0\r\n\r\n`,
  `6\nvalue=\r\n0\nX: y\r\n\r\n`,
  `6;${"x".repeat(5000)}\r\nvalue=\r\n0\r\n\r\n`,
  "00000000000000000006\r\nvalue=\r\n0\r\n\r\n",
  "6\r\nvalue=XX0\r\n\r\n",
  `6 \r\nvalue=\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n${INNER}`,
);
const line = fc.constantFrom(
  "GET /v2/keys/a HTTP/1.1",
  "PUT /v2/keys/a HTTP/1.1",
  "POST /v2/keys/a HTTP/1.0",
  "DELETE /v2/keys/a HTTP/1.1",
  "delete /v2/keys/a HTTP/1.1",
  "FOO /v2/keys/\xe9 HTTP/1.1",
  "GET http://y/v2/keys/a HTTP/1.1",
  "GET /v2/keys/a?x=\r HTTP/1.1",
  "GET /v2/keys/a HTTP/1.1\r\nX: y",
);
const attack = fc
  .tuple(line, fc.array(framing, { maxLength: 3 }), fc.constantFrom("\r\n", "\n"), body)
  .map(([first, fields, end, rest]) =>
    [first, "Host: x", ...fields, "", rest].join(end === "\n" ? "\n" : "\r\n"),
  );

test("a member behind a proxy sees one request for every one that is answered", async () => {
  const member = new StrictMember();
  const { url } = await proxyTo([await member.start()]);
  await fc.assert(
    fc.asyncProperty(
      fc.array(attack, { minLength: 1, maxLength: 3 }),
      fc.nat(),
      async (all, at) => {
        const before = member.requests.length;
        const bytes = all.join("");
        const cut = at % bytes.length;
        const text = await send(url, [bytes.slice(0, cut), bytes.slice(cut)]);
        const answered = text.split("X-Member: yes").length - 1;
        // The last one may reach the member and its answer no longer the client that closed.
        const seen = member.requests.slice(before);
        assert.equal(seen.length, answered, JSON.stringify([bytes, text, seen]));
        assert.deepEqual(member.faults, []);
        assert.ok(!seen.some((request) => request.startsWith("delete")));
      },
    ),
    { seed, numRuns: 600 },
  );
  assert.ok(member.requests.length > 0);
});

test("a body that does not come whole never reaches a member whole", async () => {
  const member = new StrictMember();
  const { url } = await proxyTo([await member.start()]);
  const head = (line: string, framing: string): string =>
    `${line} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n${framing}\r\n\r\n`;
  const bodies = [
    ["Content-Length: 20", "value=1"],
    ["Content-Length: 20", ""],
    ["Transfer-Encoding: chunked", "7\r\nvalue=1\r\n"],
    ["Transfer-Encoding: chunked", "7\r\nvalue=1\r\n0\r\n"],
    ["Transfer-Encoding: chunked", "7\r\nvalue=1XX0\r\n\r\n"],
    ["Transfer-Encoding: chunked", "7\r\nvalue=1\r\nx\r\n"],
  ] as const;
  for (const line of [
    "PUT /v2/keys/a",
    "POST /v2/keys/a",
    "DELETE /v2/keys/a",
    "POST /v2/members",
  ]) {
    for (const [framing, rest] of bodies) {
      const text = await send(url, [head(line, framing), rest]);
      assert.match(text, /^HTTP\/1\.1 400 /, `${line} ${framing} ${rest}`);
    }
  }
  assert.deepEqual(member.requests, []);
  const answer = await send(url, [head("GET /v2/keys/a", "X: y")]);
  assert.match(answer, /X-Member: yes/);
  assert.equal(member.requests.length, 1);
});
