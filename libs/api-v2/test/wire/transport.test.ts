import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { RawConnection } from "@etcd2/test-support/traces";
import { seed } from "../seed.ts";
import { startFakeServer, until, type RunningFake } from "../fake-server.ts";

const FORM = { "Content-Type": "application/x-www-form-urlencoded" };

let running: RunningFake;
before(async () => {
  running = await startFakeServer();
});
after(() => running.close());

async function withConnection<T>(use: (connection: RawConnection) => Promise<T>): Promise<T> {
  const connection = await RawConnection.open(running.baseUrl);
  try {
    return await use(connection);
  } finally {
    connection.close();
  }
}

const put = (
  key: string,
  body: string,
): { method: string; target: string; headers: Record<string, string>; body: string } => ({
  method: "PUT",
  target: `/v2/keys${key}`,
  headers: FORM,
  body,
});

test("short answers carry a length and long ones are chunked", () =>
  withConnection(async (connection) => {
    await connection.exchange(put("/len/short", "value=x"));
    const short = await connection.exchange({ method: "GET", target: "/v2/keys/len/short" });
    assert.equal(short.headers.get("content-length"), String(short.body.length));
    const head = await connection.exchange({ method: "HEAD", target: "/v2/keys/len/short" });
    assert.equal(head.headers.get("content-length"), String(short.body.length));
    assert.equal(head.body, "");
    const long = await connection.exchange(put("/len/long", `value=${"x".repeat(3000)}`));
    assert.equal(long.headers.get("transfer-encoding"), "chunked");
    assert.equal(long.headers.get("content-length"), undefined);
    const longHead = await connection.exchange({ method: "HEAD", target: "/v2/keys/len/long" });
    assert.equal(longHead.headers.get("content-length"), undefined);
    assert.equal(longHead.status, 200);
  }));

test("text errors forbid sniffing", () =>
  withConnection(async (connection) => {
    for (const [method, target] of [
      ["GET", "/nowhere"],
      ["PATCH", "/v2/keys/a"],
      ["POST", "/version"],
    ] as const) {
      const response = await connection.exchange({ method, target, body: "" });
      assert.equal(response.headers.get("x-content-type-options"), "nosniff", target);
    }
  }));

test("methods the runtime does not know are refused like any other", async () => {
  for (const method of ["FOO", "get", "GETX", "M-SEARCH", "PURGE", "ANNOUNCE", "CONNECT"]) {
    for (const [target, status, allow] of [
      ["/v2/keys/m", 405, "HEAD,GET,PUT,POST,DELETE"],
      ["/v2/keys/\xe9", 405, "HEAD,GET,PUT,POST,DELETE"],
      ["/v2/auth/users", 405, "GET"],
      ["/nowhere", 404, undefined],
      // CONNECT is the one method that is not sent elsewhere.
      ["/v2/keys//m", method === "CONNECT" ? 405 : 301, undefined],
      ["*", 400, undefined],
    ] as const) {
      if (method === "CONNECT" && target.includes("\xe9")) continue;
      await withConnection(async (connection) => {
        const response = await connection.exchange({ method, target, body: "abc" });
        assert.equal(response.status, status, `${method} ${target}`);
        if (allow !== undefined) assert.equal(response.headers.get("allow"), allow);
      });
    }
  }
  await withConnection(async (connection) => {
    const tunnel = await connection.exchange({ method: "CONNECT", target: "host:80" });
    assert.equal(tunnel.status, 404);
    assert.equal(tunnel.body, "404 page not found\n");
    assert.ok(await connection.closed(5000));
  });
  await withConnection(async (connection) => {
    connection.write("F(O /v2/keys HTTP/1.1\r\nHost: x\r\n\r\n");
    assert.equal((await connection.head(5000, "GET")).status, 400);
  });
});

test("pipelined requests are carried out and answered in order", () =>
  withConnection(async (connection) => {
    const requests = Array.from({ length: 200 }, (_, i) => {
      const body = `value=${String(i)}`;
      const length = String(body.length);
      return (
        `PUT /v2/keys/pipe HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n` +
        `Content-Type: application/x-www-form-urlencoded\r\n\r\n${body}` +
        "GET /v2/keys/pipe HTTP/1.1\r\nHost: x\r\n\r\n"
      );
    });
    connection.write(requests.join(""));
    for (let i = 0; i < 200; i++) {
      for (const method of ["PUT", "GET"]) {
        const response = await connection.head(5000, method);
        assert.ok(await connection.receive(5000));
        assert.match(response.body, new RegExp(`"node":\\{"key":"/pipe","value":"${String(i)}"`));
      }
    }
  }));

