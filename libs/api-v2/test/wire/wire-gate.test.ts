import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { RawConnection } from "@etcd2/test-support/traces";
import { startFakeServer, until, type RunningFake } from "../fake-server.ts";
import { answersIn, statusesOf } from "./answers.ts";

const FORM = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON_TYPE = "Content-Type: application/json\r\n";

let running: RunningFake;
before(async () => {
  running = await startFakeServer();
});
after(() => running.close());
beforeEach(() => {
  running.server.delayMs = 0;
});

/** Sends bytes, perhaps the end of the sending side, and gives what comes until the other end. */
function exchange(bytes: string, isHalf = true): Promise<string> {
  const { hostname, port } = new URL(running.baseUrl);
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", reject);
    socket.on("end", () => {
      socket.destroy();
      resolve(text);
    });
    socket.write(bytes, "latin1");
    if (isHalf) socket.end();
  });
}

const request = (line: string, headers = "", body = ""): string =>
  `${line} HTTP/1.1\r\nHost: x\r\n${headers}\r\n${body}`;

const put = (key: string, value: string): string => {
  const body = `value=${value}`;
  return request(`PUT /v2/keys${key}`, `${FORM}Content-Length: ${String(body.length)}\r\n`, body);
};

async function ask(target: string): Promise<string> {
  return answersIn(await exchange(request(`GET ${target}`)))[0]?.body ?? "";
}

/** Bodies that are announced and do not come whole. */
const BROKEN: readonly (readonly [string, string])[] = [
  ["Content-Length: 40\r\n", ""],
  ["Content-Length: 40\r\n", "value=9"],
  ["Expect: 100-continue\r\nContent-Length: 40\r\n", ""],
  ["Transfer-Encoding: chunked\r\n", ""],
  ["Transfer-Encoding: chunked\r\n", "7\r\nvalue=9\r\n"],
  ["Transfer-Encoding: chunked\r\n", "7\r\nvalue=9\r\n0\r\n"],
  ["Transfer-Encoding: chunked\r\n", "7\r\nvalue=9\r\n0\r\nX: y\r\n"],
  ["Transfer-Encoding: chunked\r\n", "7\r\nvalue=9XX0\r\n\r\n"],
  ["Transfer-Encoding: chunked\r\n", "7\r\nvalue=9\r\nzz\r\n"],
  ["Transfer-Encoding: chunked\r\n", "000000000000000000007\r\nvalue=9\r\n0\r\n\r\n"],
];

test("nothing is carried out before its announced body has come", async () => {
  await exchange(put("/whole", "1") + put("/dir/a", "1"));
  await exchange(
    request(
      "PUT /v2/auth/users/u",
      `${JSON_TYPE}Content-Length: 29\r\n`,
      '{"user":"u","password":"pw1"}',
    ),
  );
  const lines = [
    ...[FORM, "", JSON_TYPE].flatMap((type) =>
      ["PUT /v2/keys/whole", "PUT /v2/keys/new?value=7", "POST /v2/keys/dir?value=7"].map(
        (line) => [line, type] as const,
      ),
    ),
    ["DELETE /v2/keys/whole", ""],
    ["DELETE /v2/keys/dir?recursive=true", FORM],
    ["PUT /v2/keys/whole?ttl=1", FORM],
    ["POST /v2/members", JSON_TYPE],
    ["PUT /v2/members/1", JSON_TYPE],
    ["DELETE /v2/members/1", ""],
    ["PUT /v2/auth/users/v", JSON_TYPE],
    ["DELETE /v2/auth/users/u", ""],
    ["PUT /v2/auth/roles/r", JSON_TYPE],
    ["PUT /v2/auth/enable", ""],
    ["DELETE /v2/auth/enable", ""],
    ["PUT /config/local/log", JSON_TYPE],
  ] as const;
  const state = async (): Promise<string> =>
    (
      await Promise.all(
        [
          "/v2/keys?recursive=true&sorted=true",
          "/v2/members",
          "/v2/auth/users",
          "/v2/auth/roles",
          "/v2/auth/enable",
        ].map(ask),
      )
    ).join("\n") + running.server.logLevel;
  const before = await state();
  for (const [line, type] of lines) {
    for (const [framing, body] of BROKEN) {
      const text = await exchange(request(line, type + framing, body));
      const name = JSON.stringify([line, type, framing, body]);
      const answers = answersIn(text).filter(({ status }) => status !== "1.1 100");
      assert.deepEqual(
        answers.map(({ status }) => status),
        ["1.1 400"],
        name,
      );
      assert.match(answers[0]?.head ?? "", /\r\nConnection: close/, name);
      assert.equal(await state(), before, name);
    }
  }
  assert.deepEqual(running.server.logLines, []);
});

