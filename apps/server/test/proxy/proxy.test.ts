import { createLogger } from "@etcd2/observability";
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, describe, it } from "node:test";
import { until } from "@etcd2/test-support";
import { PeerFile } from "../../src/proxy/peer-file.ts";
import {
  cleanups,
  infoOf,
  directorOf,
  available,
  upstreamOf,
  deadUrl,
  proxyTo,
  open,
  ask,
} from "./proxy-harness.ts";

describe("the endpoints of a proxy", () => {
  const one = { peer: "http://10.0.0.1:2380", client: "http://10.0.0.1:2379" };
  const two = { peer: "http://10.0.0.2:2380", client: "http://10.0.0.2:2379" };
  const three = { peer: "http://10.0.0.3:2380", client: "http://10.0.0.3:2379" };
  const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it("are the client URLs of the members, and the peer URLs are kept", async () => {
    const { director, answers, saved, lines } = directorOf([one.peer]);
    answers.set(one.peer, () => Promise.resolve(infoOf([one, two])));
    await director.start();
    assert.deepEqual(available(director), [one.client, two.client]);
    assert.deepEqual(saved, [[one.peer, two.peer]]);
    assert.ok(lines.includes(`I proxy: endpoints found ["${one.client}" "${two.client}"]`));
  });

  it("follow membership, asking members that were unknown at the start", async () => {
    const { director, answers } = directorOf([one.peer]);
    answers.set(one.peer, () => Promise.resolve(infoOf([one, two])));
    await director.start();
    answers.delete(one.peer);
    answers.set(two.peer, () => Promise.resolve(infoOf([two, three])));
    await director.refresh();
    assert.deepEqual(available(director), [two.client, three.client]);
  });

  it("stay when nobody answers, and the seeds are asked when no known peer does", async () => {
    const { director, answers } = directorOf([one.peer], { seeds: [three.peer] });
    answers.set(one.peer, () => Promise.resolve(infoOf([one])));
    await director.start();
    answers.clear();
    await director.refresh();
    assert.deepEqual(available(director), [one.client]);
    answers.set(three.peer, () => Promise.resolve(infoOf([three])));
    await director.refresh();
    assert.deepEqual(available(director), [three.client]);
  });

  it("come from a member with a leader rather than from one without", async () => {
    const { director, answers } = directorOf([one.peer, two.peer]);
    answers.set(one.peer, () => Promise.resolve(infoOf([one], "")));
    answers.set(two.peer, () => tick().then(() => infoOf([two, three])));
    await director.start();
    assert.deepEqual(available(director), [two.client, three.client]);
    answers.delete(two.peer);
    answers.set(three.peer, () => Promise.resolve(infoOf([three], "")));
    await director.refresh();
    assert.deepEqual(available(director), [three.client]);
  });

  it("rest for the failure wait, and a failure asks the peers at once", async () => {
    const cluster = directorOf([one.peer]);
    const { director, answers } = cluster;
    answers.set(one.peer, () => Promise.resolve(infoOf([one, two])));
    await director.start();
    const [first] = director.available();
    assert.ok(first !== undefined);
    cluster.nowMs = 2000;
    for (const { peer } of [one, two]) {
      answers.set(peer, () => Promise.resolve(infoOf([one, two, three])));
    }
    director.failed(first);
    await until("the peers have been asked", () => available(director).length === 2);
    assert.deepEqual(available(director), [two.client, three.client]);
    cluster.nowMs = 6999;
    assert.ok(!available(director).includes(one.client));
    cluster.nowMs = 7000;
    assert.ok(available(director).includes(one.client));
  });

  it("of members whose peers hear nothing come last", async () => {
    const { director, answers } = directorOf([one.peer, two.peer]);
    answers.set(two.peer, () => Promise.resolve(infoOf([one, two])));
    await director.start();
    await until("the silent one is last", () => available(director)[0] === two.client);
    assert.deepEqual(available(director), [two.client, one.client]);
  });

  it("leave out invalid URLs and the proxy itself", async () => {
    const { director, answers, lines } = directorOf([one.peer], { listen: "http://0.0.0.0:2379" });
    const self = { peer: two.peer, client: "http://localhost:2379" };
    const bad = { peer: three.peer, client: "gopher://x" };
    answers.set(one.peer, () => Promise.resolve(infoOf([one, self, bad])));
    await director.start();
    assert.deepEqual(available(director), [one.client]);
    assert.ok(
      lines.some((line) => line.includes("http://localhost:2379, which is this proxy itself")),
    );
    assert.ok(lines.includes("W proxy: upstream URL invalid: gopher://x"));
  });

  it("are asked for every second while there are none and the interval is the default", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { director, asked } = directorOf([one.peer], { refreshIntervalMs: 30_000 });
    return director.start().then(async () => {
      t.mock.timers.tick(999);
      assert.equal(asked.length, 1);
      t.mock.timers.tick(1);
      assert.equal(asked.length, 2);
      await director.refresh();
    });
  });
});