test("a request behind a watch waits for its end", () =>
  withConnection(async (connection) => {
    connection.write(
      "GET /v2/keys/behind?wait=true HTTP/1.1\r\nHost: x\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    const watch = await connection.head(5000, "GET");
    await withConnection((other) => other.exchange(put("/behind", "value=1")));
    assert.ok(await connection.receive(5000));
    assert.match(watch.body, /"action":"set"/);
    const version = await connection.head(5000, "GET");
    assert.ok(await connection.receive(5000));
    assert.match(version.body, /etcdserver/);
  }));

test("a client that pipelines far ahead of a watch is not read from, and served in the end", () =>
  withConnection(async (connection) => {
    connection.write("GET /v2/keys/ahead?wait=true HTTP/1.1\r\nHost: x\r\n\r\n");
    await connection.head(5000, "GET");
    const count = 20_000;
    for (let i = 0; i < count; i++) connection.write("GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    await withConnection((other) => other.exchange(put("/ahead", "value=1")));
    assert.ok(await connection.receive(5000));
    for (let i = 0; i < count; i++) {
      const response = await connection.head(10_000, "GET");
      assert.ok(await connection.receive(5000));
      assert.equal(response.status, 200);
    }
  }));

test("a client that shuts its sending side still gets its answer", () =>
  withConnection(async (connection) => {
    running.server.delayMs = 50;
    connection.send(put("/half", "value=1"));
    connection.half();
    const response = await connection.head(5000);
    running.server.delayMs = 0;
    assert.equal(response.status, 201);
    assert.ok(await connection.closed(5000));
  }));

test("a watcher that shuts its sending side is done", () =>
  withConnection(async (connection) => {
    const before = running.server.hub.watchers;
    connection.send({ method: "GET", target: "/v2/keys/half-watch?wait=true" });
    const response = await connection.head(5000);
    assert.equal(running.server.hub.watchers, before + 1);
    connection.half();
    assert.ok(await connection.receive(5000));
    assert.equal(response.body, "");
    assert.equal(running.server.hub.watchers, before);
  }));

test("HTTP/1.0 clients get their answer and the end of the connection", () =>
  withConnection(async (connection) => {
    connection.write("GET /version HTTP/1.0\r\n\r\n");
    const response = await connection.head(5000, "GET");
    assert.ok(await connection.receive(5000));
    assert.match(response.body, /etcdserver/);
    assert.ok(await connection.closed(5000));
  }));

test("an HTTP/1.0 watch ends with the connection", () =>
  withConnection(async (connection) => {
    connection.write("GET /v2/keys/old?wait=true HTTP/1.0\r\n\r\n");
    const response = await connection.head(5000, "GET");
    assert.equal(response.headers.get("transfer-encoding"), undefined);
    await withConnection((other) => other.exchange(put("/old", "value=1")));
    assert.ok(await connection.receive(5000));
    assert.match(response.body, /"value":"1"/);
  }));

test("chunked bodies and Expect: 100-continue work", () =>
  withConnection(async (connection) => {
    const type = "Content-Type: application/x-www-form-urlencoded\r\n";
    connection.write(
      `PUT /v2/keys/chunked HTTP/1.1\r\nHost: x\r\n${type}Transfer-Encoding: chunked\r\n\r\n`,
    );
    connection.write("6\r\nvalue=\r\n3\r\na+b\r\n0\r\n\r\n");
    const chunked = await connection.head(5000, "PUT");
    assert.ok(await connection.receive(5000));
    assert.match(chunked.body, /"value":"a b"/);
    connection.write(
      `PUT /v2/keys/expect HTTP/1.1\r\nHost: x\r\n${type}Expect: 100-continue\r\nContent-Length: 7\r\n\r\n`,
    );
    connection.write("value=z");
    const expected = await connection.head(5000, "PUT");
    assert.ok(await connection.receive(5000));
    assert.match(expected.body, /"value":"z"/);
  }));

test("what is no HTTP is answered with 400 and the end of the connection", () =>
  withConnection(async (connection) => {
    connection.write("NONSENSE\r\n\r\n");
    const response = await connection.head(5000, "GET");
    assert.ok(await connection.receive(5000));
    assert.equal(response.status, 400);
    assert.equal(response.headers.get("content-type"), "text/plain; charset=utf-8");
    assert.equal(response.body, "400 Bad Request");
    assert.ok(await connection.closed(5000));
  }));

test("about 1 MiB of headers is accepted and more is 431", async () => {
  await withConnection(async (connection) => {
    const target = `/v2/keys/long?value=${"q".repeat(1_000_000)}`;
    const response = await connection.exchange({ method: "PUT", target, body: "" });
    assert.equal(response.status, 201);
  });
  await withConnection(async (connection) => {
    connection.write(`GET /v2/keys/long?x=${"q".repeat(1_100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const response = await connection.head(5000, "GET");
    assert.ok(await connection.receive(5000));
    assert.equal(response.status, 431);
    assert.ok(await connection.closed(5000));
  });
});

test("there may be thousands of headers, as many as anybody sends, and more are 431", async () => {
  for (const [count, status] of [
    [990, 404],
    [2000, 404],
    [9_900, 404],
    [10_100, 431],
    [200_000, 431],
  ] as const) {
    await withConnection(async (connection) => {
      connection.write(`GET /v2/keys/none HTTP/1.1\r\nHost: x\r\n${"a:b\r\n".repeat(count)}\r\n`);
      const response = await connection.head(5000, "GET");
      assert.ok(await connection.receive(5000));
      assert.equal(response.status, status, String(count));
      if (status === 431) assert.ok(await connection.closed(5000));
    });
  }
});

test("a body beyond 10 MiB is refused and the connection lives on", () =>
  withConnection(async (connection) => {
    const refused = await connection.exchange(put("/big", `value=${"x".repeat(10_485_755)}`));
    assert.equal(refused.status, 400);
    assert.match(refused.body, /"cause":"http: POST too large"/);
    const next = await connection.exchange({ method: "GET", target: "/v2/keys/big" });
    assert.equal(next.status, 404);
  }));

test("bytes of keys never become header or markup", () =>
  withConnection(async (connection) => {
    const target = "/v2/keys//a%0d%0aX-Evil:%20yes%22%3E%3Cscript%3E?q=<x>\"'&";
    const response = await connection.exchange({ method: "GET", target });
    assert.equal(response.status, 301);
    assert.equal(response.headers.get("x-evil"), undefined);
    const path = "/v2/keys/a%0D%0AX-Evil:%20yes%22%3E%3Cscript%3E";
    assert.equal(response.headers.get("location"), `${path}?q=<x>"'&`);
    assert.equal(
      response.body,
      `<a href="${path}?q=&lt;x&gt;&#34;&#39;&amp;">Moved Permanently</a>.\n\n`,
    );
  }));

test("raw bytes in a target count as their escapes", async () => {
  const key = "/v2/keys/\xc3\xa9/\xff";
  await withConnection(async (connection) => {
    const written = await connection.exchange({ ...put("", "value=1"), target: key });
    assert.equal(written.status, 201);
    assert.match(written.body, /"key":"\/\xc3\xa9\/\\ufffd"/);
    const again = await connection.exchange({ method: "GET", target: key });
    assert.match(again.body, /"value":"1"/);
  });
  await withConnection(async (connection) => {
    await connection.exchange({ method: "GET", target: "/version" });
    const read = await connection.exchange({ method: "GET", target: "/v2/keys/%c3%a9/%ff?\xe9" });
    assert.match(read.body, /"value":"1"/);
  });
  await withConnection(async (connection) => {
    connection.send({ method: "GET", target: `${key}?wait=true` });
    const watch = await connection.head(5000);
    await withConnection((other) => other.exchange(put("/%C3%A9/%FF", "value=2")));
    assert.ok(await connection.receive(5000));
    assert.match(watch.body, /"value":"2"/);
  });
  await withConnection(async (connection) => {
    const before = running.server.hub.watchers;
    connection.send({ method: "GET", target: `${key}?wait=true` });
    await connection.head(5000);
    assert.equal(running.server.hub.watchers, before + 1);
    connection.close();
    await until(() => running.server.hub.watchers === before);
  });
  await withConnection(async (connection) => {
    const refused = await connection.exchange({ method: "GET", target: "/v2/keys/\t\xe9" });
    assert.equal(refused.status, 400);
  });
});

test("slow senders are cut off, and waiting clients are not", async () => {
  const limits = { headersTimeout: 100, requestTimeout: 200, connectionsCheckingInterval: 20 };
  const other = await startFakeServer({ http: limits });
  const open = async (request: string): Promise<RawConnection> => {
    const connection = await RawConnection.open(other.baseUrl);
    connection.write(request);
    return connection;
  };
  const idle = await open("GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
  await idle.head(5000, "GET");
  assert.ok(await idle.receive(5000));
  const watches = await Promise.all(
    ["/v2/keys/slow?wait=true", "/v2/keys/\xe9?wait=true"].map(async (target) => {
      const connection = await open(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
      return { connection, response: await connection.head(5000, "GET") };
    }),
  );
  const type = "Content-Type: application/x-www-form-urlencoded";
  const slow = [
    await open("GET /version HTTP/1.1\r\nHost: x\r\nX-Slow: "),
    await open(`PUT /v2/keys/a HTTP/1.1\r\nHost: x\r\n${type}\r\nContent-Length: 50\r\n\r\nvalue=`),
  ];
  for (const connection of slow) assert.ok(await connection.closed(5000));
  for (const key of ["slow", "%e9"]) {
    await idle.exchange({ ...put(`/${key}`, "value=1") });
  }
  for (const { connection, response } of watches) {
    assert.ok(await connection.receive(5000));
    assert.match(response.body, /"value":"1"/);
    connection.close();
  }
  idle.close();
  await other.close();
});

test("odd targets are answered, never crash", () =>
  withConnection(async (connection) => {
    const targets: [string, number][] = [
      ["/%2e%2e", 301],
      ["http://x/v2/keys?recursive=bad", 400],
      ["http://x", 301],
      ["http://x?a=b", 301],
      ["/v2/keys?%zz", 400],
      ["/v2/%6bey%73", 200],
      ["/v2/%6dembers", 200],
      ["/v2/keys/%00%ff", 404],
      ["/v2/members/%ff", 404],
      ["/v2/auth/users/%ff%00", 404],
      ["/v2/stats/self?a=b", 200],
      ["/V2/keys", 404],
      ["/v2/keys?wait=true&waitIndex=18446744073709551616", 400],
    ];
    for (const [target, status] of targets) {
      const response = await connection.exchange({ method: "GET", target });
      assert.equal(response.status, status, target);
    }
  }));

test("no bytes on a connection bring the server down", async () => {
  const other = await startFakeServer();
  const piece = fc.oneof(
    fc.constantFrom("GET ", "PUT ", "DELETE ", "PATCH ", "OPTIONS ", "CONNECT ", " HTTP/1.1\r\n"),
    fc.constantFrom(
      "/v2/keys/a",
      "/v2/keys?wait=true",
      "/v2/auth/users/x",
      "/v2/members",
      "*",
      "//",
    ),
    fc.constantFrom("/v2/keys/\xe9", "http://x", "?recursive=true", "&stream=true", "%zz", "%c3"),
    fc.constantFrom("Host: x\r\n", "\r\n", "\r\n\r\n", "Content-Length: 5\r\n", "Expect: x\r\n"),
    fc.constantFrom(
      "Transfer-Encoding: chunked\r\n",
      "5\r\nvalue\r\n",
      "0\r\n\r\n",
      "Upgrade: h2c\r\n",
    ),
    fc.constantFrom(
      "Content-Type: application/x-www-form-urlencoded\r\n",
      "Connection: Upgrade\r\n",
    ),
    fc.constantFrom("Authorization: Basic !\r\n", '{"user":', "value=%", "\0", "\xff\xfe"),
  );
  const request = fc.tuple(
    fc.constantFrom("GET ", "PUT ", "POST ", "CONNECT "),
    fc.constantFrom("/v2/keys/a", "/v2/keys/\xe9", "/v2/keys?wait=true", "/v2/auth/enable", "*"),
    fc.constant(" HTTP/1.1\r\nHost: x\r\n"),
  );
  await fc.assert(
    fc.asyncProperty(
      request,
      fc.array(piece, { maxLength: 20 }),
      fc.boolean(),
      async (first, rest, half) => {
        const connection = await RawConnection.open(other.baseUrl);
        connection.write(first.join("") + rest.join(""));
        if (half) connection.half();
        await connection.closed(2);
        connection.close();
      },
    ),
    { seed, numRuns: 300 },
  );
  const last = await RawConnection.open(other.baseUrl);
  assert.equal((await last.exchange({ method: "GET", target: "/version" })).status, 200);
  last.close();
  await until(() => other.server.hub.watchers === 0);
  assert.deepEqual(other.server.logLines, []);
  await other.close();
});

test("a failed compare shows the number as given", () =>
  withConnection(async (connection) => {
    await connection.exchange(put("/huge", "value=1"));
    const response = await connection.exchange(
      put("/huge?prevIndex=18446744073709551615", "value=2"),
    );
    assert.equal(response.status, 412);
    assert.match(response.body, /"cause":"\[18446744073709551615 != \d+\]"/);
    // Only in the index: the value may read the same.
    const value = "[9007199254740991 != ";
    const both = await connection.exchange(
      put(`/huge?prevIndex=18446744073709551615&prevValue=${encodeURIComponent(value)}`, "value=2"),
    );
    const { cause } = JSON.parse(both.body) as { cause: string };
    assert.match(cause, /^\[\[9007199254740991 != {2}!= 1\] \[18446744073709551615 != \d+\]$/);
  }));

test("a key that looks like a member's attributes is an ordinary key", () =>
  withConnection(async (connection) => {
    const [member] = running.server.membership.list();
    const key = `/a/0/members/${member?.id ?? ""}/attributes`;
    const response = await connection.exchange(put(key, "value=no+json"));
    assert.equal(response.status, 201);
    assert.deepEqual(running.server.membership.list(), [member]);
  }));
