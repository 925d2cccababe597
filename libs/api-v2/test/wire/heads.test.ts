import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { startFakeServer } from "../fake-server.ts";
import { endOfPlainHead, plainBodyBytes } from "../../src/wire/plain-head.ts";
import { rewriteHead } from "../../src/wire/rewrite-head.ts";
import { seed } from "../seed.ts";

const line = fc.constantFrom(
  "GET /v2/keys HTTP/1.1",
  "PUT /v2/keys/a?b HTTP/1.1",
  "PUT /v2/keys/\xe9 HTTP/1.1",
  "DELETE http://y/a HTTP/1.1",
  "POST /v2/keys HTTP/1.0",
  "GET / HTTP/1.7",
  "CONNECT y:80 HTTP/1.1",
  "FOO /a HTTP/1.1",
  "GET  / HTTP/1.1",
  "GET /\t HTTP/1.1",
);
const header = fc.constantFrom(
  "Host: x",
  "host:x",
  "Host: a b",
  "Content-Length: 3",
  "content-length: 3",
  "Content-Length: 4",
  "Content-Length:",
  "Content-Length: +3",
  "Content-Length : 3",
  "Transfer-Encoding: chunked",
  "TRANSFER-ENCODING: Chunked",
  "Transfer-Encoding: x",
  "Transfer-Encoding:",
  "Upgrade: h2c",
  "Connection: Upgrade",
  "A: b",
  "A:",
  ": b",
  "A\0: b",
  "A: b\rContent-Length: 3",
  "A: \xe9",
  " folded",
  "\tContent-Length: 3",
);
const lineEnd = fc.constantFrom("\r\n", "\r\n", "\r\n", "\n", "\r\r\n");
const head = fc
  .tuple(line, fc.array(fc.tuple(header, lineEnd), { maxLength: 6 }), lineEnd)
  .map(([first, headers, end]) => {
    const fields = headers.map(([text, ending]) => text + ending);
    return `${first}${end}Host: x\r\n${fields.join("")}\r\n`;
  });

/** Heads with every Host given once, so that more of them are taken. */
const heads = fc.oneof(
  head,
  head.map((text) => text.replace("Host: x\r\n", "")),
);

test("a plain head means what it means when it is read liberally", () => {
  let plain = 0;
  fc.assert(
    fc.property(heads, (text) => {
      const bytes = Buffer.from(`${text}rest`, "latin1");
      const end = endOfPlainHead(bytes, 0);
      if (end === 0) return;
      plain++;
      const body = plainBodyBytes;
      assert.equal(bytes.toString("latin1", 0, end), text);
      const read = rewriteHead(text);
      assert.ok(read.kind === "canonical", text);
      assert.equal(read.body, body);
    }),
    { seed, numRuns: 5000 },
  );
  assert.ok(plain > 0);
});

test("what is written anew is plain, or frames its body in the one way there is", () => {
  fc.assert(
    fc.property(heads, (text) => {
      const read = rewriteHead(text);
      if (read.kind === "refused") return;
      const lines = read.text.split("\r\n");
      assert.deepEqual(lines.slice(-2), ["", ""]);
      assert.match(lines[0] ?? "", /^[A-Z]+ [!-~]+ HTTP\/1\.[01]$/);
      for (const field of lines.slice(1, -2)) {
        assert.match(field, /^[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*$/);
      }
      const named = (name: string): number =>
        lines.filter((field) => field.toLowerCase().startsWith(`${name}:`)).length;
      assert.ok(named("host") <= 1);
      assert.equal(named("upgrade"), 0);
      assert.ok(named("content-length") + named("transfer-encoding") <= 1);
      assert.equal(read.body === "chunked", named("transfer-encoding") === 1);
      // Nothing changes when it is read once more.
      const again = rewriteHead(read.text);
      assert.ok(again.kind === "canonical");
      assert.equal(again.body, read.body);
    }),
    { seed, numRuns: 5000 },
  );
});

test("the parser takes everything that it is given", async () => {
  const running = await startFakeServer();
  const taken = fc.sample(heads, { seed, numRuns: 2000 }).filter((text) => {
    const read = rewriteHead(text);
    return read.kind === "canonical" && read.body === 0;
  });
  assert.ok(taken.length > 20);
  for (const text of taken) {
    const socket = running.connect();
    let answers = "";
    socket.on("data", (chunk: Buffer) => (answers += chunk.toString("latin1")));
    const over = new Promise((resolve) => socket.once("end", resolve).once("close", resolve));
    socket.end(text, "latin1");
    await over;
    // A parser that gave up would have said 400 with this body; routes may for their own reasons.
    assert.doesNotMatch(answers, /\r\n\r\n400 Bad Request$/, JSON.stringify(text));
    assert.match(answers, /^HTTP\/1\.[01] \d{3}/, JSON.stringify(text));
  }
  await running.close();
});
