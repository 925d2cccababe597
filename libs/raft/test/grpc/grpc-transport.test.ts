/** Members without raft over real sockets: order, queues, reconnects, handshakes, limits. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { describe, it } from "node:test";
import { CountingMeter } from "@etcd2/observability";
import { freePort } from "@etcd2/test-support";
import type { Message, NodeId } from "../../src/core/model/types.ts";
import { ClusterInfoError, fetchClusterInfo } from "../../src/grpc/cluster-info.ts";
import { GrpcTransport } from "../../src/grpc/grpc-transport.ts";
import { createPeerServer } from "../../src/grpc/peer-server.ts";
import {
  CLUSTER,
  connect,
  connected,
  memberId,
  membersOfEachTest,
  RecordingListener,
} from "./grpc-transport-harness.ts";
import type { TestMember } from "./grpc-transport-harness.ts";
import { Relay, until } from "./grpc-transport-harness.ts";

const { start, cleanups } = membersOfEachTest();

function heartbeat(from: TestMember, to: TestMember, n: number): Message {
  return { type: "heartbeat", from: from.id, to: to.id, term: 1, commit: n, context: `${n}` };
}

function append(from: NodeId, to: NodeId, index: number, bytes = 300): Message {
  const data = new Uint8Array(bytes).fill(index);
  const entries = [{ term: 1, index, type: "normal" as const, data }];
  return {
    type: "append",
    from,
    to,
    term: 1,
    prevIndex: index - 1,
    prevTerm: 1,
    entries,
    commit: 0,
  };
}

describe("messages between members", () => {
  it("arrive unchanged and in order, of many turns and of one", async () => {
    const [a, b] = [await start(1), await start(2)];
    connect(a, b);
    await connected(a, b);
    const sent: Message[] = [];
    for (let turn = 0; turn < 50; turn++) {
      const batch = Array.from({ length: 40 }, (_, i) => append(a.id, b.id, turn * 40 + i + 1));
      sent.push(...batch);
      a.transport.send(batch.slice(0, 20));
      a.transport.send(batch.slice(20));
      await new Promise(setImmediate);
    }
    await until(() => b.listener.messages.length === sent.length, "all messages");
    for (const [i, message] of b.listener.messages.entries()) {
      assert.ok(message.type === "append");
      assert.equal(message.prevIndex, i);
      assert.equal(message.entries[0]?.data[299], (i + 1) & 0xff);
    }
  });

  it("reach the right one of three, each from each, each in order", async () => {
    const members = [await start(1), await start(2), await start(3)];
    connect(...members);
    await connected(...members);
    for (let n = 0; n < 100; n++) {
      for (const from of members) {
        const others = members.filter((to) => to !== from);
        from.transport.send(others.map((to) => heartbeat(from, to, n)));
      }
    }
    await until(() => members.every((m) => m.listener.messages.length === 200), "all messages");
    for (const to of members) {
      for (const from of members.filter((m) => m !== to)) {
        const got = to.listener.messages.filter((m) => m.from === from.id);
        assert.deepEqual(
          got.map((m) => (m.type === "heartbeat" ? m.commit : -1)),
          Array.from({ length: 100 }, (_, n) => n),
        );
      }
    }
  });

  it("of one turn travel in one frame a lane", async () => {
    const meter = new CountingMeter();
    const [a, b] = [await start(1, { transport: { meter } }), await start(2)];
    connect(a, b);
    await connected(a, b);
    for (let i = 1; i <= 30; i++) a.transport.send([append(a.id, b.id, i), heartbeat(a, b, i)]);
    const sent = (): number => meter.value("etcd2_peer_sent_messages_total", b.id);
    await until(() => b.listener.messages.length === 60 && sent() === 60, "arrival");
    const frames = meter
      .samples("etcd2_peer_send_latency_seconds")
      .find(({ metricName = "" }) => metricName.endsWith("_count"));
    assert.equal(frames?.value, 2);
  });

  it("that are larger than a batch travel alone, and the rest is cut into several frames", async () => {
    const [a, b] = [await start(1), await start(2)];
    connect(a, b);
    await connected(a, b);
    const sizes = [600_000, 10, 60_000, 60_000, 60_000, 2_000_000, 10];
    a.transport.send(sizes.map((bytes, i) => append(a.id, b.id, i + 1, bytes)));
    await until(() => b.listener.messages.length === sizes.length, "arrival");
    const got = b.listener.messages.map((m) =>
      m.type === "append" ? m.entries[0]?.data.length : 0,
    );
    assert.deepEqual(got, sizes);
  });

  it("that are small overtake large ones queued before them", async () => {
    const [a, b] = [await start(1), await start(2)];
    connect(a, b);
    await connected(a, b);
    for (let i = 1; i <= 20; i++) a.transport.send([append(a.id, b.id, i, 500_000)]);
    a.transport.send([heartbeat(a, b, 1)]);
    await until(() => b.listener.messages.length === 21, "arrival");
    const position = b.listener.messages.findIndex((m) => m.type === "heartbeat");
    assert.ok(position < 5, `the heartbeat came after ${position} of 20 appends`);
  });

  it("sent while the link is being dialled arrive when it is up", async () => {
    const [a, b] = [await start(1), await start(2)];
    connect(a, b);
    a.transport.send([heartbeat(a, b, 1)]);
    await until(() => b.listener.messages.length === 1, "arrival");
    assert.deepEqual(a.listener.unreachable, []);
  });

  it("to strangers are dropped without a word", async () => {
    const [a, b] = [await start(1), await start(2)];
    a.transport.send([heartbeat(a, b, 1)]);
    await new Promise(setImmediate);
    assert.deepEqual(a.listener.unreachable, []);
  });

  it("in a stream of another member's name are refused, with the connection", async () => {
    const [a, b] = [await start(1), await start(2)];
    connect(a, b);
    await connected(a, b);
    const forged: Message = { ...heartbeat(a, b, 1), from: memberId(9) };
    a.transport.send([forged]);
    await until(() => b.log.some((line) => line.message.includes("invalid frame")), "the refusal");
    assert.deepEqual(b.listener.messages, []);
    await connected(a, b);
  });
});

describe("round trips", () => {
  it("are measured on every link", async () => {
    const seconds: number[] = [];
    const traffic = {
      onAppendsSent: (): void => undefined,
      onAppendsReceived: (): void => undefined,
      onMessagesDropped: (): void => undefined,
      onRoundTrip: (_to: NodeId, value: number): void => {
        seconds.push(value);
      },
    };
    const options = { transport: { traffic }, limits: { pingIntervalMs: 20 } };
    const [a, b] = [await start(1, options), await start(2)];
    connect(a, b);
    await until(() => seconds.length >= 3, "three round trips");
    for (const value of seconds) assert.ok(value > 0 && value < 30, `${value} s`);
  });
});

/** Accepts connections and never says a word. */
async function startMute(): Promise<{ url: string; sockets: Socket[]; server: Server }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { url: `http://127.0.0.1:${address.port}`, sockets, server };
}

