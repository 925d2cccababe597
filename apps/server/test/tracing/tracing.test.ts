/** Traces of real server processes, as a collector receives them. */
import assert from "node:assert/strict";
import { get, request } from "node:http";
import { after, before, describe, it } from "node:test";
import { freePort, until } from "@etcd2/test-support";
import { ask, ServerProcess } from "../single-member/server-process.ts";
import { Collector } from "./collector.ts";
import type { CollectedSpan } from "./collector.ts";

let nextTrace = 1;

/** A trace of the caller's, never asked for twice. */
function newTrace(): { readonly id: string; readonly parent: string; header: string } {
  const id = (nextTrace++).toString(16).padStart(32, "a");
  const parent = "00f067aa0ba902b7";
  return { id, parent, header: `00-${id}-${parent}-01` };
}

function askTraced(
  method: string,
  url: string,
  form: string,
  headers: Readonly<Record<string, string>>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const type = { "Content-Type": "application/x-www-form-urlencoded" };
    const call = request(
      url,
      { method, headers: form === "" ? headers : { ...type, ...headers } },
      (response) => {
        response.resume();
        response.on("error", reject);
        response.on("end", () => {
          resolve(response.statusCode ?? 0);
        });
      },
    );
    call.on("error", reject);
    call.end(form);
  });
}

function named(spans: readonly CollectedSpan[], name: string): CollectedSpan {
  const found = spans.filter((span) => span.name === name);
  assert.equal(found.length, 1, `${name} in ${spans.map((span) => span.name).join(", ")}`);
  return found[0] ?? assert.fail();
}

/** Spans of one process nest to the microsecond. */
function assertWithin(inner: CollectedSpan, outer: CollectedSpan): void {
  const slackNs = 2000n;
  assert.ok(inner.startNs <= inner.endNs, `${inner.name} ends after it starts`);
  assert.ok(inner.startNs + slackNs >= outer.startNs, `${inner.name} starts in ${outer.name}`);
  assert.ok(inner.endNs <= outer.endNs + slackNs, `${inner.name} ends in ${outer.name}`);
}

const tracingFlags = (collector: Collector): readonly string[] => [
  "--enable-distributed-tracing",
  ...["--distributed-tracing-address", collector.address],
  ...["--distributed-tracing-service-name", "etcd-under-test"],
  ...["--distributed-tracing-instance-id", "one"],
];