describe("the peer file of a proxy", () => {
  it("is written whole, read back, and ignored when damaged", () => {
    const directory = mkdtempSync(join(tmpdir(), "etcd2-proxy-"));
    cleanups.push(() => {
      rmSync(directory, { recursive: true });
    });
    const warnings: string[] = [];
    const log = createLogger((_level, message) => warnings.push(message));
    const file = new PeerFile(join(directory, "proxy"));
    assert.equal(file.read(log), undefined);
    file.claim();
    file.write(["http://10.0.0.1:2380"]);
    assert.equal(readFileSync(file.path, "utf8"), '{"PeerURLs":["http://10.0.0.1:2380"]}');
    assert.deepEqual(file.read(log), ["http://10.0.0.1:2380"]);
    assert.deepEqual(warnings, []);
    for (const damaged of ["", "{", '{"PeerURLs":[]}', '{"PeerURLs":["x"]}', "null"]) {
      writeFileSync(file.path, damaged);
      assert.equal(file.read(log), undefined);
    }
    assert.equal(warnings.length, 5);
    rmSync(file.path);
    mkdirSync(file.path);
    assert.throws(() => file.read(log), /cannot read/);
  });
});

describe("a request through a proxy", () => {
  it("arrives with target, method, headers and body, and its answer comes back as it is", async () => {
    let seen: IncomingMessage | undefined;
    let body = "";
    const member = await upstreamOf((request, response) => {
      seen = request;
      void text(request).then((received) => {
        body = received;
        response.writeHead(201, { "X-Etcd-Index": "7", "X-Raft-Term": "2", Connection: "close" });
        response.end('{"action":"set"}');
      });
    });
    const { url, meter } = await proxyTo([member]);
    const answer = await ask(
      "PUT",
      `${url}/v2/keys/a%2Fb?ttl=5`,
      { "X-Own": "1", TE: "trailers", Connection: "X-Drop, close", "X-Drop": "1" },
      "value=x",
    );
    assert.equal(seen?.url, "/v2/keys/a%2Fb?ttl=5");
    assert.equal(seen.method, "PUT");
    assert.equal(body, "value=x");
    const { headers } = seen;
    assert.equal(headers["x-own"], "1");
    assert.equal(headers["x-forwarded-for"], "127.0.0.1");
    assert.equal(headers["x-drop"], undefined);
    assert.equal(headers["te"], undefined);
    assert.equal(headers.connection, "keep-alive");
    assert.equal(answer.status, 201);
    assert.equal(answer.headers["x-etcd-index"], "7");
    assert.equal(answer.body, '{"action":"set"}');
    assert.equal(meter.value("etcd_proxy_requests_total", "PUT"), 1);
    assert.equal(meter.value("etcd_proxy_handled_total", "PUT", "201"), 1);
  });

  it("cannot carry a second one past the proxy, whatever its Connection header names", async () => {
    const seen: string[] = [];
    const member = await upstreamOf((request, response) => {
      void text(request).then((body) => {
        seen.push(`${request.method ?? ""} ${request.url ?? ""} ${String(body.length)}`);
        response.end("ok");
      });
    });
    const { url } = await proxyTo([member]);
    const smuggled = "GET /v2/keys/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (const method of ["DELETE", "GET", "PUT"]) {
      const length = { "Content-Length": String(smuggled.length) };
      const headers = { Connection: "keep-alive, content-length, host", ...length };
      assert.equal((await ask(method, `${url}/v2/keys/a`, headers, smuggled)).body, "ok");
    }
    await ask("GET", `${url}/version`);
    const length = String(smuggled.length);
    assert.deepEqual(seen, [
      ...["DELETE", "GET", "PUT"].map((method) => `${method} /v2/keys/a ${length}`),
      "GET /version 0",
    ]);
  });

  it("has the client's address added to those before it", async () => {
    const member = await upstreamOf((request, response) => {
      response.end(String(request.headers["x-forwarded-for"]));
    });
    const { url } = await proxyTo([member]);
    const { body } = await ask("GET", `${url}/version`, { "X-Forwarded-For": "192.0.2.1" });
    assert.equal(body, "192.0.2.1, 127.0.0.1");
  });

  it("goes to the next endpoint when the first cannot be reached, which then rests", async () => {
    const member = await upstreamOf((request, response) => {
      void text(request).then((body) => response.end(body));
    });
    const dead = await deadUrl();
    const { url, meter, director } = await proxyTo([dead, member]);
    assert.equal((await ask("POST", `${url}/v2/keys/q`, {}, "value=1")).body, "value=1");
    assert.deepEqual(available(director), [member]);
    assert.equal(meter.value("etcd_proxy_dropped_total", "POST", "failed_sending_request"), 1);
  });

  it("is sent once only when it may have been carried out, and again when it is a read", async () => {
    const writes: string[] = [];
    const cut = await upstreamOf((request) => {
      writes.push(request.method ?? "");
      request.socket.destroy();
    });
    const member = await upstreamOf((request, response) => {
      writes.push(`second ${request.method ?? ""}`);
      response.end("ok");
    });
    const first = await proxyTo([cut, member]);
    const put = await ask("PUT", `${first.url}/v2/keys/a`, {}, "value=1");
    assert.equal(put.status, 502);
    assert.equal(put.headers["content-type"], "application/json");
    assert.equal(put.body, '{"message":"proxy: unable to get response from 1 endpoint(s)"}');
    assert.deepEqual(writes, ["PUT"]);
    const second = await proxyTo([cut, member]);
    assert.equal((await ask("GET", `${second.url}/v2/keys/a`)).body, "ok");
    assert.deepEqual(writes, ["PUT", "GET", "second GET"]);
  });

  it("is answered 502 when no endpoint answers and 503 when there is none", async () => {
    const { url } = await proxyTo([await deadUrl(), await deadUrl()]);
    const all = await ask("GET", `${url}/v2/keys/a`);
    assert.equal(all.status, 502);
    assert.equal(all.body, '{"message":"proxy: unable to get response from 2 endpoint(s)"}');
    const none = await ask("GET", `${url}/v2/keys/a`);
    assert.equal(none.status, 503);
    assert.equal(none.body, '{"message":"proxy: zero endpoints currently available"}');
  });

  it("sees every event of a stream at once, and its end reaches the member", async () => {
    let member: ServerResponse | undefined;
    let isClosed = false;
    const url = await upstreamOf((_request, response) => {
      member = response;
      response.flushHeaders();
      response.on("close", () => (isClosed = true));
    });
    const proxy = await proxyTo([url]);
    const request = open("GET", `${proxy.url}/v2/keys/a?wait=true&stream=true`);
    request.on("error", () => undefined);
    const response = await new Promise<IncomingMessage>((resolve) => {
      request.once("response", resolve);
      request.end();
    });
    let received = "";
    response.on("data", (chunk: Buffer) => (received += chunk.toString()));
    response.on("error", () => undefined);
    member?.write('{"n":1}\n');
    await until("the first event", () => received === '{"n":1}\n');
    member?.write('{"n":2}\n');
    await until("the second event", () => received === '{"n":1}\n{"n":2}\n');
    request.destroy();
    await until("the member sees the end", () => isClosed);
  });

  it("has a cut answer shown as cut", async () => {
    const member = await upstreamOf((_request, response) => {
      response.write("half", () => response.destroy());
    });
    const { url } = await proxyTo([member]);
    await assert.rejects(ask("GET", `${url}/v2/keys/a`));
  });

  it("streams a body of megabytes without a length in either direction", async () => {
    const member = await upstreamOf((request, response) => {
      request.pipe(response);
    });
    const { url } = await proxyTo([member]);
    const body = "x".repeat(5 << 20);
    const answer = await ask("PUT", `${url}/v2/keys/a`, { "Transfer-Encoding": "chunked" }, body);
    assert.equal(answer.body.length, body.length);
    const deleted = await ask("DELETE", `${url}/x`, { "Transfer-Encoding": "chunked" }, "body");
    assert.equal(deleted.body, "body");
  });

  it("uses one connection to the member for one request after another", async () => {
    const ports = new Set<number | undefined>();
    const member = await upstreamOf((request, response) => {
      ports.add(request.socket.remotePort);
      response.end();
    });
    const { url } = await proxyTo([member]);
    for (let n = 0; n < 5; n++) await ask("GET", `${url}/version`);
    assert.equal(ports.size, 1);
  });

  it("opens no tunnel to the member, which refuses CONNECT like other methods", async () => {
    const member = await upstreamOf((_request, response) => {
      response.writeHead(405, { Allow: "GET" });
      response.end();
    });
    const { url } = await proxyTo([member]);
    // The runtime's client would name the path as the host, which no server takes.
    const request = open("CONNECT", `${url}/v2/keys/a`, { Host: "member" });
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once("connect", (answer, socket) => {
        socket.destroy();
        resolve(answer);
      });
      request.once("error", reject);
      request.end();
    });
    assert.equal(response.statusCode, 405);
    assert.equal(response.headers.allow, "GET");
  });

  it("is given up after the read timeout, when there is one", async () => {
    const member = await upstreamOf(() => undefined);
    const { url } = await proxyTo([member], { readTimeoutMs: 50 });
    assert.equal((await ask("GET", `${url}/version`)).status, 502);
  });
});