test("a client that goes away inside a body leaves nothing behind either", async () => {
  await exchange(put("/gone", "1"));
  for (const [framing, body] of BROKEN) {
    const { hostname, port } = new URL(running.baseUrl);
    const socket = connect({ port: Number(port), host: hostname });
    socket.on("error", () => undefined);
    socket.write(request("DELETE /v2/keys/gone", framing, body));
    await until(() => socket.bytesWritten > 0);
    socket.resetAndDestroy();
  }
  assert.match(await ask("/v2/keys/gone"), /"value":"1"/);
});

test("a broken form and a broken document are refused in the words of etcd 2.3.8", async () => {
  const form = await exchange(request("PUT /v2/keys/a", `${FORM}Content-Length: 9\r\n`, "value"));
  assert.equal(
    answersIn(form)[0]?.body,
    '{"errorCode":210,"message":"Invalid POST form","cause":"unexpected EOF","index":0}\n',
  );
  const document = await exchange(
    request("POST /v2/members", `${JSON_TYPE}Content-Length: 9\r\n`, '{"peer'),
  );
  assert.equal(answersIn(document)[0]?.body, '{"message":"unexpected EOF"}');
});

test("a write that is followed by too many bytes is answered, and then these are refused", async () => {
  const head = `${FORM}Content-Length: 10\r\n`;
  // Counted in characters by its client.
  const write = request("PUT /v2/keys/rest", head, "value=\xc3\xbcber");
  const [written, refused] = answersIn(await exchange(write));
  assert.match(written?.body ?? "", /"value":"\xc3\xbcbe"/);
  assert.equal(refused?.status, "1.1 400");
  assert.match(await ask("/v2/keys/rest"), /"value":"\xc3\xbcbe"/);
});

test("a complaint comes behind the answers to everything before it", async () => {
  running.server.delayMs = 20;
  const bad = [
    "NONSENSE\r\n\r\n",
    "\x16\x03\x01\x02",
    request("GET /a", "a\0: b\r\n"),
    "GET  / HTTP/1.1\r\n\r\n",
  ];
  for (const rest of bad) {
    const text = await exchange(put("/order", "1") + put("/order", "2") + rest, false);
    const [first, second, third, ...more] = answersIn(text);
    assert.match(first?.body ?? "", /"value":"1"/);
    assert.match(second?.body ?? "", /"value":"2"/);
    assert.equal(third?.status, "1.1 400");
    assert.deepEqual(more, []);
  }
});

test("a complaint about what follows a watch waits for its end", async () => {
  const connection = await RawConnection.open(running.baseUrl);
  connection.write(request("GET /v2/keys/bad-behind?wait=true") + "NONSENSE\r\n\r\n");
  const watch = await connection.head(5000, "GET");
  await exchange(put("/bad-behind", "1"));
  assert.ok(await connection.receive(5000));
  assert.match(watch.body, /"value":"1"/);
  assert.equal((await connection.head(5000, "GET")).status, 400);
  assert.ok(await connection.closed(5000));
  connection.close();
});

