/** Who is let in where, and what all clients together may take: the bounds of the gateway. */
import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import { NO_METER } from "@etcd2/observability";
import { setImmediate as turn } from "node:timers/promises";
import {
  callerOf,
  ENDPOINT_RULES,
  ruleFor,
  type Caller,
  type Strictness,
} from "../../src/auth/endpoint-rules.ts";
import { RawConnection, type RawResponse } from "@etcd2/test-support/traces";
import { WatchBudget, type BudgetedWatch } from "../../src/keys/watch-budget.ts";
import { startFakeServer, until, type RunningFake } from "../fake-server.ts";

interface Asked {
  readonly method?: string;
  readonly body?: string;
  readonly as?: string | undefined;
}

async function ask(
  { baseUrl }: RunningFake,
  target: string,
  { method = "GET", body, as }: Asked = {},
): Promise<RawResponse> {
  const connection = await RawConnection.open(baseUrl);
  const headers = as === undefined ? {} : { Authorization: `Basic ${btoa(`${as}:${as}`)}` };
  const response = await connection.exchange({ method, target, headers, body });
  connection.close();
  return response;
}

/** Adds root and a user without roles; passwords are the names. */
async function enableAuth(running: RunningFake): Promise<void> {
  for (const user of ["root", "ann"]) {
    const body = JSON.stringify({ user, password: user });
    const added = await ask(running, `/v2/auth/users/${user}`, { method: "PUT", body });
    assert.equal(added.status, 201);
  }
  assert.equal((await ask(running, "/v2/auth/enable", { method: "PUT" })).status, 200);
}

/** A path and method of each rule that has no lasting effect, and refuses with 401 alone. */
const EXAMPLES: Readonly<Record<string, string>> = {
  "/v2/keys*": "/v2/keys/none",
  "/v2/members*": "/v2/members/0",
  "/v2/stats/*": "/v2/stats/store",
  "/v2/auth/*": "/v2/auth/users/none",
  "/v2/admin/*": "/v2/admin/snapshot",
  "/debug/pprof*": "/debug/pprof/cmdline",
};

const callers: readonly (string | undefined)[] = [undefined, "ann", "root"];

/** Roles are the keys' own affair: guest may do everything here, a user without roles nothing. */
function mayPass(caller: Caller, as: string | undefined): boolean {
  if (caller === "roles") return as !== "ann";
  if (caller === "anyone") return true;
  return caller === "user" ? as !== undefined : as === "root";
}

describe("every endpoint of the table", () => {
  for (const all of [false, true]) {
    it(`lets in whom the table says, ${all ? "with" : "without"} --auth-all-endpoints`, async () => {
      const running = await startFakeServer({ pprof: true, allNeedAuth: all });
      const walk = async (isOn: boolean): Promise<void> => {
        for (const { path, methods, caller, strict } of ENDPOINT_RULES) {
          const wanted = all ? (strict ?? caller) : caller;
          const target = EXAMPLES[path] ?? path;
          assert.ok(!target.includes("*"), `no example of ${path}`);
          for (const method of path === "/v2/auth/*" ? ["GET"] : methods) {
            for (const as of callers) {
              const { status } = await ask(running, target, { method, as });
              const isIn = !isOn || mayPass(wanted, as);
              const what = `${method} ${target} as ${as ?? "nobody"}: ${String(status)}`;
              assert.equal(status !== 401, isIn, what);
            }
          }
        }
      };
      await walk(false);
      await enableAuth(running);
      await walk(true);
      await running.close();
    });
  }

  it("is one the table knows, whatever its spelling or method", async () => {
    const running = await startFakeServer({ allNeedAuth: true, pprof: true });
    await enableAuth(running);
    for (const target of ["/metrics?x", "/%6detrics", "/debug/vars", "/debug/pprof/heap"]) {
      for (const method of ["GET", "HEAD", "PUT", "PATCH"]) {
        assert.equal((await ask(running, target, { method })).status, 401, `${method} ${target}`);
      }
    }
    const callerAt = (path: string, method: string, strictness: Strictness): Caller => {
      const rule = ruleFor(path, method);
      assert.ok(rule !== undefined, path);
      return callerOf(rule, strictness);
    };
    const strict = { all: true, metrics: true };
    assert.equal(callerAt("/v2/members", "PUT", strict), "root");
    assert.equal(callerAt("/v2/members", "HEAD", strict), "user");
    assert.equal(callerAt("/metrics", "GET", { all: false, metrics: true }), "root");
    assert.equal(callerAt("/debug/vars", "GET", { all: false, metrics: true }), "anyone");
    await running.close();
  });
});