describe("a peer that cannot be reached", () => {
  it("costs its messages, reported once per burst, and is reached as soon as it is there", async () => {
    const a = await start(1);
    const urls = [`http://127.0.0.1:${await freePort()}`];
    const b = await start(2, { addresses: urls });
    await b.stop();
    a.transport.addPeer({ id: b.id, urls });
    await until(() => a.log.some((line) => line.message === "cannot reach peer"), "the failure");
    for (let i = 0; i < 100; i++) a.transport.send([heartbeat(a, b, i)]);
    await until(() => a.listener.unreachable.length > 0, "the report");
    await new Promise(setImmediate);
    assert.deepEqual(a.listener.unreachable, [b.id]);
    assert.equal(a.transport.activeSince(b.id), 0);

    const again = await start(2, { addresses: urls });
    await until(() => a.transport.activeSince(b.id) > 0, "the link");
    a.transport.send([heartbeat(a, again, 7)]);
    await until(() => again.listener.messages.length === 1, "arrival");
    const failures = a.log.filter((line) => line.message === "cannot reach peer");
    assert.equal(failures.length, 1, "said once, not with every attempt");
  });

  it("is dialled at once when it dials us", async () => {
    const limits = { backoffMinMs: 60_000, backoffMaxMs: 60_000, dialTimeoutMs: 20_000 };
    const a = await start(1, { limits });
    const urls = [`http://127.0.0.1:${await freePort()}`];
    const b = await start(2, { addresses: urls });
    await b.stop();
    a.transport.addPeer({ id: b.id, urls });
    await until(() => a.log.some((line) => line.message === "cannot reach peer"), "the failure");
    const again = await start(2, { addresses: urls });
    again.transport.addPeer({ id: a.id, urls: [a.url] });
    await connected(a, again);
  });

  it("is found under another of its URLs", async () => {
    const mute = await startMute();
    const [a, b] = [await start(1, { limits: { dialTimeoutMs: 100 } }), await start(2)];
    a.transport.addPeer({ id: b.id, urls: ["http://127.0.0.1:1", "not a url", mute.url, b.url] });
    await until(() => a.transport.activeSince(b.id) > 0, "the link");
    const reasons = a.log.filter((line) => line.level === "warning").map((line) => line.message);
    assert.deepEqual(reasons, ["cannot reach peer"]);
  });

  it("keeps its link when its URL is updated, and is found under the new one once that ends", async () => {
    const [a, b] = [await start(1), await start(2)];
    a.transport.addPeer({ id: b.id, urls: [b.url] });
    await until(() => a.transport.activeSince(b.id) > 0, "the first link");
    const c = await start(2);
    a.transport.updatePeer({ id: b.id, urls: [c.url] });
    a.transport.send([heartbeat(a, b, 1)]);
    await until(() => b.listener.messages.length === 1, "arrival at the old place");
    await b.stop();
    await until(() => {
      a.transport.send([heartbeat(a, c, 2)]);
      return c.listener.messages.length > 0;
    }, "arrival at the new place");
  });

  it("is dialled anew when its URL is updated while it cannot be reached", async () => {
    const limits = { backoffMinMs: 60_000, backoffMaxMs: 60_000 };
    const [a, b] = [await start(1, { limits }), await start(2)];
    a.transport.addPeer({ id: b.id, urls: ["http://127.0.0.1:1"] });
    await until(() => a.log.some((line) => line.message === "cannot reach peer"), "the failure");
    a.transport.updatePeer({ id: b.id, urls: [b.url] });
    await until(() => a.transport.activeSince(b.id) > 0, "the link");
  });
});

