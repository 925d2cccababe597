import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";

import { freePort, until } from "../src/index.ts";

test("ports asked for at once differ, and can be bound", async () => {
  const ports = await Promise.all(Array.from({ length: 20 }, () => freePort()));
  assert.equal(new Set(ports).size, ports.length);
  for (const port of ports) {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    await new Promise((resolve) => server.close(resolve));
  }
});

test("a port that is taken is not given", async () => {
  const taken = (await freePort()) + 1;
  const server = createServer();
  await new Promise<void>((resolve) => {
    // When another process has it, it is taken as well.
    server.once("error", () => {
      resolve();
    });
    server.listen(taken, "127.0.0.1", resolve);
  });
  assert.notEqual(await freePort(), taken);
  await new Promise((resolve) => server.close(resolve));
});

test("a block that another process has claimed is passed over", async () => {
  const blockOf = (port: number): number => port - (port % 100);
  const next = blockOf(await freePort()) + 100;
  const claimed = next < 32_000 ? next : 10_000;
  const server = createServer();
  await new Promise<void>((resolve) => {
    // When another process has claimed it indeed, all the better.
    server.once("error", () => {
      resolve();
    });
    server.listen(claimed, "127.0.0.1", resolve);
  });
  const blocks = new Set<number>();
  for (let i = 0; i < 150; i += 1) blocks.add(blockOf(await freePort()));
  assert.ok(blocks.size >= 2);
  assert.ok(!blocks.has(claimed), `${claimed}`);
  await new Promise((resolve) => server.close(resolve));
});

test("until resolves with the first answer that is neither undefined nor false", async () => {
  const answers: (() => number | false | undefined)[] = [
    () => undefined,
    () => false,
    () => {
      throw new Error("not yet");
    },
    () => 0,
  ];
  assert.equal(await until("there is an answer", () => answers.shift()?.()), 0);
});

test("until names what was waited for and the last error", async () => {
  const asked = until("pigs fly", () => Promise.reject(new Error("too heavy")), 1);
  await assert.rejects(asked, { message: "waited 1 ms in vain until pigs fly: too heavy" });
});
