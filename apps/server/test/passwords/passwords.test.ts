import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { setEnvironmentData } from "node:worker_threads";
import { until } from "@etcd2/test-support";

import {
  PasswordError,
  prepareWhenNeeded,
  WorkerPasswordHasher,
} from "../../src/passwords/passwords.ts";

const worker = new URL("../../src/passwords/password-worker.ts", import.meta.url);
const bytes = (text: string) => new TextEncoder().encode(text);

describe("the password thread", () => {
  const hasher = new WorkerPasswordHasher({ cost: 4, worker });
  after(() => hasher.close());

  it("verifies hashes that etcd 2.3.8 has stored", async () => {
    const hash = "$2a$10$kYuOWUAqfgFo6891oPtyN.QulLyticZnkt/RRzVYpQWXgam4HVBvy";
    const passwords = ["rootpw", "alicepw", "bobpw"];
    const found: string[] = [];
    for (const password of passwords)
      if (await hasher.verify(bytes(password), hash)) found.push(password);
    assert.equal(found.length, 1);
    const again = await hasher.verify(bytes(found[0] ?? ""), hash.replace("$2a$", "$2b$"));
    assert.equal(again, true);
  });

  it("makes hashes of the asked cost that verify, and only for the right password", async () => {
    const hash = await hasher.hash(bytes("pässword"));
    assert.match(hash, /^\$2[ab]\$04\$.{53}$/);
    assert.equal(await hasher.verify(bytes("pässword"), hash), true);
    assert.equal(await hasher.verify(bytes("passwort"), hash), false);
    assert.equal(await hasher.verify(bytes(""), hash), false);
    assert.notEqual(await hasher.hash(bytes("pässword")), hash);
  });

  it("uses the first 72 bytes of a password, even when they end within a character", async () => {
    const long = `${"x".repeat(71)}é`;
    const hash = await hasher.hash(bytes(`${long} and ${"more".repeat(100_000)}`));
    assert.equal(await hasher.verify(bytes(long), hash), true);
    assert.equal(await hasher.verify(bytes(`${"x".repeat(71)}a`), hash), false);
  });

  it("does not take bytes that are no UTF-8 for the text they decode to", async () => {
    const hash = await hasher.hash(Uint8Array.of(0x61, 0xff));
    assert.equal(await hasher.verify(bytes("a\ufffd"), hash), true);
    assert.equal(await hasher.verify(Uint8Array.of(0x61, 0xff), hash), false);
  });

  it("takes what is no hash for nobody's password", async () => {
    for (const hash of [
      "",
      "plain",
      "$2a$99$".padEnd(60, "x"),
      "$2x$10$".padEnd(60, "x"),
      "$1$a$b",
    ]) {
      assert.equal(await hasher.verify(bytes("x"), hash), false);
    }
  });

  it("answers many at once in any mix, without holding the event loop", async () => {
    const hash = await hasher.hash(bytes("right"));
    let turns = 0;
    const ticker = setInterval(() => {
      turns++;
    }, 1);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        hasher.verify(bytes(n % 3 === 0 ? "right" : "wrong"), hash),
      ),
    );
    clearInterval(ticker);
    answers.forEach((answer, n) => {
      assert.equal(answer, n % 3 === 0);
    });
    assert.ok(turns > 0);
  });
});

describe("a password queue", () => {
  const isCode = (code: PasswordError["code"]) => (error: unknown) =>
    error instanceof PasswordError && error.code === code;

  it("is bounded", async () => {
    const hasher = new WorkerPasswordHasher({ cost: 4, worker });
    const jobs = Array.from({ length: 300 }, () => hasher.hash(bytes("x")));
    const outcomes = await Promise.allSettled(jobs);
    const refused = outcomes.filter((outcome) => outcome.status === "rejected");
    assert.equal(refused.length, 300 - 256);
    for (const { reason } of refused) assert.ok(isCode("busy")(reason));
    await hasher.close();
  });

  it("rejects what waits when it is closed, and everything afterwards", async () => {
    const hasher = new WorkerPasswordHasher({ cost: 12, worker });
    const waiting = assert.rejects(hasher.hash(bytes("x")), isCode("stopped"));
    await hasher.close();
    await hasher.close();
    await waiting;
    await assert.rejects(hasher.hash(bytes("x")), isCode("stopped"));
  });

  it("says so when its thread cannot be started, and can be asked again", async () => {
    const hasher = new WorkerPasswordHasher({
      cost: 4,
      worker: new URL("../nowhere.ts", import.meta.url),
    });
    await assert.rejects(hasher.hash(bytes("x")), isCode("worker"));
    await assert.rejects(hasher.hash(bytes("x")), isCode("worker"));
    await hasher.close();
  });
});

describe("the preparation for passwords", () => {
  /** Threads that were started, by their jobs: a code that tells when it runs. */
  const counting = (): { worker: URL; started: () => number } => {
    const shared = new Int32Array(new SharedArrayBuffer(4));
    setEnvironmentData("passwords-test", shared);
    const code = `
      const { getEnvironmentData, parentPort } = require("node:worker_threads");
      Atomics.add(getEnvironmentData("passwords-test"), 0, 1);
      parentPort.on("message", () => parentPort.postMessage({ ok: true, value: "hash" }));`;
    const worker = new URL(
      `data:text/javascript,${encodeURIComponent(
        `import { createRequire } from "node:module"; const require = createRequire("/");${code}`,
      )}`,
    );
    return { worker, started: () => Atomics.load(shared, 0) };
  };

  it("starts the thread once, before the first password", async () => {
    const { worker, started } = counting();
    const hasher = new WorkerPasswordHasher({ cost: 4, worker });
    assert.equal(started(), 0);
    hasher.prepare();
    hasher.prepare();
    await until("it runs", () => started() === 1);
    assert.equal(await hasher.hash(bytes("x")), "hash");
    assert.equal(started(), 1);
    await hasher.close();
    hasher.prepare();
    assert.equal(started(), 1);
  });

  it("happens at once where authentication is on, and soon after it is switched on elsewhere", async () => {
    let prepared = 0;
    const hasher = { prepare: () => prepared++ };
    prepareWhenNeeded(hasher, () => true).stop();
    assert.equal(prepared, 1);
    let isOn = false;
    const { stop } = prepareWhenNeeded(hasher, () => isOn);
    assert.equal(prepared, 1);
    isOn = true;
    await until("it was prepared", () => prepared === 2);
    stop();
  });
});