describe("a peer that does not read", () => {
  it("fills its bounded queue and no more; heartbeats are kept fresh, appends gapless", async () => {
    const limits = { queueCountMax: 200, queueBytesMax: 1_000_000 };
    // The clock stands still, so that all of it is one burst.
    const a = await start(1, { limits, transport: { now: () => 1 } });
    const b = await start(2);
    a.transport.addPeer({ id: b.id, urls: [b.url] });
    await until(() => a.transport.activeSince(b.id) > 0, "the link");
    // The receiver's event loop is this one: nothing is read while this loop runs.
    let index = 0;
    for (let i = 0; i < 1000; i++) {
      a.transport.send([append(a.id, b.id, ++index, 50_000), heartbeat(a, b, i)]);
      await Promise.resolve();
    }
    const [peer] = a.transport.peerStatus();
    assert.ok(peer !== undefined && peer.queuedBytes <= 2 * limits.queueBytesMax, "bytes bounded");
    assert.ok(peer.queuedCount <= 2 * limits.queueCountMax, "count bounded");
    await until(() => a.listener.unreachable.length > 0, "the report");
    assert.deepEqual(a.listener.unreachable, [b.id]);
    const isLast = (m: Message): boolean => m.type === "heartbeat" && m.commit === 999;
    await until(() => b.listener.messages.some(isLast), "the last heartbeat");
    const appends = b.listener.messages.filter((m) => m.type === "append");
    assert.ok(appends.length < 1000, "appends were dropped");
    for (const [i, m] of appends.entries()) assert.equal(m.prevIndex, i, "without a gap");
  });

  it("is cut off when it stops answering pings, and that is no loss", async () => {
    const limits = { pingIntervalMs: 20, backoffMinMs: 20 };
    const a = await start(1, { limits });
    const b = await start(2);
    const relay = await Relay.start(b.port);
    cleanups.push(() => relay.close());
    a.transport.addPeer({ id: b.id, urls: [relay.url] });
    await until(() => a.transport.activeSince(b.id) > 0, "the link");
    const since = a.transport.activeSince(b.id);
    relay.freeze();
    await until(() => a.transport.activeSince(b.id) !== since, "the cut");
    await until(() => a.transport.activeSince(b.id) > since, "a new link");
    assert.deepEqual(a.listener.lost, []);
    assert.ok(a.log.some((line) => line.message === "peer does not answer pings"));
  });

  it("gives up a peer that accepts connections and says nothing", async () => {
    const mute = await startMute();
    const a = await start(1, { limits: { dialTimeoutMs: 50, backoffMinMs: 10 } });
    a.transport.addPeer({ id: memberId(2), urls: [mute.url] });
    await until(() => mute.sockets.length >= 3, "several attempts");
    assert.equal(a.transport.activeSince(memberId(2)), 0);
  });
});

