/**
 * What a hostile client may send to the HTTP port: broken, hostile and merely strange requests,
 * all made from a Chance. Nothing here is a lawful write outside /fuzz.
 */
import type { Chance } from "./chance.ts";

const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");

const FORM = "Content-Type: application/x-www-form-urlencoded\r\n";

/** Paths that try to leave where they are, or to be more than one thing at once. */
const PATHS = [
  ...["/v2/keys/../../etc/passwd", "/v2/keys/fuzz/../kept/a", "/v2/keys/fuzz/%2e%2e/kept/a"],
  ...["/v2/keys//kept//a", "/v2/keys/./kept/a", "/v2/keys/fuzz%2f..%2fkept", "//v2/keys/kept/a"],
  ...["/v2/keys/fuzz/%00", "/v2/keys/%c0%ae%c0%ae/kept/a", "/v2/keys/%", "/v2/keys/%zz"],
  ...["/v2/keys/..%5c..%5ckept", "/v2/keys/fuzz/%0d%0aX-Injected:%20yes", "/v2/keys/%ff%fe"],
  ...["/v2/keys/%252e%252e/kept/a", "/v2/keys/../../2/users", "/v2/keys/%2e%2e/%2e%2e/0/members"],
  ...["http://other.example/v2/keys/fuzz/a", "/v2/keys/fuzz?recursive=true&recursive=\x00"],
  ...["*", "kept/a", "", "/v2/keys/fuzz#x", "/v2/keys/fuzz/\xe9\xff", "/debug/pprof/../../v2/keys"],
];

/** Requests in order, more or less; with mutations they become everything else. */
const REQUESTS = [
  "GET /v2/keys/kept?recursive=true&sorted=true HTTP/1.1\r\nHost: a\r\n\r\n",
  `PUT /v2/keys/fuzz/a HTTP/1.1\r\nHost: a\r\n${FORM}Content-Length: 7\r\n\r\nvalue=1`,
  `POST /v2/keys/fuzz/q HTTP/1.1\r\nHost: a\r\n${FORM}Content-Length: 7\r\n\r\nvalue=1`,
  `PUT /v2/keys/fuzz/a?ttl=5 HTTP/1.1\r\nHost: a\r\n${FORM}Transfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n`,
  "DELETE /v2/keys/fuzz/a?prevValue=1 HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /v2/keys/fuzz?wait=true&waitIndex=1 HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /v2/keys/fuzz?wait=true&stream=true HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /v2/keys/kept?quorum=true HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n\r\n",
  'POST /v2/members HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{"peerURLs":["x"]}',
  'PUT /v2/auth/users/fuzz HTTP/1.1\r\nHost: a\r\nContent-Length: 32\r\n\r\n{"user":"fuzz","password":"pass"}',
  'PUT /config/local/log HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\n{"Level":"NONE"}',
  "GET /v2/stats/self HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /metrics HTTP/1.0\r\n\r\n",
  "HEAD /v2/keys/kept/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\n\r\n",
];

const NUMBERS = [
  ...["-1", "0", "1e99", "NaN", "0x10", "9007199254740993", "18446744073709551616", "", "%00"],
  "1".repeat(400),
];
const PARAMETERS = [
  ...["ttl", "waitIndex", "prevIndex", "prevExist", "recursive", "dir", "wait", "quorum", "value"],
];