test("a hundred requests of all kinds in one packet get a hundred answers in order", async () => {
  const kinds = (n: string): readonly (readonly [string, string])[] => [
    [put("/hundred", n), "200"],
    [`GET /v2/keys/hundred HTTP/1.1\nHost: x\n\n`, "200"],
    [request("GET /v2/keys/\xe9none"), "404"],
    [request("FOO /version"), "405"],
    [request("GET /version", "Connection: Upgrade\r\nUpgrade: websocket\r\n"), "200"],
    [
      request(
        "PUT /v2/keys/hundred",
        `${FORM}Transfer-Encoding: chunked\r\n`,
        `7;x=y\r\nvalue=${n.at(-1) ?? ""}\r\n0\r\n\r\n`,
      ),
      "200",
    ],
    [request("DELETE /v2/keys/none", "Content-Length: 3\r\n", "abc"), "404"],
    [request("GET /version", "A: b\r\n c\r\n"), "200"],
    [request("GET http://y/version"), "200"],
    [request("OPTIONS *"), "200"],
  ];
  await exchange(put("/hundred", "0"));
  const all = Array.from({ length: 10 }, (_, n) => kinds(String(n))).flat();
  const text = await exchange(all.map(([bytes]) => bytes).join(""));
  assert.deepEqual(
    statusesOf(text),
    all.map(([, status]) => `1.1 ${status}`),
  );
});

test("a request behind an Upgrade is answered", async () => {
  const upgrades = [
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n",
    "connection: keep-alive, UPGRADE\r\nupgrade: TLS/1.0, HTTP/2.0\r\n",
  ];
  for (const upgrade of upgrades) {
    const body = `Content-Length: 7\r\n`;
    const text = await exchange(
      request("PUT /v2/keys/up", FORM + body + upgrade, "value=1") +
        request("GET /v2/keys/up", upgrade) +
        request("GET /version"),
    );
    assert.equal(answersIn(text).length, 3, upgrade);
  }
});

test("HTTP/1.0 is answered in HTTP/1.0, never in chunks, and goes on when asked to", async () => {
  await exchange(put("/long", "x".repeat(5000)));
  const keep = "Connection: keep-alive\r\nTE: chunked\r\n";
  const text = await exchange(
    `GET /version HTTP/1.0\r\n${keep}\r\nHEAD /v2/keys/long HTTP/1.0\r\n${keep}\r\n`,
    false,
  );
  assert.deepEqual(statusesOf(text), ["1.0 200", "1.0 200"]);
  const long = await exchange(`GET /v2/keys/long HTTP/1.0\r\n${keep}\r\n`, false);
  assert.doesNotMatch(long, /Transfer-Encoding/i);
  assert.match(answersIn(long)[0]?.body ?? "", /^\{.*x{5000}.*\}\n$/);
  const connection = await RawConnection.open(running.baseUrl);
  connection.write(`GET /v2/keys/stream?wait=true&stream=true HTTP/1.0\r\n${keep}\r\n`);
  const stream = await connection.head(5000, "GET");
  assert.equal(stream.headers.get("transfer-encoding"), undefined);
  for (const value of ["1", "2"]) {
    await exchange(put("/stream", value));
    const seen = `"value":"${value}"`;
    assert.ok(await connection.receive(5000, ({ body }) => body.includes(seen)));
  }
  connection.close();
});

test("a body is asked for when the request waits for that, and only then", async () => {
  const connection = await RawConnection.open(running.baseUrl);
  connection.write(
    request("DELETE /v2/keys/none", "Expect: 100-continue\r\nContent-Length: 3\r\n"),
  );
  const { hostname, port } = new URL(running.baseUrl);
  const socket = connect({ port: Number(port), host: hostname });
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    if (text === "HTTP/1.1 100 Continue\r\n\r\n") socket.write("value=1");
  });
  socket.write(
    request("PUT /v2/keys/asked", `${FORM}Expect: 100-continue\r\nContent-Length: 7\r\n`),
  );
  await until(() => text.includes('"value":"1"'));
  socket.destroy();
  connection.write("abc");
  assert.equal((await connection.head(5000, "DELETE")).status, 404);
  connection.close();
  const none = await exchange(request("GET /version", "Expect: 100-continue\r\n"));
  assert.deepEqual(statusesOf(none), ["1.1 200"]);
});

test("an absolute target is served for the host it names", async () => {
  const evil = "Host: evil.example\r\n\r\n";
  const refused = await exchange(`GET /version HTTP/1.1\r\n${evil}`);
  const named = await exchange(`GET http://evil.example/version HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert.deepEqual(statusesOf(named), statusesOf(refused));
  const own = await exchange(`GET http://u:p@localhost/version HTTP/1.1\r\n${evil}`);
  assert.deepEqual(statusesOf(own), ["1.1 200"]);
});