describe("a link that is removed", () => {
  it("still delivers what was queued, in both lanes", async () => {
    const limits = { closeGraceMs: 20_000 };
    const [a, b] = [await start(1, { limits }), await start(2)];
    connect(a, b);
    await connected(a, b);
    for (let i = 1; i <= 20; i++)
      a.transport.send([append(a.id, b.id, i, 50_000), heartbeat(a, b, i)]);
    a.transport.removePeer(b.id);
    await until(() => b.listener.messages.length === 40, "all of it");
  });
});

describe("the handshake", () => {
  const refusals = (member: TestMember): string[] =>
    member.log
      .filter((line) => line.message.includes("refuse"))
      .map((line) => `${line.fields["reason"] ?? ""}`);
  const limits = { backoffMinMs: 10, backoffMaxMs: 20 };

  it("refuses another cluster, naming members and clusters, and both say so once", async () => {
    const a = await start(1, { clusterId: "000000000000aaaa", limits });
    const b = await start(2, { limits });
    connect(a, b);
    const text =
      "cluster id mismatch: member 0000000000000001 belongs to cluster 000000000000aaaa, " +
      "member 0000000000000002 to cluster 00000000000c1057";
    await until(() => refusals(a).includes(text) && refusals(b).includes(text), "the refusal");
    const count = refusals(a).length;
    // Many retries later nothing more has been said.
    const dials = performance.now() + 200;
    await until(() => performance.now() > dials, "some retries");
    assert.ok(refusals(a).length <= count + 1, "not once per retry");
    assert.equal(a.transport.activeSince(b.id), 0);
    assert.deepEqual([a.listener.removed, a.listener.lost, b.listener.lost], [[], [], []]);
  });

  it("refuses a caller that looks for somebody else", async () => {
    const [a, b] = [await start(1, { limits }), await start(2)];
    a.transport.addPeer({ id: memberId(3), urls: [b.url] });
    await until(() => refusals(a).length > 0, "the refusal");
    const text =
      "member id mismatch: 0000000000000001 asks for 0000000000000003, this is 0000000000000002";
    assert.deepEqual(refusals(a), [text]);
    assert.deepEqual(refusals(b), [text]);
  });

  it("refuses programs too far apart in version, whichever is older", async () => {
    const versions = { serverVersion: "1.9.9", minClusterVersion: "1.0.0" };
    const a = await start(1, { limits, transport: versions });
    const b = await start(2, { limits });
    connect(a, b);
    await until(() => refusals(a).length > 0 && refusals(b).length > 0, "the refusals");
    assert.match(refusals(a)[0] ?? "", /member 0000000000000001 is too old: it runs 1\.9\.9/);
    assert.match(refusals(b)[0] ?? "", /member 0000000000000001 is too old: it runs 1\.9\.9/);
  });

  it("tells a removed member so, once, also when its stream is open already", async () => {
    const fast = { ...limits, pingIntervalMs: 20 };
    const [a, b] = [await start(1, { limits: fast }), await start(2, { limits: fast })];
    connect(a, b);
    await connected(a, b);
    b.removedIds.add(a.id);
    await until(() => a.listener.removed.length > 0, "the word");
    const text =
      "member 0000000000000001 has been removed from cluster 00000000000c1057 " +
      "(says 0000000000000002)";
    assert.deepEqual(a.listener.removed, [text]);
    const later = performance.now() + 100;
    await until(() => performance.now() > later, "some retries");
    assert.equal(a.listener.removed.length, 1);
    assert.deepEqual(b.listener.lost, []);
    assert.deepEqual(a.listener.lost, []);
  });

  it("lets in a member of the same cluster that nobody has told us of", async () => {
    const [a, b] = [await start(1), await start(2)];
    a.transport.addPeer({ id: b.id, urls: [b.url] });
    a.transport.send([heartbeat(a, b, 4)]);
    await until(() => b.listener.messages.length === 1, "arrival");
  });
});

