import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  loadTraces,
  runTrace,
  TraceMismatch,
  type TraceScenario,
} from "@etcd2/test-support/traces";
import { startFakeServer, type FakeOptions, type RunningFake } from "./fake-server.ts";

// The compiled test runs from dist/test, the fixtures stay where they are.
const root = import.meta.dirname.replace(/([/\\])dist([/\\]test)$/, "$2");
const traces = loadTraces(join(root, "fixtures", "http-traces"));

function optionsFor({ serverFlags = [], ghostPeers = 0 }: TraceScenario): FakeOptions {
  const cors = serverFlags[0] === "--cors" ? (serverFlags[1] ?? "").split(",") : [];
  return { cors, ghostPeers };
}

/** Notices whether this process stood still long enough to change what times to live show. */
function watchForStall(): { happened: () => boolean; end: () => void } {
  const periodMs = 50;
  const stallMs = 500;
  let last = performance.now();
  let longestMs = 0;
  const look = (): void => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last);
    last = now;
  };
  const timer = setInterval(look, periodMs);
  return {
    happened: () => {
      look();
      return longestMs > stallMs;
    },
    end: () => {
      clearInterval(timer);
    },
  };
}

const scenarios = traces.flatMap((file) =>
  file.scenarios.map((scenario) => ({ area: file.area, scenario })),
);

/** Every scenario has a server of its own, so that they can run side by side. */
for (const [transport, targetOf] of [
  ["in-process", (running: RunningFake) => running.connect],
  ["over TCP", (running: RunningFake) => running.baseUrl],
] as const) {
  describe(`recorded behaviour, ${transport}`, { concurrency: 16 }, () => {
    for (const { area, scenario } of scenarios) {
      test(`${area}/${scenario.name}: ${scenario.title}`, async () => {
        for (let isProved = false, runsLeft = 5; !isProved; runsLeft--) {
          const running = await startFakeServer(optionsFor(scenario));
          const stall = watchForStall();
          try {
            await runTrace(targetOf(running), scenario);
            isProved = true;
          } catch (error) {
            // Times recorded in seconds say nothing of a process that stood still that long.
            if (!stall.happened() || runsLeft === 1) throw error;
          } finally {
            stall.end();
            await running.close();
          }
        }
      });
    }
  });
}

test("the runner notices differences", async () => {
  const running = await startFakeServer();
  const step = { method: "GET", target: "/version" };
  const expectations = [
    { status: 201, headers: { "Content-Type": "application/json" } },
    { status: 200, headers: {} },
    { status: 200, headers: { "Content-Type": "application/json", Allow: "GET" } },
    { status: 200, headers: { "Content-Type": "application/json" }, body: "${uint}" },
    { status: 200, headers: { "Content-Type": "application/json" }, bodyContains: ["nothing"] },
  ];
  for (const expect of expectations) {
    const scenario = {
      name: "x",
      title: "x",
      isolation: "prefix",
      steps: [{ ...step, expect }],
    } as const;
    await assert.rejects(runTrace(running.baseUrl, scenario), TraceMismatch);
  }
  await running.close();
});

test("the first write of a fresh single member has index 3", async () => {
  const running = await startFakeServer();
  assert.equal(running.server.reader.etcdIndex, 2);
  await running.close();
});