describe("what a proxy answers itself", () => {
  it("is its endpoints, its metrics, unclean paths and OPTIONS", async () => {
    const member = await upstreamOf((_request, response) => response.end("member"));
    const { url } = await proxyTo([member]);
    const local = await ask("GET", `${url}/v2/config/local/proxy`);
    assert.equal(local.body, `{"endpoints":["${member}"]}\n`);
    assert.equal(local.headers["content-type"], "text/plain; charset=utf-8");
    const put = await ask("PUT", `${url}/v2/config/local/proxy`);
    assert.equal(put.status, 405);
    assert.equal(put.headers.allow, "GET");
    assert.equal((await ask("GET", `${url}/metrics`)).body, "figures");
    const unclean = await ask("GET", `${url}/v2//keys/`);
    assert.equal(unclean.status, 301);
    assert.equal(unclean.headers.location, "/v2/keys/");
    const options = await ask("OPTIONS", `${url}/v2/keys/a`);
    assert.equal(options.status, 200);
    assert.equal(options.body, "");
  });

  it("is 501 without a body to everything but GET when it is readonly", async () => {
    const member = await upstreamOf((_request, response) => response.end("member"));
    const { url } = await proxyTo([member], { isReadonly: true });
    assert.equal((await ask("GET", `${url}/v2/keys/a`)).body, "member");
    for (const method of ["PUT", "POST", "DELETE", "HEAD", "OPTIONS"]) {
      const { status, body } = await ask(method, `${url}/v2/keys/a`);
      assert.equal(status, 501, method);
      assert.equal(body, "");
    }
  });

  it("is the CORS headers, once, where an origin is allowed", async () => {
    const member = await upstreamOf((_request, response) => {
      response.writeHead(200, { "Access-Control-Allow-Origin": "*" });
      response.end();
    });
    const { url } = await proxyTo([member], { cors: ["http://a.example"] });
    const { headers } = await ask("GET", `${url}/version`, { Origin: "http://a.example" });
    assert.equal(headers["access-control-allow-origin"], "http://a.example");
    const foreign = await ask("GET", `${url}/version`, { Origin: "http://b.example" });
    assert.equal(foreign.headers["access-control-allow-origin"], "*");
  });

  it("is a refusal for pages of other origins and for unknown names; members need not decide", async () => {
    const seen: IncomingMessage["headers"][] = [];
    const member = await upstreamOf((request, response) => {
      seen.push(request.headers);
      response.end();
    });
    const { url } = await proxyTo([member]);
    const foreign = { Origin: "http://b.example", "Sec-Fetch-Site": "cross-site" };
    for (const path of ["/v2/keys/a", "/v2/members"]) {
      assert.equal((await ask("POST", `${url}${path}`, foreign)).status, 403);
    }
    const rebound = { Host: "evil.example" };
    for (const path of ["/v2/keys/a", "/metrics", "/v2/config/local/proxy"]) {
      assert.equal((await ask("GET", `${url}${path}`, rebound)).status, 421);
    }
    assert.equal(seen.length, 0);
    const own = { Origin: url, "Sec-Fetch-Site": "same-origin", Host: "localhost" };
    assert.equal((await ask("PUT", `${url}/v2/keys/a`, own)).status, 200);
    assert.equal((await ask("GET", `${url}/v2/keys/a`, foreign)).status, 200);
    const { host } = new URL(member);
    const told = seen.map((headers) => [headers.host, headers.origin, headers["sec-fetch-site"]]);
    assert.deepEqual(told, [
      [host, undefined, undefined],
      [host, "http://b.example", "cross-site"],
    ]);
  });
});

after(() => {
  for (const clean of cleanups.splice(0)) clean();
});