describe("cluster info", () => {
  const info = {
    clusterId: CLUSTER,
    memberId: memberId(1),
    leaderId: memberId(2),
    serverVersion: "2.4.0",
    clusterVersion: "2.4.0",
    members: [
      {
        id: memberId(1),
        name: "one",
        peerUrls: ["http://h:2380"],
        clientUrls: ["http://h:2379"],
        isLearner: false,
      },
    ],
    removedIds: [memberId(9)],
  };

  it("is told to anybody who asks", async () => {
    const a = await start(1, { clusterInfo: () => info });
    assert.deepEqual(await fetchClusterInfo(a.url, { timeoutMs: 20_000 }), info);
  });

  it("fails with the URL and the kind of failure", async () => {
    const notReady = await start(1);
    const mute = await startMute();
    const empty = await createPeerServer({ addresses: ["http://127.0.0.1:0"] });
    cleanups.push(() => empty.close());
    const closed = await start(2, { addresses: [`http://127.0.0.1:${await freePort()}`] });
    await closed.stop();
    const cases = [
      [notReady.url, "unreachable", 20_000],
      [mute.url, "late", 300],
      [closed.url, "unreachable", 20_000],
      [empty.listeners[0]?.url ?? "", "notAMember", 20_000],
      ["ftp://host", "badUrl", 20_000],
      ["2380", "badUrl", 20_000],
    ] as const;
    for (const [url, code, timeoutMs] of cases) {
      const error = await fetchClusterInfo(url, { timeoutMs }).catch((e: unknown) => e);
      assert.ok(error instanceof ClusterInfoError, url);
      assert.equal(error.code, code, `${url}: ${error.message}`);
      assert.ok(error.message.startsWith(url), error.message);
    }
  });
});

describe("the peer server", () => {
  it("names the address that is taken, and keeps none of the others open", async () => {
    const a = await start(1);
    const addresses = ["http://127.0.0.1:0", `http://localhost:${a.port}`];
    await assert.rejects(createPeerServer({ addresses }), {
      message: `listen tcp 127.0.0.1:${a.port}: bind: address already in use`,
    });
  });

  it("explains an address that is not this machine's, and a URL it cannot serve", async () => {
    await assert.rejects(createPeerServer({ addresses: ["http://192.0.2.1:2380"] }), {
      message: "listen tcp 192.0.2.1:2380: bind: cannot assign requested address",
    });
    await assert.rejects(createPeerServer({ addresses: ["https://127.0.0.1:0"] }), /certificate/);
    await assert.rejects(createPeerServer({ addresses: ["unix:///x"] }), TypeError);
  });

  it("binds and dials localhost at 127.0.0.1, and serves several addresses", async () => {
    const b = await start(2, { addresses: ["http://localhost:0", "http://127.0.0.1:0"] });
    assert.deepEqual(
      b.server.listeners.map(({ host }) => host),
      ["127.0.0.1", "127.0.0.1"],
    );
    for (const [i, { url }] of b.server.listeners.entries()) {
      const a = await start(10 + i);
      a.transport.addPeer({ id: b.id, urls: [url] });
      await until(() => a.transport.activeSince(b.id) > 0, url);
    }
  });

  it(
    "closes though peers hold connections, and may be closed twice",
    { timeout: 60_000 },
    async () => {
      const [a, b] = [await start(1), await start(2)];
      connect(a, b);
      await connected(a, b);
      await b.server.close();
      await b.server.close();
      await assert.rejects(fetchClusterInfo(b.url, { timeoutMs: 20_000 }), ClusterInfoError);
    },
  );
});

describe("a closed transport", () => {
  it("sends nothing, reports nothing and can be closed again", async () => {
    const listener = new RecordingListener();
    const transport = new GrpcTransport({
      clusterId: CLUSTER,
      memberId: memberId(1),
      serverVersion: "2.4.0",
      minClusterVersion: "2.3.0",
      listener,
    });
    transport.addPeer({ id: memberId(2), urls: ["http://127.0.0.1:1"] });
    await transport.close();
    await transport.close();
    transport.addPeer({ id: memberId(3), urls: ["http://127.0.0.1:1"] });
    const to = memberId(2);
    transport.send([{ type: "timeoutNow", from: memberId(1), to, term: 1 }]);
    await new Promise(setImmediate);
    assert.deepEqual(transport.peerStatus(), []);
    assert.deepEqual(listener.unreachable, []);
  });
});