describe("open watches", () => {
  it("are bounded: one too many is told 503, and finds room when another has left", async () => {
    const running = await startFakeServer({ watchesMax: 2 });
    const hold = async (query: string): Promise<[RawConnection, RawResponse]> => {
      const connection = await RawConnection.open(running.baseUrl);
      connection.send({ method: "GET", target: `/v2/keys/w?wait=true${query}` });
      return [connection, await connection.head(5000)];
    };
    const [stream] = await hold("&stream=true");
    const [poll, polled] = await hold("");
    const [third, refused] = await hold("");
    assert.ok(await third.receive(5000, () => refused.complete));
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get("retry-after"), "1");
    assert.match(refused.body, /"errorCode":300,.*too many watches: 2 are open/);
    assert.equal(running.server.meter.value("etcd2_watches_refused_total"), 1);
    // What it holds is a connection as good as before.
    const read = await third.exchange({ method: "GET", target: "/v2/keys/" });
    assert.equal(read.status, 200);
    const form = { "Content-Type": "application/x-www-form-urlencoded" };
    await third.exchange({ method: "PUT", target: "/v2/keys/w", headers: form, body: "value=1" });
    assert.ok(await poll.receive(5000, () => polled.complete));
    const [again, answered] = await hold("");
    assert.equal(answered.status, 200, "the poll that was answered made room");
    stream.close();
    await until(() => running.server.hub.watchers === 1);
    const [last, held] = await hold("");
    assert.equal(held.status, 200, "the stream that was left made room");
    for (const connection of [poll, third, again, last]) connection.close();
    await running.close();
  });

  it("share one budget of bytes, and bytes that were taken count no more", async () => {
    const budget = new WatchBudget(NO_METER, { watchesMax: 0, bytesMax: 100 });
    const watchOf = (): BudgetedWatch & { waitingBytes: number } => ({
      waitingBytes: 0,
      progress: 0,
      resume: () => undefined,
      cutOff: () => undefined,
    });
    const stuck = watchOf();
    const quick = watchOf();
    for (const watch of [stuck, quick]) budget.enter(watch);
    const write = (watch: { waitingBytes: number }, bytes: number): boolean => {
      const isAdmitted = budget.admits(bytes);
      if (isAdmitted) watch.waitingBytes += bytes;
      return isAdmitted;
    };
    assert.ok(write(stuck, 60));
    assert.ok(!write(quick, 60), "60 and 60 at one time are too many");
    await turn();
    assert.ok(write(quick, 40));
    assert.ok(!write(quick, 1));
    quick.waitingBytes = 0;
    assert.ok(!write(quick, 1), "counted once a turn");
    await turn();
    assert.ok(write(quick, 40), "what the system took is free");
    quick.waitingBytes = 0;
    stuck.waitingBytes = 10;
    await turn();
    assert.ok(write(quick, 90), "a client that reads again frees what it read");
    quick.waitingBytes = 0;
    budget.leave(stuck);
    await turn();
    assert.ok(write(quick, 100), "and one that left frees all of it");
    quick.waitingBytes = 0;
    await turn();
    assert.ok(write(quick, 1000), "a single event fits, however large");
    assert.equal(budget.open, 1);
  });

  it("of clients that do not read are cut off and counted", async () => {
    const running = await startFakeServer({ watchStallMs: 200 });
    const stuck = await RawConnection.open(running.baseUrl);
    stuck.send({ method: "GET", target: "/v2/keys/big?wait=true&stream=true" });
    await stuck.head(5000);
    stuck.pause();
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const body = `value=${"x".repeat(1 << 20)}`;
    const writer = await RawConnection.open(running.baseUrl);
    for (let count = 0; count < 16; count++) {
      await writer.exchange({ method: "PUT", target: "/v2/keys/big", headers, body });
    }
    await until(() => running.server.hub.watchers === 0);
    assert.equal(running.server.meter.value("etcd2_watchers_dropped_total"), 1);
    stuck.close();
    writer.close();
    await running.close();
  });
});

test("more password checks than can wait are told 503, keys and endpoints alike", async () => {
  const running = await startFakeServer({ allNeedAuth: true });
  await enableAuth(running);
  const { passwords } = running.server;
  const waiting: (() => void)[] = [];
  passwords.verify = () =>
    new Promise((resolve) => {
      waiting.push(() => {
        resolve(false);
      });
    });
  const connections = await Promise.all(
    Array.from({ length: 70 }, async (_, i) => {
      const connection = await RawConnection.open(running.baseUrl);
      const headers = { Authorization: `Basic ${btoa(`ann:guess${String(i)}`)}` };
      connection.send({ method: "GET", target: i % 2 === 0 ? "/v2/keys/a" : "/metrics", headers });
      return connection;
    }),
  );
  const busy = await Promise.all(
    connections.slice(64).map(async (connection) => {
      const response = await connection.head(5000);
      await connection.receive(5000, () => response.complete);
      return response;
    }),
  );
  for (const [i, { status, headers, body }] of busy.entries()) {
    assert.equal(status, 503);
    assert.equal(headers.get("retry-after"), "1");
    assert.match(body, /too many password checks are waiting/);
    assert.equal(body.includes('"errorCode":300'), i % 2 === 0);
  }
  const free = setInterval(() => {
    for (const go of waiting.splice(0)) go();
  }, 1);
  const rest = await Promise.all(connections.slice(0, 64).map((each) => each.head(5000)));
  clearInterval(free);
  assert.ok(rest.every(({ status }) => status === 401));
  for (const connection of connections) connection.close();
  await running.close();
});