function strangePath(chance: Chance): Buffer {
  const path = chance.pick(PATHS);
  const method = chance.pick(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "get", "FOO"]);
  const version = chance.pick(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/9.9", "HTTX"]);
  const body = method === "PUT" || method === "POST" ? "value=stolen" : "";
  const head = `${method} ${path} ${version}\r\nHost: a\r\n${FORM}`;
  return latin1(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
}

function strangeParameters(chance: Chance): Buffer {
  const query = Array.from(
    { length: 1 + chance.below(6) },
    () => `${chance.pick(PARAMETERS)}=${chance.pick(NUMBERS)}`,
  ).join(chance.pick(["&", ";", "&&"]));
  const method = chance.pick(["GET", "PUT", "POST", "DELETE"]);
  return latin1(`${method} /v2/keys/fuzz/p?${query} HTTP/1.1\r\nHost: a\r\n\r\n`);
}

/** Two lengths, no length, a length that lies; chunks that are none. */
function strangeFraming(chance: Chance): Buffer {
  const start = `PUT /v2/keys/fuzz/f HTTP/1.1\r\nHost: a\r\n${FORM}`;
  const chunked = `${start}Transfer-Encoding: chunked\r\n\r\n`;
  return latin1(
    chance.pick([
      `${start}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v2/keys/kept HTTP/1.1\r\n\r\n`,
      `${start}Content-Length: 3\r\nContent-Length: 300\r\n\r\nvalue=1`,
      `${start}Content-Length: -1\r\n\r\nvalue=1`,
      `${start}Content-Length: 99999999999999999999\r\n\r\nvalue=1`,
      `${start}Content-Length: 20971520\r\n\r\n${"v".repeat(65536)}`,
      `${start}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
      `${start}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
      `${chunked}ffffffffffffffff\r\nvalue=1`,
      `${chunked}7fffffff\r\nvalue=1`,
      `${chunked}zz\r\nvalue=1\r\n0\r\n\r\n`,
      `${chunked}7;${"x".repeat(30000)}\r\nvalue=1\r\n0\r\n\r\n`,
      `${chunked}7\r\nvalue=1\r\n`,
      `${chunked}7\r\nval`,
      `${chunked}7\r\nvalue=1\r\n0\r\nTrailer: \x00\r\n\r\n`,
    ]),
  );
}

function strangeHeaders(chance: Chance): Buffer {
  const line = "GET /v2/keys/kept/a HTTP/1.1\r\nHost: a\r\n";
  switch (chance.below(9)) {
    case 0:
      return latin1(`${line}X: ${"x".repeat(1_200_000)}\r\n\r\n`);
    case 1:
      return latin1(`${line}${"X: y\r\n".repeat(20_000)}\r\n`);
    case 2:
      return latin1(`GET /v2/keys/${"k".repeat(1_200_000)} HTTP/1.1\r\nHost: a\r\n\r\n`);
    case 3:
      return latin1(`${line}X: a\rY: b\nZ: c\r\n\r\n`);
    case 4:
      return latin1(`${line}X\x00: \x00\r\n\r\n`);
    case 5:
      return latin1(`${line}X: a\r\n folded\r\n\r\n`);
    case 6:
      return latin1(`${line}Origin: http://a\r\n b\r\nX-Forwarded-For: \xff\r\n\r\n`);
    case 7:
      return latin1(`${line.replaceAll("\r\n", "\n")}\n`);
    default:
      return latin1(`${line}Authorization: Basic ${chance.bytes(60).toString("base64")}=\r\n\r\n`);
  }
}

function pipelined(chance: Chance): Buffer {
  const parts = Array.from({ length: 2 + chance.below(20) }, () =>
    chance.next() < 0.8 ? latin1(chance.pick(REQUESTS)) : chance.bytes(40),
  );
  return Buffer.concat(parts);
}

/** One attack: what is sent, and a word for the report when it succeeds. */
export function httpAttack(chance: Chance): { kind: string; bytes: Buffer } {
  const makers = {
    random: () => chance.bytes(2000),
    mutated: () => chance.mutate(latin1(chance.pick(REQUESTS))),
    path: () => strangePath(chance),
    parameters: () => strangeParameters(chance),
    framing: () => strangeFraming(chance),
    headers: () => strangeHeaders(chance),
    pipelined: () => pipelined(chance),
    // A mutation may straighten a path that was meant to be refused.
    "mutated path": () =>
      chance.mutate(latin1(strangePath(chance).toString("latin1").replaceAll("kept", "fuzz"))),
  };
  // The large ones are rarer: they cost the most and find the least.
  const names = Object.keys(makers) as (keyof typeof makers)[];
  let kind = chance.pick(names);
  if (kind === "headers" && chance.next() < 0.7) kind = "mutated";
  return { kind, bytes: makers[kind]() };
}
