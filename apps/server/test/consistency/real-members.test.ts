/** Real members that compare their states, one of which was altered behind its back. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { RocksKv } from "@etcd2/store/rocks";
import { freePort, until } from "@etcd2/test-support";
import { ask, ServerProcess } from "../single-member/server-process.ts";

interface Answer {
  readonly raftIndex: number;
  readonly verdict: string;
  readonly members: readonly { readonly name: string; readonly digest?: string }[];
  readonly different: readonly { readonly name: string }[];
}

const running: ServerProcess[] = [];

afterEach(async () => {
  for (const server of running.splice(0)) await server.dispose();
});

async function trio(): Promise<ServerProcess[]> {
  const peerUrls: string[] = [];
  for (let n = 0; n < 3; n++) peerUrls.push(`http://127.0.0.1:${await freePort()}`);
  for (const [n, peerUrl] of peerUrls.entries()) {
    const server = new ServerProcess();
    server.clientUrl = `http://127.0.0.1:${await freePort()}`;
    server.flags = [
      ...["--name", `m${n}`, "--data-dir", server.dataDir, "--state-check-interval", "0"],
      ...["--initial-cluster", peerUrls.map((url, at) => `m${at}=${url}`).join(",")],
      ...["--listen-client-urls", server.clientUrl, "--advertise-client-urls", server.clientUrl],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
    ];
    running.push(server);
  }
  await Promise.all(running.map((server) => server.spawn()));
  return running;
}

async function compared(server: ServerProcess): Promise<Answer> {
  const { body } = await ask("GET", `${server.clientUrl}/v2/admin/hash`);
  return JSON.parse(body) as Answer;
}

/** Changes a value in the files of a member that does not run. */
async function alter(server: ServerProcess, from: string, to: string): Promise<void> {
  const store = join(server.dataDir, "member", "store");
  const state = readFileSync(join(store, "CURRENT"), "utf8").trim();
  const kv = await RocksKv.open(join(store, state));
  try {
    const iterator = kv.iterator({ from: Buffer.of(0), to: Buffer.of(255) });
    const rows = iterator.nextMany(10_000);
    iterator.close();
    const batch = kv.batch();
    let altered = 0;
    for (let i = 0; i < rows.length; i += 2) {
      const [key, value] = [Buffer.from(rows[i] ?? []), Buffer.from(rows[i + 1] ?? [])];
      const at = value.indexOf(from);
      if (at < 0) continue;
      value.write(to, at, "latin1");
      batch.put(key, value);
      altered++;
    }
    assert.ok(altered > 0, "nothing was found to alter");
    batch.write({ sync: true });
  } finally {
    await kv.close();
  }
}

describe("members that compare their states", { timeout: 300_000 }, () => {
  it("agree, at rest and under writes, and the odd one ends its service", async () => {
    const [one, two, three] = await trio();
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    for (let i = 0; i < 20; i++) {
      await ask("PUT", `${one.clientUrl}/v2/keys/app/k${i}?value=untouched${i}`);
    }
    await until("all states are the same", async () => {
      const { verdict, members } = await compared(two);
      return verdict === "same" && members.every(({ digest }) => digest !== undefined);
    });
    const ended = new AbortController();
    const writing = (async (): Promise<void> => {
      for (let i = 0; !ended.signal.aborted; i++) {
        await ask("PUT", `${three.clientUrl}/v2/keys/busy/${i % 7}?value=${i}`);
      }
    })();
    await until("a comparison under writes has an answer of all", async () => {
      const { verdict, members } = await compared(one);
      assert.ok(verdict === "same" || verdict === "unknown", verdict);
      return members.length === 3 && members.every(({ digest }) => digest !== undefined);
    });
    ended.abort();
    await writing;
    await three.kill("SIGTERM");
    await alter(three, "untouched7", "tampered_7");
    await three.spawn();
    await until("the others see the odd one", async () => {
      const { verdict, different } = await compared(one);
      return verdict === "majority" && different.map(({ name }) => name).join() === "m2";
    });
    assert.equal((await compared(three)).verdict, "minority");
    await until("the odd one serves nothing any more", async () => {
      const { status } = await ask("GET", `${three.clientUrl}/v2/keys/app/k7`);
      return status === 503;
    });
    const { status } = await ask("PUT", `${one.clientUrl}/v2/keys/app/after?value=x`);
    assert.equal(status, 201, "the others go on");
  });
});
