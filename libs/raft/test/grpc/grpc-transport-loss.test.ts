/** How a member learns that another's process is gone, and what is no such news. */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import {
  connect,
  connected,
  memberId,
  membersOfEachTest,
  Relay,
  until,
} from "./grpc-transport-harness.ts";

const { start, cleanups } = membersOfEachTest();

interface Child {
  readonly process: ChildProcess;
  readonly url: string;
}

async function startChild(id: number, ...peers: readonly string[]): Promise<Child> {
  const script = new URL("./grpc-transport-child.ts", import.meta.url);
  const child = fork(script, [String(id), ...peers], {
    execArgv: ["--conditions=etcd2-source"],
  });
  cleanups.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  const [url] = (await once(child, "message")) as [string];
  return { process: child, url };
}

/** Pings that go unanswered cannot be what tells: none is sent while a test waits. */
const limits = { pingIntervalMs: 60_000 };

describe("a member whose process is killed", () => {
  it("is reported lost at once, and once, by links in both directions", async () => {
    const a = await start(1, { limits });
    const child = await startChild(2, `1=${a.url}`);
    a.transport.addPeer({ id: memberId(2), urls: [child.url] });
    await until(() => a.transport.activeSince(memberId(2)) > 0, "our link");
    await until(() => a.inboundGreeted(memberId(2)), "its link");
    child.process.kill("SIGKILL");
    await until(() => a.listener.lost.length > 0, "the report");
    assert.equal(a.transport.activeSince(memberId(2)), 0);
    const later = performance.now() + 300;
    await until(() => performance.now() > later, "time for second thoughts");
    assert.deepEqual(a.listener.lost, [memberId(2)]);
  });

  it("is reported by the link it opened alone, and by the link opened to it alone", async () => {
    const a = await start(1, { limits });
    const dialler = await startChild(2, `1=${a.url}`);
    const dialled = await startChild(3);
    a.transport.addPeer({ id: memberId(3), urls: [dialled.url] });
    await until(() => a.transport.activeSince(memberId(3)) > 0, "our link");
    await until(() => a.inboundGreeted(memberId(2)), "its link");
    for (const child of [dialler, dialled]) {
      const count = a.listener.lost.length;
      child.process.kill("SIGKILL");
      await until(() => a.listener.lost.length > count, "the report");
    }
    assert.deepEqual(a.listener.lost, [memberId(2), memberId(3)]);
  });

  it("is reported again when it dies again", async () => {
    const a = await start(1, { limits });
    for (const count of [1, 2]) {
      const child = await startChild(2, `1=${a.url}`);
      a.transport.addPeer({ id: memberId(2), urls: [child.url] });
      await until(() => a.transport.activeSince(memberId(2)) > 0, "our link");
      await until(() => a.inboundGreeted(memberId(2), count), "its link");
      child.process.kill("SIGKILL");
      await until(() => a.listener.lost.length === count, "the report");
    }
  });
});

describe("a member whose process is stopped", () => {
  it("costs bounded memory however much is sent to it, and no loss is reported", async () => {
    const a = await start(1, { limits });
    const child = await startChild(2, `1=${a.url}`);
    const to = memberId(2);
    a.transport.addPeer({ id: to, urls: [child.url] });
    await until(() => a.transport.activeSince(to) > 0, "our link");
    child.process.kill("SIGSTOP");
    const rssBefore = process.memoryUsage.rss();
    for (let index = 1; index <= 16_000; index++) {
      const data = Buffer.alloc(64 * 1024, index);
      const entries = [{ term: 1, index, type: "normal" as const, data }];
      const prevIndex = index - 1;
      a.transport.send([
        { type: "append", from: a.id, to, term: 1, prevIndex, prevTerm: 1, entries, commit: 0 },
      ]);
      if (index % 50 === 0) await new Promise(setImmediate);
    }
    const grownMb = (process.memoryUsage.rss() - rssBefore) / 1e6;
    assert.ok(grownMb < 400, `${grownMb} MB more for 1 GB sent`);
    await until(() => a.listener.unreachable.length > 0, "the report");
    assert.deepEqual(a.listener.lost, []);
    child.process.kill("SIGCONT");
  });
});

describe("a member that shuts down", () => {
  it("is reported lost too: it will not come back under this connection", async () => {
    const a = await start(1, { limits });
    const child = await startChild(2, `1=${a.url}`);
    a.transport.addPeer({ id: memberId(2), urls: [child.url] });
    await until(() => a.transport.activeSince(memberId(2)) > 0, "our link");
    child.process.send("stop");
    await until(() => a.listener.lost.length === 1, "the report");
  });
});

describe("a reset of the connection alone", () => {
  it("is reported by both ends once, and the link is up again at once", async () => {
    const [a, b] = [await start(1, { limits }), await start(2, { limits })];
    const relay = await Relay.start(b.port);
    cleanups.push(() => relay.close());
    a.transport.addPeer({ id: b.id, urls: [relay.url] });
    await until(() => a.transport.activeSince(b.id) > 0, "the link");
    const since = a.transport.activeSince(b.id);
    relay.reset();
    await until(() => a.transport.activeSince(b.id) > since, "the new link");
    await until(() => a.listener.lost.length > 0 && b.listener.lost.length > 0, "the reports");
    assert.deepEqual([a.listener.lost, b.listener.lost], [[b.id], [a.id]]);
  });
});

describe("no loss is reported", () => {
  it("when we remove the peer, and not by the peer either", async () => {
    const unhurried = { ...limits, closeGraceMs: 20_000 };
    const [a, b] = [await start(1, { limits: unhurried }), await start(2, { limits: unhurried })];
    connect(a, b);
    await connected(a, b);
    a.transport.removePeer(b.id);
    await until(() => a.transport.peerStatus().length === 0, "the removal");
    b.transport.removePeer(a.id);
    const later = performance.now() + 400;
    await until(() => performance.now() > later, "the grace of closing links");
    assert.deepEqual([a.listener.lost, b.listener.lost], [[], []]);
  });

  it("when the peer was never reached, or the connection fell silent before it broke", async () => {
    const [a, b] = [await start(1, { limits: { pingIntervalMs: 50 } }), await start(2)];
    a.transport.addPeer({ id: memberId(3), urls: ["http://127.0.0.1:1"] });
    const relay = await Relay.start(b.port);
    cleanups.push(() => relay.close());
    a.transport.addPeer({ id: b.id, urls: [relay.url] });
    await until(() => a.transport.activeSince(b.id) > 0, "the link");
    relay.freeze();
    await until(() => a.log.some((line) => line.message.includes("does not answer")), "the cut");
    assert.deepEqual(a.listener.lost, []);
  });

  it("by a transport that is being closed", async () => {
    const [a, b] = [await start(1), await start(2)];
    connect(a, b);
    await connected(a, b);
    await a.stop();
    assert.deepEqual(a.listener.lost, []);
  });
});