describe("a member that is traced", { concurrency: true }, () => {
  let collector: Collector;
  let server: ServerProcess;
  let keys: string;

  before(async () => {
    collector = await Collector.start();
    server = await ServerProcess.start(tracingFlags(collector));
    keys = `${server.clientUrl}/v2/keys`;
  });
  after(async () => {
    await server.dispose();
    collector.stop();
  });

  async function spansOf(traceId: string, count: number): Promise<readonly CollectedSpan[]> {
    await until(`${count} spans of ${traceId}`, () => collector.trace(traceId).length >= count);
    return collector.trace(traceId);
  }

  it("says so once", () => {
    assert.match(server.log, /distributed tracing has been enabled: spans go to 127\.0\.0\.1:/);
  });

  it("shows a write from the request to the store", async () => {
    const { id, parent, header } = newTrace();
    const headers = { traceparent: header, tracestate: "vendor=x" };
    const status = await askTraced("PUT", `${keys}/colour?ttl=90`, "value=hidden-value", headers);
    assert.equal(status, 201);
    const spans = await spansOf(id, 5);
    const http = named(spans, "PUT /v2/keys");
    const propose = named(spans, "raft.propose");
    assert.equal(http.parentId, parent);
    assert.equal(http.kind, 2);
    assert.equal(http.traceState, "vendor=x");
    assert.equal(propose.parentId, http.spanId);
    assertWithin(propose, http);
    for (const name of ["wal.fsync", "raft.replicate", "store.apply"]) {
      const span = named(spans, name);
      assert.equal(span.parentId, propose.spanId, name);
      assertWithin(span, propose);
    }
    const [sync, apply] = [named(spans, "wal.fsync"), named(spans, "store.apply")];
    assert.ok(sync.endNs <= apply.startNs + 2000n, "synced before it is applied");
    assert.equal(spans.length, 5);
    const { attributes } = http;
    assert.deepEqual(
      [attributes["http.request.method"], attributes["http.route"], attributes["etcd.key"]],
      ["PUT", "/v2/keys", "/colour"],
    );
    assert.equal(attributes["http.response.status_code"], 201);
    assert.equal(typeof attributes["etcd.index"], "number");
    assert.deepEqual(propose.events, ["appended"]);
    assert.equal(propose.attributes["etcd.forwarded"], undefined);
    assert.equal(http.resource["service.name"], "etcd-under-test");
    assert.equal(http.resource["service.instance.id"], "one");
    assert.doesNotMatch(
      JSON.stringify(spans, (_, v: unknown) => String(v)),
      /hidden-value/,
    );
  });

  it("gives requests of one batch spans of their own", async () => {
    const traces = Array.from({ length: 20 }, newTrace);
    await Promise.all(
      traces.map(({ header }, i) =>
        askTraced("PUT", `${keys}/batch/${i}`, "value=x", { traceparent: header }),
      ),
    );
    for (const { id } of traces) {
      const spans = await spansOf(id, 5);
      const propose = named(spans, "raft.propose");
      assertWithin(named(spans, "wal.fsync"), propose);
    }
  });

  it("shows what the store refused as answered, not as failed", async () => {
    const { id, header } = newTrace();
    const headers = { traceparent: header };
    await ask("PUT", `${keys}/taken`, "value=y");
    const url = `${keys}/taken?prevValue=other`;
    assert.equal(await askTraced("PUT", url, "value=x", headers), 412);
    const propose = named(await spansOf(id, 5), "raft.propose");
    assert.equal(propose.attributes["etcd.error_code"], 101);
    assert.equal(propose.status, 0);
  });

  it("shows how long a read waited for confirmation", async () => {
    const { id, header } = newTrace();
    const url = `${keys}?quorum=true`;
    assert.equal(await askTraced("GET", url, "", { traceparent: header }), 200);
    const spans = await spansOf(id, 2);
    const http = named(spans, "GET /v2/keys");
    const read = named(spans, "raft.read_index");
    assert.equal(read.parentId, http.spanId);
    assertWithin(read, http);
  });

  it("ends the span of a watch with its headers", async () => {
    const { id, header } = newTrace();
    const watch = get(`${keys}/colour?wait=true`, { headers: { traceparent: header } });
    watch.on("error", () => undefined);
    try {
      const [span] = await spansOf(id, 1);
      assert.equal(span?.attributes["etcd.watch"], true);
      assert.equal(span.attributes["http.response.status_code"], 200);
    } finally {
      watch.destroy();
    }
  });

  it("traces nothing unless a sampled caller asks for it", async () => {
    const { id, parent } = newTrace();
    const put = (header: string) =>
      askTraced("PUT", `${keys}/quiet`, "value=x", { traceparent: header });
    await put(`00-${id}-${parent}-00`);
    await put("nonsense");
    await put(`00-${id}-${parent}-01-`);
    await ask("PUT", `${keys}/quiet`, "value=x");
    // What is asked for last arrives, and what came before did not.
    const last = newTrace();
    await put(last.header);
    await spansOf(last.id, 5);
    const quiet = collector.spans.filter(({ attributes }) => attributes["etcd.key"] === "/quiet");
    assert.deepEqual(
      quiet.map(({ traceId }) => traceId),
      [last.id],
    );
    assert.deepEqual(collector.trace(id), []);
  });
});

describe("a member that stops", () => {
  it("sends what it has", async () => {
    const collector = await Collector.start();
    const server = await ServerProcess.start(tracingFlags(collector));
    const url = `${server.clientUrl}/v2/keys/last`;
    // Once the connection is up, what is left is sent well within the time limit.
    const first = newTrace();
    await askTraced("PUT", url, "value=x", { traceparent: first.header });
    await until("the first spans", () => collector.trace(first.id).length === 5);
    const { id, header } = newTrace();
    await askTraced("PUT", url, "value=x", { traceparent: header });
    await server.kill("SIGTERM");
    assert.equal(collector.trace(id).length, 5);
    await server.dispose();
    collector.stop();
  });
});

describe("a member that begins traces itself", () => {
  it("does so for every request at a million in a million", async () => {
    const collector = await Collector.start();
    const server = await ServerProcess.start([
      ...tracingFlags(collector),
      ...["--experimental-distributed-tracing-sampling-rate", "1000000"],
    ]);
    try {
      await ask("PUT", `${server.clientUrl}/v2/keys/a`, "value=x");
      await until("five spans", () => collector.spans.length >= 5);
      const root = named(collector.spans, "PUT /v2/keys");
      assert.equal(root.parentId, "");
    } finally {
      await server.dispose();
      collector.stop();
    }
  });
});

