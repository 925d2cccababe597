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

/** Sooner than unanswered pings could tell: milliseconds on a quiet machine. */
const SILENCE_MS = 3000;

describe("a member whose process is killed", () => {
  it("is reported lost at once, and once, by links in both directions", async () => {
    const a = await start(1);
    const child = await startChild(2, `1=${a.url}`);
    a.transport.addPeer({ id: memberId(2), urls: [child.url] });
    await until(() => a.transport.activeSince(memberId(2)) > 0, "our link");
    await until(() => a.inboundGreeted(memberId(2)), "its link");
    const killedAt = performance.now();
    child.process.kill("SIGKILL");
    await until(() => a.listener.lost.length > 0, "the report");
    const [loss] = a.listener.lost;
    assert.ok(loss !== undefined && loss.id === memberId(2));
    const tookMs = loss.at - killedAt;
    assert.ok(tookMs < SILENCE_MS, `${tookMs} ms`);
    assert.equal(a.transport.activeSince(memberId(2)), 0);
    await until(() => performance.now() > killedAt + 300, "time for second thoughts");
    assert.equal(a.listener.lost.length, 1);
  });

  it("is reported by the link it opened alone, and by the link opened to it alone", async () => {
    const a = await start(1);
    const dialler = await startChild(2, `1=${a.url}`);
    const dialled = await startChild(3);
    a.transport.addPeer({ id: memberId(3), urls: [dialled.url] });
    await until(() => a.transport.activeSince(memberId(3)) > 0, "our link");
    await until(() => a.inboundGreeted(memberId(2)), "its link");
    for (const [child, id] of [
      [dialler, memberId(2)],
      [dialled, memberId(3)],
    ] as const) {
      const killedAt = performance.now();
      child.process.kill("SIGKILL");
      await until(() => a.listener.lost.some((loss) => loss.id === id), "the report");
      const tookMs = (a.listener.lost.at(-1)?.at ?? 0) - killedAt;
      assert.ok(tookMs < SILENCE_MS, `${tookMs} ms`);
    }
    assert.equal(a.listener.lost.length, 2);
  });

  it("is reported again when it dies again", async () => {
    const a = await start(1);
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
    const a = await start(1);
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
    const a = await start(1);
    const child = await startChild(2, `1=${a.url}`);
    a.transport.addPeer({ id: memberId(2), urls: [child.url] });
    await until(() => a.transport.activeSince(memberId(2)) > 0, "our link");
    child.process.send("stop");
    await until(() => a.listener.lost.length === 1, "the report");
  });
});

describe("a reset of the connection alone", () => {
  it("is reported by both ends once, and the link is up again at once", async () => {
    const [a, b] = [await start(1), await start(2)];
    const relay = await Relay.start(b.port);
    cleanups.push(() => relay.close());
    a.transport.addPeer({ id: b.id, urls: [relay.url] });
    await until(() => a.transport.activeSince(b.id) > 0, "the link");
    const since = a.transport.activeSince(b.id);
    relay.reset();
    await until(() => a.transport.activeSince(b.id) > since, "the new link");
    await until(() => a.listener.lost.length > 0 && b.listener.lost.length > 0, "the reports");
    assert.deepEqual(
      [a.listener.lost.map(({ id }) => id), b.listener.lost.map(({ id }) => id)],
      [[b.id], [a.id]],
    );
  });
});

describe("no loss is reported", () => {
  it("when we remove the peer, and not by the peer either", async () => {
    const [a, b] = [await start(1), await start(2)];
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
