/** Members that take requests and say nothing: what a proxy makes of them. */
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, it } from "node:test";
import { until } from "@etcd2/test-support";
import { ask, available, directorOf, infoOf, open, proxyTo, upstreamOf } from "./proxy-harness.ts";

/** Patience of the proxies here; that of members and tests is without end. */
const silenceMs = 50;

interface Member {
  readonly url: string;
  readonly seen: string[];
  isHung: boolean;
  /** Answers what it was silent on. */
  wake(): void;
}

/** A member that hangs when told to, as one whose process is stopped. */
async function member(name: string, isHung = false): Promise<Member> {
  const waiting: (() => void)[] = [];
  const made = {
    seen: [] as string[],
    isHung,
    wake: () => {
      made.isHung = false;
      for (const answer of waiting.splice(0)) answer();
    },
  };
  const url = await upstreamOf((request: IncomingMessage, response: ServerResponse) => {
    if (request.url !== "/version") made.seen.push(`${request.method} ${request.url}`);
    request.resume();
    const answer = (): void => {
      response.end(name);
    };
    if (made.isHung) waiting.push(answer);
    else answer();
  });
  return Object.assign(made, { url });
}

describe("a member that hangs", () => {
  it("is left for the next one by reads, watches among them, and comes last from then on", async () => {
    for (const path of ["/v2/keys/a", "/v2/keys/a?quorum=true", "/v2/keys/a?wait=true"]) {
      const hung = await member("hung", true);
      const well = await member("well");
      const { url, director } = await proxyTo([hung.url, well.url], { silenceMs });
      assert.equal((await ask("GET", `${url}${path}`)).body, "well");
      await until("it comes last", () => available(director).at(-1) === hung.url);
      assert.equal((await ask("PUT", `${url}/v2/keys/a`, {}, "value=1")).body, "well");
      assert.deepEqual(hung.seen, [`GET ${path}`]);
    }
  });

  it("has its writes sent nowhere else, and answered 502 in the end", async () => {
    const hung = await member("hung", true);
    const well = await member("well");
    const { url, director } = await proxyTo([hung.url, well.url], {
      silenceMs,
      answerTimeoutMs: 1000,
    });
    const answer = await ask("PUT", `${url}/v2/keys/a`, {}, "value=1");
    assert.equal(answer.status, 502);
    assert.deepEqual(well.seen, []);
    await until("it comes last", () => available(director)[0] === well.url);
  });

  it("may still answer a write that it was slow on", async () => {
    const slow = await member("slow", true);
    const { url, director } = await proxyTo([slow.url, (await member("well")).url], { silenceMs });
    const answer = ask("PUT", `${url}/v2/keys/a`, {}, "value=1");
    await until("it is suspected", () => available(director)[0] !== slow.url);
    slow.wake();
    assert.equal((await answer).body, "slow");
  });

  it("is waited for by reads when all hang, and whoever answers first counts", async () => {
    const first = await member("first", true);
    const second = await member("second", true);
    const { url } = await proxyTo([first.url, second.url], { silenceMs });
    const answer = ask("GET", `${url}/v2/keys/a`);
    await until("both were asked", () => first.seen.length + second.seen.length === 2);
    first.wake();
    assert.equal((await answer).body, "first");
  });

  it("makes reads fail after a time when it is the only one", async () => {
    const { url } = await proxyTo([(await member("hung", true)).url], {
      silenceMs,
      answerTimeoutMs: 200,
    });
    assert.equal((await ask("GET", `${url}/v2/keys/a`)).status, 502);
  });

  it("ends streams that were open, so that their clients look elsewhere", async () => {
    let isHung = false;
    const stream = await upstreamOf((request, response) => {
      if (request.url === "/version") {
        if (!isHung) response.end();
        return;
      }
      response.flushHeaders();
    });
    const well = await member("well");
    const { url, director, pass } = await proxyTo([stream, well.url], { silenceMs });
    const watch = open("GET", `${url}/v2/keys/a?wait=true&stream=true`);
    const ended = new Promise<void>((resolve) => {
      watch.once("response", (response) => {
        response.resume();
        response.once("error", () => undefined);
        response.once("close", resolve);
        isHung = true;
        const [endpoint] = director.available();
        assert.ok(endpoint !== undefined);
        director.suspect(endpoint);
      });
    });
    watch.end();
    await until("it comes last", () => available(director)[0] === well.url);
    pass(60_000);
    await ended;
  });
});

describe("a suspected endpoint", () => {
  const one = { peer: "http://10.0.0.1:2380", client: "http://10.0.0.1:2379" };
  const two = { peer: "http://10.0.0.2:2380", client: "http://10.0.0.2:2379" };

  it("keeps its place when it answers a probe, and says so once it does again", async () => {
    let isSilent = false;
    const { director, answers, lines } = directorOf([one.peer], {
      probe: () => Promise.resolve(!isSilent),
    });
    answers.set(one.peer, () => Promise.resolve(infoOf([one, two])));
    answers.set(two.peer, () => Promise.resolve(infoOf([one, two])));
    await director.start();
    const [first] = director.available();
    assert.ok(first !== undefined);
    director.suspect(first);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(available(director), [one.client, two.client]);
    isSilent = true;
    director.suspect(first);
    await until("it is last", () => available(director)[0] === two.client);
    isSilent = false;
    await until("it is back", () =>
      lines.includes(`N proxy: endpoint ${one.client} answers again`),
    );
    // A client does not jump back without need.
    assert.deepEqual(available(director), [two.client, one.client]);
  });
});