describe("a member whose collector fails", () => {
  it("serves all the same, says so once, and stops in time", async () => {
    const collector = await Collector.start();
    collector.isBroken = true;
    const server = await ServerProcess.start([
      ...tracingFlags(collector),
      ...["--distributed-tracing-sampling-rate", "1000000"],
    ]);
    try {
      const url = `${server.clientUrl}/v2/keys/a`;
      const lines = () => server.log.split("\n").filter((line) => /cannot send traces/.test(line));
      await until("a complaint", async () => {
        assert.ok((await ask("PUT", url, "value=x")).status < 300);
        return lines().length > 0;
      });
      collector.stop();
      for (let i = 0; i < 200; i += 1) {
        assert.equal((await ask("PUT", url, "value=x")).status, 200);
      }
      const startedAt = Date.now();
      await server.kill("SIGTERM");
      assert.ok(Date.now() - startedAt < 10_000, "it does not wait for the collector");
      assert.equal(lines().length, 1);
    } finally {
      await server.dispose();
      collector.stop();
    }
  });
});

describe("three members", () => {
  let collector: Collector;
  const servers: ServerProcess[] = [];

  before(async () => {
    collector = await Collector.start();
    const members: { name: string; client: string; peer: string }[] = [];
    for (const name of ["a", "b", "c"]) {
      const [client, peer] = [await freePort(), await freePort()];
      members.push({
        name,
        client: `http://127.0.0.1:${client}`,
        peer: `http://127.0.0.1:${peer}`,
      });
    }
    const cluster = members.map(({ name, peer }) => `${name}=${peer}`).join(",");
    for (const { name, client, peer } of members) {
      const server = new ServerProcess();
      server.clientUrl = client;
      server.flags = [
        ...["--name", name, "--data-dir", server.dataDir, "--initial-cluster", cluster],
        ...["--listen-client-urls", client, "--advertise-client-urls", client],
        ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
        ...tracingFlags(collector),
      ];
      servers.push(server);
    }
    await Promise.all(servers.map((server) => server.spawn()));
    await Promise.all(
      servers.map((server) =>
        until("a leader", async () => {
          const answer = await ask("PUT", `${server.clientUrl}/v2/keys/warm`, "value=x");
          return answer.status < 300;
        }),
      ),
    );
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.dispose()));
    collector.stop();
  });

  async function rolesOf(): Promise<{ leader: ServerProcess; follower: ServerProcess }> {
    const found: { leader?: ServerProcess; follower?: ServerProcess } = {};
    for (const server of servers) {
      const { body } = await ask("GET", `${server.clientUrl}/v2/stats/self`);
      const { state } = JSON.parse(body) as { state: string };
      found[state === "StateLeader" ? "leader" : "follower"] = server;
    }
    const { leader, follower } = found;
    return leader !== undefined && follower !== undefined ? { leader, follower } : assert.fail();
  }

  it("share the trace of a write that is forwarded", async () => {
    const { follower } = await rolesOf();
    const { id, header } = newTrace();
    const url = `${follower.clientUrl}/v2/keys/far`;
    assert.equal(await askTraced("PUT", url, "value=x", { traceparent: header }), 201);
    await until("six spans", () => collector.trace(id).length >= 6);
    const spans = collector.trace(id);
    const propose = named(spans, "raft.propose");
    assert.equal(propose.attributes["etcd.forwarded"], true);
    assert.deepEqual(propose.events, ["forwarded"]);
    const leaderId = propose.attributes["etcd.leader.id"];
    const memberId = propose.attributes["etcd.member.id"];
    assert.notEqual(leaderId, memberId);
    for (const name of ["wal.fsync", "raft.replicate"]) {
      const span = named(spans, name);
      assert.equal(span.parentId, propose.spanId);
      assert.equal(span.attributes["etcd.member.id"], leaderId);
    }
    const applies = spans.filter(({ name }) => name === "store.apply");
    assert.deepEqual(
      new Set(applies.map(({ attributes }) => attributes["etcd.member.id"])),
      new Set([leaderId, memberId]),
    );
    for (const { parentId } of applies) assert.equal(parentId, propose.spanId);
    assert.equal(spans.length, 6);
  });

  it("show whose answer made a write of the leader final", async () => {
    const { leader } = await rolesOf();
    const url = `${leader.clientUrl}/v2/keys/near`;
    // Nobody's did where the leader's own disk was the last: then another write is looked at.
    await until("a write that a follower's answer made final", async () => {
      const { id, header } = newTrace();
      const status = await askTraced("PUT", url, "value=x", { traceparent: header });
      assert.ok(status === 200 || status === 201, String(status));
      await until("five spans", () => collector.trace(id).length >= 5);
      const spans = collector.trace(id);
      const replicate = named(spans, "raft.replicate");
      assertWithin(replicate, named(spans, "raft.propose"));
      assert.equal(spans.length, 5);
      const answered = replicate.attributes["etcd.quorum.member.id"];
      if (answered === undefined) return false;
      assert.match(String(answered), /^[0-9a-f]{16}$/);
      return true;
    });
  });
});
