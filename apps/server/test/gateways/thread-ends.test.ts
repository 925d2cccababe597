/** A thread that serves clients is part of the process: it cannot go without it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CountingMeter } from "@etcd2/observability";
import { GatewayThreads } from "../../src/gateways/gateway-threads.ts";
import { createTextLogging } from "../../src/logging/logger.ts";
import { parseConfig } from "../../src/config/config.ts";

async function threadsWith(code: string, onFatal: (error: Error) => void): Promise<GatewayThreads> {
  const outcome = await parseConfig(["--gateway-threads", "1"], {}, () => "");
  assert.equal(outcome.kind, "run");
  const sink = { write: () => undefined, flush: () => undefined, close: () => undefined };
  return new GatewayThreads({
    config: (outcome as typeof outcome & { kind: "run" }).config,
    dataDir: "",
    logging: createTextLogging({ sink, format: "text", useColor: false, level: "info" }),
    meter: new CountingMeter(),
    onFatal,
    worker: new URL(`data:text/javascript,${encodeURIComponent(code)}`),
  });
}

const LISTENING = `
import { parentPort } from "node:worker_threads";
parentPort.postMessage({ kind: "listening", error: undefined });
`;

test("a thread that ends by itself ends the process, with a line that names it", async () => {
  const ended = Promise.withResolvers<Error>();
  const threads = await threadsWith(`${LISTENING} process.exit(3);`, ended.resolve);
  await threads.listen(10);
  const { message } = await ended.promise;
  assert.equal(
    message,
    "the thread etcd-gateway-0, which served clients, ended: it left with status 3",
  );
});

test("a thread that throws ends the process, with what it threw", async () => {
  const ended = Promise.withResolvers<Error>();
  const code = `${LISTENING} parentPort.once("message", () => { throw new Error("odd"); });`;
  const threads = await threadsWith(code, ended.resolve);
  await threads.listen(10);
  void threads.count();
  assert.match((await ended.promise).message, /etcd-gateway-0.*ended: odd/);
});

test("a thread that cannot start, or listen, is an error of the start", async () => {
  const never = (error: Error): void => {
    throw error;
  };
  const broken = await threadsWith(`throw new Error("no such module");`, never);
  await assert.rejects(broken.listen(10), /etcd-gateway-0 could not be started: no such module/);
  const refused = `
import { parentPort } from "node:worker_threads";
parentPort.postMessage({ kind: "listening", error: "listen tcp: taken" });
parentPort.close();
`;
  const deaf = await threadsWith(refused, never);
  await assert.rejects(deaf.listen(10), /^StartError: listen tcp: taken$/);
});
