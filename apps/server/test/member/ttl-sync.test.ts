/**
 * Lives on real processes whose wall clock is wrong, jumps while they run, or was changed by a reboot:
 * a script loaded before the server puts its Date off, and a reboot is another boot id in the store.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { StoreDirectory } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import { freePort, until } from "@etcd2/test-support";
import { ask, ServerProcess } from "../single-member/server-process.ts";

interface Shown {
  readonly errorCode?: number;
  readonly node?: { readonly ttl?: number; readonly expiration?: string; readonly value?: string };
}

const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

const folder = mkdtempSync(join(tmpdir(), "etcd2-ttl-"));
const running: ServerProcess[] = [];
after(async () => {
  for (const server of running) if (server.pid > 0) await server.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** The wall clock of one process, in the hands of the test. */
class WallClock {
  readonly #file: string;
  readonly env: Readonly<Record<string, string>>;

  constructor(name: string, offsetMs: number) {
    this.#file = join(folder, `${name}.offset`);
    const script = join(folder, `${name}.mjs`);
    const file = JSON.stringify(this.#file);
    writeFileSync(
      script,
      `import { readFileSync } from "node:fs";
       const real = Date.now;
       let offset = 0;
       const load = () => { offset = Number(readFileSync(${file}, "utf8")) || offset; };
       load();
       setInterval(load, 20).unref();
       globalThis.Date = class extends Date {
         constructor(...given) { if (given.length === 0) super(real() + offset); else super(...given); }
         static now() { return real() + offset; }
       };`,
    );
    this.set(offsetMs);
    this.env = { NODE_OPTIONS: `--import=${script}` };
  }

  set(offsetMs: number): void {
    writeFileSync(this.#file, String(offsetMs));
  }
}

async function put(server: ServerProcess, key: string, form: string): Promise<Shown> {
  const answer = await ask("PUT", `${server.clientUrl}/v2/keys${key}`, form);
  return JSON.parse(answer.body) as Shown;
}

async function get(server: ServerProcess, key: string): Promise<Shown> {
  const answer = await ask("GET", `${server.clientUrl}/v2/keys${key}?quorum=true`);
  return JSON.parse(answer.body) as Shown;
}

/** Milliseconds from `since` until the key is seen to be gone. */
async function goneAfter(server: ServerProcess, key: string, since: number): Promise<number> {
  await until(`${key} expires`, async () => (await get(server, key)).errorCode === 100);
  return performance.now() - since;
}

/** Makes the store that of a machine that has booted anew since. */
async function reboot(dataDir: string): Promise<void> {
  const path = new StoreDirectory(join(dataDir, "member", "store")).current();
  assert.ok(path !== undefined);
  const kv = await RocksKv.open(path, { mustExist: true });
  // The row "clock": an offset from the monotonic clock, and the boot in which it holds.
  const key = Buffer.from("mclock", "latin1");
  assert.ok(kv.get(key) !== undefined, "the store keeps a clock");
  const batch = kv.batch();
  batch.put(key, Buffer.concat([Buffer.of(0), Buffer.from("another boot")]));
  batch.write({ sync: true });
  await kv.close();
}

describe("on a member whose wall clock", () => {
  const clocks = [
    ["shows 1970", -Date.now()],
    ["is before 1970", -Date.now() - 9 * YEAR],
    ["is 2 h ahead", 2 * HOUR],
    ["is 30 years ahead", 30 * YEAR],
  ] as const;
  for (const [title, offsetMs] of clocks) {
    test(`${title}, keys and directories live as long as asked`, async () => {
      const clock = new WallClock(`odd-${offsetMs}`, offsetMs);
      const server = await ServerProcess.start([], clock.env);
      running.push(server);
      await put(server, "/kept", "value=1");
      const since = performance.now();
      const created = await put(server, "/brief", "value=x&ttl=3");
      assert.equal(created.node?.ttl, 3);
      assert.ok(Number.isFinite(Date.parse(created.node.expiration ?? "")), "an expiration");
      assert.equal((await put(server, "/brief-dir", "dir=true&ttl=3")).node?.ttl, 3);
      await put(server, "/brief-dir/child", "value=x");
      const updated = await put(server, "/kept", "value=2&prevExist=true&ttl=600");
      assert.equal(updated.node?.ttl, 600);
      await put(server, "/refreshed", "value=r&ttl=4");
      const refreshed = await put(server, "/refreshed", "ttl=600&refresh=true&prevExist=true");
      assert.equal(refreshed.node?.ttl, 600);
      await put(server, "/swapped", "value=1&ttl=3");
      assert.equal((await put(server, "/swapped", "value=2&prevValue=1&ttl=500")).node?.ttl, 500);

      assert.ok((await goneAfter(server, "/brief", since)) >= 3000);
      assert.ok((await goneAfter(server, "/brief-dir", since)) >= 3000);
      // The lives that were replaced would be over by now.
      await put(server, "/marker", "value=x&ttl=3");
      await goneAfter(server, "/marker", since);
      for (const key of ["/kept", "/refreshed", "/swapped"]) {
        assert.ok(((await get(server, key)).node?.ttl ?? 0) > 400, `${key} lives on`);
      }
    });
  }

  test("jumps while it runs, nothing expires early or late for it", async () => {
    const clock = new WallClock("jumps", 0);
    const server = await ServerProcess.start([], clock.env);
    running.push(server);
    await put(server, "/long", "value=x&ttl=1200");
    for (const offsetMs of [2 * HOUR, -2 * HOUR, 20 * YEAR, -Date.now() - YEAR]) {
      clock.set(offsetMs);
      // Whichever clock it is given by, this one outlives the jump that comes next.
      await put(server, "/mid", "value=x&ttl=900&prevExist=true").then(({ errorCode }) =>
        errorCode === 100 ? put(server, "/mid", "value=x&ttl=900") : undefined,
      );
      const since = performance.now();
      assert.equal((await put(server, "/short", "value=x&ttl=2")).node?.ttl, 2);
      assert.ok((await goneAfter(server, "/short", since)) >= 2000);
      for (const key of ["/long", "/mid"]) {
        assert.ok(((await get(server, key)).node?.ttl ?? 0) > 500, `${key} lives on`);
      }
    }
  });
});

describe("after a reboot with the wall clock", () => {
  const boots = [
    ["2 h ahead", 2 * HOUR],
    ["2 h behind", -2 * HOUR],
    ["10 years ahead", 10 * YEAR],
    ["at 1970", -Date.now()],
  ] as const;
  for (const [title, offsetMs] of boots) {
    test(`${title}, keys go on with the life they had left`, async () => {
      const clock = new WallClock(`boot-${offsetMs}`, 0);
      const server = await ServerProcess.start([], clock.env);
      running.push(server);
      const since = performance.now();
      await put(server, "/long", "value=x&ttl=1200");
      await put(server, "/short", "value=x&ttl=5");
      await server.kill("SIGKILL");
      await reboot(server.dataDir);
      clock.set(offsetMs);
      await server.spawn();
      const left = (await get(server, "/long")).node?.ttl ?? 0;
      const passed = Math.ceil((performance.now() - since) / 1000);
      assert.ok(left <= 1200 && left >= 1200 - passed, `${left} s are left after ${passed}`);
      assert.ok((await goneAfter(server, "/short", since)) >= 5000);
      assert.ok(((await get(server, "/long")).node?.ttl ?? 0) > 600);
    });
  }
});

/** Three members, not started yet; `env` by member. */
async function threeMembers(
  env: readonly Readonly<Record<string, string>>[],
): Promise<readonly [ServerProcess, ServerProcess, ServerProcess]> {
  const peers = await Promise.all(env.map(async () => `http://127.0.0.1:${await freePort()}`));
  const cluster = peers.map((url, i) => `m${i}=${url}`).join(",");
  const members: ServerProcess[] = [];
  for (const [i, variables] of env.entries()) {
    const server = new ServerProcess();
    members.push(server);
    running.push(server);
    server.env = variables;
    server.clientUrl = `http://127.0.0.1:${await freePort()}`;
    const peer = peers[i] ?? "";
    server.flags = [
      ...["--name", `m${i}`, "--data-dir", server.dataDir, "--initial-cluster", cluster],
      ...["--listen-client-urls", server.clientUrl, "--advertise-client-urls", server.clientUrl],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
    ];
  }
  const [first, second, third] = members;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  await Promise.all(members.map((server) => server.spawn()));
  await until("the cluster takes writes", async () => {
    return (await put(first, "/probe", "value=x")).errorCode === undefined;
  });
  return [first, second, third];
}

async function leaderOf(members: readonly ServerProcess[]): Promise<ServerProcess> {
  let leader: ServerProcess | undefined;
  await until("one leads", async () => {
    for (const server of members) {
      const { body } = await ask("GET", `${server.clientUrl}/v2/stats/self`);
      if (body.includes('"state":"StateLeader"')) leader = server;
    }
    return leader !== undefined;
  });
  assert.ok(leader !== undefined);
  return leader;
}

describe("a member that was away", () => {
  const absences = {
    restarted: {
      leave: (server: ServerProcess): Promise<unknown> => server.kill("SIGKILL"),
      come: (server: ServerProcess): Promise<unknown> => server.spawn(),
    },
    "whose machine booted anew": {
      leave: (server: ServerProcess): Promise<unknown> => server.kill("SIGKILL"),
      come: async (server: ServerProcess): Promise<unknown> => {
        await reboot(server.dataDir);
        return server.spawn();
      },
    },
    "that stood still": {
      leave: (server: ServerProcess): Promise<unknown> => {
        return Promise.resolve(process.kill(server.pid, "SIGSTOP"));
      },
      come: (server: ServerProcess): Promise<unknown> => {
        return Promise.resolve(process.kill(server.pid, "SIGCONT"));
      },
    },
  };
  for (const [title, { leave, come }] of Object.entries(absences)) {
    test(`counts lives as the leader does before it leads: one ${title}`, async () => {
      await countsAlike(leave, come);
    });
  }

  async function countsAlike(
    leave: (server: ServerProcess) => Promise<unknown>,
    come: (server: ServerProcess) => Promise<unknown>,
  ): Promise<void> {
    const members = await threeMembers([{}, {}, {}]);
    const leader = await leaderOf(members);
    const away = members.find((server) => server !== leader);
    assert.ok(away !== undefined);
    await put(leader, "/earlier", "value=x&ttl=1000");
    await leave(away);
    await put(leader, "/long", "value=x&ttl=1000");
    await put(leader, "/long-dir", "dir=true&ttl=1000");
    await put(leader, "/passing", "value=x&ttl=6");
    const left = async (server: ServerProcess, key: string): Promise<number> => {
      const { body } = await ask("GET", `${server.clientUrl}/v2/keys${key}`);
      return (JSON.parse(body) as Shown).node?.ttl ?? 0;
    };
    await goneAfter(leader, "/passing", 0);
    await come(away);
    for (const key of ["/earlier", "/long", "/long-dir"]) {
      await until(`both count ${key} alike`, async () => {
        const [own, leaders] = await Promise.all([left(away, key), left(leader, key)]);
        return own > 0 && leaders < 996 && Math.abs(own - leaders) <= 1;
      });
    }
    // The same holds when it leads.
    await leader.kill("SIGTERM");
    const rest = members.filter((server) => server !== leader);
    const next = await leaderOf(rest);
    assert.ok((await left(next, "/long")) < 996);
    for (const server of members) await server.dispose();
  }
});

describe("in a cluster whose members have different wall clocks", () => {
  test("a change of leader ends no life early, and none much later", async () => {
    const offsets = [0, 2 * HOUR, -Date.now()];
    const members = await threeMembers(
      offsets.map((offsetMs, i) => new WallClock(`member-${i}`, offsetMs).env),
    );
    for (const [i, server] of members.entries()) {
      assert.equal((await put(server, `/long${i}`, "value=x&ttl=900")).node?.ttl, 900);
    }
    const since = performance.now();
    for (const [i, server] of members.entries()) {
      assert.equal((await put(server, `/key${i}`, "value=x&ttl=8")).node?.ttl, 8);
    }
    const leader = await leaderOf(members);
    await leader.kill("SIGKILL");
    const rest = members.filter((server) => server !== leader);
    const [witness] = rest;
    assert.ok(witness !== undefined);
    for (const i of offsets.keys()) {
      assert.ok((await goneAfter(witness, `/key${i}`, since)) >= 8000, `/key${i} was early`);
      const { node } = await get(witness, `/long${i}`);
      assert.ok((node?.ttl ?? 0) > 300, `/long${i} lives on`);
    }
  });
});
