/** Several endpoints: which is asked when, what a failure means, redirects, limits, foreign clusters. */
import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { freePort } from "@etcd2/test-support";
import {
  ClusterError,
  ClusterIdError,
  ConnectionError,
  EtcdClient,
  fetchTransport,
  NoEndpointsError,
  ServerFaultError,
  TimeoutError,
} from "../src/index.ts";
import { nodeTransport } from "../src/node/index.ts";
import { answer, FakeServer, type Handler } from "./servers.ts";

const NODE = { key: "/a", value: "x", modifiedIndex: 7, createdIndex: 7 };

/** Answers as member of a cluster. */
function serving(clusterId = "c1"): Handler {
  return (request, response) => {
    const action = request.method === "GET" ? "get" : "set";
    const headers = { "X-Etcd-Cluster-Id": clusterId, "X-Etcd-Index": "9" };
    answer(response, 200, { action, node: NODE }, headers);
  };
}

const timedOut = { errorCode: 300, message: "Raft Internal Error", cause: "timed out", index: 0 };
const failing =
  (status: number): Handler =>
  (_request, response) => {
    answer(response, status, status === 500 ? timedOut : "");
  };

async function deadUrl(): Promise<string> {
  return `http://127.0.0.1:${await freePort()}`;
}

for (const [name, transport] of [
  ["fetch", fetchTransport],
  ["Node's transport", nodeTransport],
] as const) {
  describe(`with ${name}`, () => {
    const clientOf = (
      endpoints: readonly string[],
      options: Partial<ConstructorParameters<typeof EtcdClient>[0]> = {},
    ): EtcdClient => {
      return new EtcdClient({ endpoints, order: "given", transport: transport(), ...options });
    };

    test("the first endpoint that answers serves, and goes on serving", async () => {
      await using good = await FakeServer.start(serving());
      await using bad = await FakeServer.start(failing(503));
      using client = clientOf([await deadUrl(), bad.url, good.url]);
      for (let i = 0; i < 3; i++) assert.equal((await client.keys.get("/a")).node.modifiedIndex, 7);
      await client.keys.set("/a", "x");
      assert.deepEqual([bad.requests.length, good.requests.length], [1, 4]);
    });

    test("when none answers, each has its own reason, in order", async () => {
      await using bad = await FakeServer.start(failing(503));
      const dead = await deadUrl();
      using client = clientOf([dead, bad.url]);
      await assert.rejects(client.keys.get("/a"), (error) => {
        assert.ok(error instanceof ClusterError);
        assert.equal(error.message, "client: etcd cluster is unavailable or misconfigured");
        const [first, second] = error.causes;
        assert.ok(first instanceof ConnectionError && first.endpoint === dead && !first.maySent);
        assert.ok(second instanceof ServerFaultError && second.status === 503);
        assert.equal(second.message, `client: etcd member ${bad.url} has no leader`);
        return !error.isOutcomeUnknown;
      });
    });

    test("a write that may have been carried out is not sent again, unless asked for", async () => {
      await using slow = await FakeServer.start(failing(500));
      await using good = await FakeServer.start(serving());
      using careful = clientOf([slow.url, good.url]);
      await assert.rejects(careful.keys.set("/a", "x"), (error) => {
        assert.ok(error instanceof ClusterError && error.isOutcomeUnknown);
        const [cause] = error.causes;
        return cause instanceof ServerFaultError && cause.error?.code === 300;
      });
      assert.equal(good.requests.length, 0);
      assert.equal((await careful.keys.get("/a")).node.key, "/a");
      using eager = clientOf([slow.url, good.url], { retryWrites: "always" });
      assert.equal((await eager.keys.set("/a", "x")).action, "set");
    });

    test("a connection that breaks after the request leaves a write open, not a read", async () => {
      await using breaking = await FakeServer.start((request) => request.socket.destroy());
      await using good = await FakeServer.start(serving());
      using client = clientOf([breaking.url, good.url]);
      await assert.rejects(client.keys.delete("/a"), (error) => {
        return error instanceof ClusterError && error.isOutcomeUnknown;
      });
      assert.equal((await client.keys.get("/a")).node.key, "/a");
    });

    test("a body that ends early is a broken connection", async () => {
      await using torn = await FakeServer.start((request, response) => {
        response.writeHead(200, { "Content-Length": "1000" });
        response.write('{"action":');
        setImmediate(() => request.socket.destroy());
      });
      await using good = await FakeServer.start(serving());
      using client = clientOf([torn.url, good.url]);
      assert.equal((await client.keys.get("/a")).node.key, "/a");
      assert.equal(torn.requests.length, 1);
    });

    test("an endpoint that hangs costs its time limit and no more", async () => {
      await using hanging = await FakeServer.start(() => undefined);
      await using good = await FakeServer.start(serving());
      using client = clientOf([hanging.url, good.url], { timeoutMs: 100 });
      assert.equal((await client.keys.get("/a")).node.key, "/a");
      using alone = clientOf([hanging.url]);
      await assert.rejects(alone.keys.get("/a", { timeoutMs: 50 }), (error) => {
        return error instanceof ClusterError && error.causes[0] instanceof TimeoutError;
      });
    });

    test("the header may have a limit of its own, which ends when it is there", async () => {
      await using hanging = await FakeServer.start(() => undefined);
      await using slow = await FakeServer.start((_request, response) => {
        response.writeHead(200);
        response.flushHeaders();
        setTimeout(() => response.end(JSON.stringify({ action: "get", node: NODE })), 300);
      });
      using client = clientOf([hanging.url, slow.url], { headerTimeoutMs: 100 });
      assert.equal((await client.keys.get("/a")).node.key, "/a");
      await assert.rejects(client.keys.get("/a", { timeoutMs: 50 }), (error) => {
        assert.ok(error instanceof ClusterError);
        const [first, second] = error.causes;
        assert.ok(first instanceof TimeoutError && second instanceof TimeoutError);
        return first.awaited === "answer" && second.awaited === "answer";
      });
      await assert.rejects(clientOf([hanging.url]).keys.get("/a", { headerTimeoutMs: 20 }), (e) => {
        const cause = e instanceof ClusterError ? e.causes[0] : undefined;
        return cause?.message === `client: endpoint ${hanging.url} exceeded header timeout`;
      });
    });

    test("any request can be sent, and its refusal is an answer", async () => {
      await using server = await FakeServer.start((_request, response) => {
        answer(response, 404, "nothing", { "X-Own": "1" });
      });
      using client = clientOf([server.url]);
      const given = await client.request({ method: "POST", path: "/own", query: "a=b", body: "c" });
      assert.deepEqual([given.status, given.body, given.header("x-own")], [404, "nothing", "1"]);
      assert.deepEqual(server.requests, [{ method: "POST", url: "/own?a=b", body: "c" }]);
    });

    test("an aborted call rejects with the reason and asks nobody else", async () => {
      await using hanging = await FakeServer.start(() => undefined);
      await using good = await FakeServer.start(serving());
      using client = clientOf([hanging.url, good.url]);
      const reason = new Error("changed my mind");
      const controller = new AbortController();
      hanging.handler = () => {
        controller.abort(reason);
      };
      const { signal } = controller;
      await assert.rejects(client.keys.get("/a", { signal }), (error) => error === reason);
      await assert.rejects(client.keys.get("/a", { signal }), (error) => error === reason);
      assert.equal(good.requests.length, 0);
    });

    test("answers of another cluster are refused, unless ids are ignored", async () => {
      await using one = await FakeServer.start(serving("c1"));
      await using two = await FakeServer.start(serving("c2"));
      using client = clientOf([one.url, two.url]);
      await client.keys.get("/a");
      assert.equal(client.clusterId, "c1");
      one.handler = failing(503);
      await assert.rejects(client.keys.get("/a"), (error) => {
        const cause = error instanceof ClusterError ? error.causes[1] : undefined;
        assert.ok(cause instanceof ClusterIdError);
        assert.deepEqual([cause.expected, cause.actual, cause.endpoint], ["c1", "c2", two.url]);
        return true;
      });
      using careless = clientOf([two.url, one.url], { clusterId: "ignore" });
      one.handler = serving("c1");
      await careless.keys.get("/a");
      two.handler = failing(503);
      await careless.keys.get("/a");
      using named = clientOf([one.url], { clusterId: "c9" });
      await assert.rejects(named.keys.get("/a"), ClusterError);
    });

    test("redirects are followed, and strangers get no password", async () => {
      let authorization: string | undefined = "nothing came";
      await using target = await FakeServer.start((request, response) => {
        ({ authorization } = request.headers);
        serving()(request, response, "");
      });
      await using from = await FakeServer.start((request, response) => {
        answer(response, 307, "", { Location: `${target.url}${request.url ?? ""}` });
      });
      using client = clientOf([from.url], { username: "bob", password: "secret" });
      assert.equal((await client.keys.set("/a", "x", { ttl: 5 })).node.key, "/a");
      const [request] = target.requests;
      assert.deepEqual([request?.method, request?.body], ["PUT", "value=x&ttl=5"]);
      assert.equal(authorization, undefined);
      from.handler = (_request, response) => {
        answer(response, 307, "", { Location: "/v2/keys/a" });
      };
      await assert.rejects(client.keys.get("/a"));
    });

    test("the endpoints become those the members have published", async () => {
      await using other = await FakeServer.start(serving());
      await using first = await FakeServer.start((_request, response) => {
        const member = { id: "1", name: "m", peerURLs: [], clientURLs: [other.url] };
        answer(response, 200, { members: [member] });
      });
      using client = clientOf([first.url]);
      assert.deepEqual(await client.sync(), [other.url]);
      await client.keys.get("/a");
      assert.equal(other.requests.length, 1);
      first.handler = (_request, response) => {
        answer(response, 200, { members: [{ id: "1", name: "", clientURLs: [] }] });
      };
      await assert.rejects(clientOf([first.url]).sync(), NoEndpointsError);
      assert.throws(() => clientOf([]), NoEndpointsError);
    });

    test("credentials come from the options, or from the address of each endpoint", async () => {
      const seen: (string | undefined)[] = [];
      await using server = await FakeServer.start((request, response) => {
        seen.push(request.headers.authorization);
        serving()(request, response, "");
      });
      const withOwn = server.url.replace("http://", "http://ann:own@");
      await clientOf([withOwn]).keys.get("/a");
      await clientOf([withOwn], { username: "bob", password: "p" }).keys.get("/a");
      await clientOf([server.url]).keys.get("/a");
      const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;
      assert.deepEqual(seen, [basic("ann:own"), basic("bob:p"), undefined]);
    });

    test("health is told of a server that says no, and fails for one that says nothing", async () => {
      await using sick = await FakeServer.start((_request, response) => {
        answer(response, 503, { health: "false" });
      });
      using client = clientOf([sick.url]);
      assert.equal((await client.health()).isHealthy, false);
      await assert.rejects(client.health({ endpoint: await deadUrl() }), ConnectionError);
    });

    test("what is no v2 server is named as such", async () => {
      await using page = await FakeServer.start((_request, response) => {
        answer(response, 200, "<html>");
      });
      using client = clientOf([page.url]);
      await assert.rejects(client.keys.get("/a"), /the answer is not JSON/);
    });

    test("bad arguments are refused before anything is sent", async () => {
      await using server = await FakeServer.start(serving());
      using client = clientOf([server.url]);
      for (const ttl of [-1, 0.5, Number.NaN, Infinity]) {
        await assert.rejects(client.keys.set("/a", "x", { ttl }), RangeError);
      }
      await assert.rejects(client.keys.compareAndSwap("/a", "x", {}), RangeError);
      await assert.rejects(client.keys.compareAndDelete("/a", { prevValue: "" }), RangeError);
      assert.equal(server.requests.length, 0);
    });
  });
}

test("a connection that does not come about is given up by Node's transport", async () => {
  // Takes connections and never says a word of TLS.
  const sockets: Socket[] = [];
  const listener = createServer((socket) => {
    sockets.push(socket.on("error", () => undefined));
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  using client = new EtcdClient({
    endpoints: `https://127.0.0.1:${port}`,
    transport: nodeTransport({ connectTimeoutMs: 50 }),
    timeoutMs: 60_000,
  });
  await assert.rejects(client.keys.set("/a", "x"), (error) => {
    assert.ok(error instanceof ClusterError && !error.isOutcomeUnknown);
    const [cause] = error.causes;
    return cause instanceof ConnectionError && /no connection within 50 ms/.test(cause.message);
  });
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => listener.close(resolve));
});
