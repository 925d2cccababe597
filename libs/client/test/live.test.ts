/** The client against real servers, ours and the original's successor, over both transports. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { EtcdClient, fetchTransport } from "../src/index.ts";
import { nodeTransport } from "../src/node/index.ts";
import { isEtcdError, RefusedError, type WatchEvent } from "../src/index.ts";
import { type RealServer, serverKinds, startServer } from "./servers.ts";

/** Takes the first `count` events. */
async function take(events: AsyncIterable<WatchEvent>, count: number): Promise<WatchEvent[]> {
  const taken: WatchEvent[] = [];
  for await (const event of events) {
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}

for (const kind of serverKinds) {
  describe(`on ${kind.title}`, { skip: kind.absent ?? false }, () => {
    let server: RealServer;
    const clients: EtcdClient[] = [];
    before(async () => {
      server = await startServer(kind);
    });
    after(async () => {
      for (const client of clients) client.close();
      await server.stop();
    });

    for (const [name, transport] of [
      ["fetch", fetchTransport],
      ["Node's transport", nodeTransport],
    ] as const) {
      describe(`with ${name}`, () => {
        let client: EtcdClient;
        const at = (key: string): string => `/${name.replace(/\W/g, "")}/${key}`;
        before(() => {
          client = new EtcdClient({ endpoints: server.url, transport: transport() });
          clients.push(client);
        });

        test("keys are set, read, updated and removed, with their indexes", async () => {
          const set = await client.keys.set(at("a"), "grün & <b>");
          assert.equal(set.isCreated, true);
          assert.equal(set.index, set.node.modifiedIndex);
          const { node, index } = await client.keys.get(at("a"), { quorum: true });
          assert.ok(!node.dir);
          assert.equal(node.value, "grün & <b>");
          assert.ok(index >= node.modifiedIndex);
          const updated = await client.keys.update(at("a"), "2");
          assert.equal(updated.action, "update");
          assert.equal(updated.prevNode?.dir === false && updated.prevNode.value, "grün & <b>");
          assert.equal((await client.keys.delete(at("a"))).action, "delete");
          assert.equal(await client.keys.find(at("a")), undefined);
          await assert.rejects(client.keys.get(at("a")), (error) => {
            assert.ok(isEtcdError(error, 100));
            assert.deepEqual([error.status, error.cause], [404, at("a")]);
            assert.equal(String(error), `100: Key not found (${at("a")}) [${error.index}]`);
            return error.index > 0;
          });
        });

        test("conditions hold or are refused with what failed", async () => {
          const { node } = await client.keys.create(at("cas"), "1");
          await assert.rejects(client.keys.create(at("cas"), "x"), (e) => isEtcdError(e, 105));
          await assert.rejects(
            client.keys.compareAndSwap(at("cas"), "x", { prevValue: "other" }),
            (e) => isEtcdError(e, 101) && e.cause === "[other != 1]",
          );
          const { modifiedIndex } = node;
          const swapped = await client.keys.compareAndSwap(at("cas"), "2", {
            prevIndex: modifiedIndex,
          });
          assert.equal(swapped.action, "compareAndSwap");
          await assert.rejects(
            client.keys.compareAndDelete(at("cas"), { prevIndex: modifiedIndex }),
            (e) => isEtcdError(e, 101),
          );
          const gone = await client.keys.compareAndDelete(at("cas"), { prevValue: "2" });
          assert.equal(gone.action, "compareAndDelete");
        });

        test("directories are made, listed in order, and removed", async () => {
          const made = await client.keys.mkdir(at("dir"));
          assert.deepEqual([made.node.dir, made.node.nodes], [true, []]);
          await assert.rejects(client.keys.mkdir(at("dir")), (e) => isEtcdError(e, 105));
          const names: string[] = [];
          for (const value of ["1", "2", "3"]) {
            names.push((await client.keys.createInOrder(at("dir"), value)).node.key);
          }
          assert.deepEqual(names, names.toSorted());
          const { node } = await client.keys.get(at("dir"), { sorted: true });
          assert.ok(node.dir);
          assert.deepEqual(
            node.nodes.map((child) => [child.key, child.dir ? "" : child.value]),
            names.map((key, i) => [key, String(i + 1)]),
          );
          await assert.rejects(client.keys.delete(at("dir")), (e) => isEtcdError(e, 102));
          await assert.rejects(client.keys.delete(at("dir"), { dir: true }), (e) => {
            return isEtcdError(e, 108);
          });
          await client.keys.delete(at("dir"), { recursive: true });
          assert.equal(await client.keys.find(at("dir")), undefined);
        });

        test("lives are given, refreshed without an event, and taken", async () => {
          const { node } = await client.keys.set(at("ttl"), "x", { ttl: 100 });
          assert.equal(node.ttl, 100);
          assert.ok(node.expiration instanceof Date && node.expiration.getTime() > 0);
          const refreshed = await client.keys.refresh(at("ttl"), 500);
          assert.equal(refreshed.node.ttl, 500);
          assert.ok(!refreshed.node.dir && refreshed.node.value === "x");
          const watched = take(client.watch(at("ttl"), { afterIndex: node.modifiedIndex }), 1);
          const lasting = await client.keys.update(at("ttl"), "y");
          assert.deepEqual([lasting.node.ttl, lasting.node.expiration], [undefined, undefined]);
          assert.deepEqual(
            (await watched).map((event) => event.type === "change" && event.action),
            ["update"],
          );
          const brief = await client.keys.set(at("brief"), "x", { ttl: 1 });
          const [event] = await take(
            client.watch(at("brief"), { afterIndex: brief.node.modifiedIndex }),
            1,
          );
          assert.ok(event?.type === "change" && event.action === "expire");
        });

        test("odd keys and values keep their bytes and stay below the root", async () => {
          for (const key of ["blank and + & ? # %", "ü/ñ", "a%2Fb", "_hidden", "back\\slash"]) {
            const { node } = await client.keys.set(at(`odd/${key}`), `=${key}&`);
            assert.equal(node.key, at(`odd/${key}`));
            const read = await client.keys.get(at(`odd/${key}`));
            assert.equal(!read.node.dir && read.node.value, `=${key}&`);
          }
          await client.keys.set(at("x/../../../../../members"), "v");
          assert.ok((await client.keys.find("/members")) !== undefined);
          await client.keys.delete("/members");
        });

        test("a watch shows each change in order, from an index and from now on", async () => {
          const first = await client.keys.set(at("w/a"), "1");
          await client.keys.set(at("w/b"), "2");
          await client.keys.delete(at("w/a"));
          await client.keys.set(at("elsewhere"), "x");
          const options = { recursive: true, afterIndex: first.index - 1 };
          const watching = take(client.watch(at("w"), options), 4);
          const last = await client.keys.set(at("w/c"), "3");
          const events = await watching;
          assert.deepEqual(
            events.map((event) => event.type === "change" && [event.action, event.node.key]),
            [
              ["set", at("w/a")],
              ["set", at("w/b")],
              ["delete", at("w/a")],
              ["set", at("w/c")],
            ],
          );
          assert.equal(events.at(-1)?.index, last.index);
        });

        test("a watch is ended by its signal and by leaving the loop", async () => {
          const controller = new AbortController();
          const watching = take(client.watch(at("quiet"), { signal: controller.signal }), 1);
          const reason = new Error("enough");
          controller.abort(reason);
          await assert.rejects(watching, (error) => error === reason);
          const iterator = client.watch(at("quiet"))[Symbol.asyncIterator]();
          const pending = iterator.next();
          await iterator.return?.();
          assert.deepEqual(await pending, { done: true, value: undefined });
        });

        test("events that are no longer kept are told, and the watch goes on", async () => {
          const first = await client.keys.set(at("many"), "0");
          // Both servers keep 1,000 events.
          for (let i = 0; i < 1100; i++) await client.keys.set(at("many"), String(i));
          const watching = take(client.watch(at("after"), { afterIndex: first.index }), 2);
          const written = client.keys.set(at("after"), "x");
          const [cleared, change] = await watching;
          const { index } = await written;
          assert.ok(cleared?.type === "cleared" && cleared.missedFrom === first.index + 1);
          assert.ok(change?.type === "change" && change.index === index);
        });

        test("members, statistics, version and health are told", async () => {
          const [member] = await client.members.list();
          assert.deepEqual([member?.name, member?.clientURLs], ["m", [server.url]]);
          assert.equal((await client.members.leader()).id, member?.id);
          const self = await client.stats.self();
          assert.deepEqual([self.name, self.state, self.leader], ["m", "StateLeader", member?.id]);
          assert.equal((await client.stats.leader()).leader, member?.id);
          assert.ok(((await client.stats.store())["setsSuccess"] ?? 0) > 0);
          assert.match((await client.version()).etcdserver, /^\d+\.\d+\.\d+/);
          assert.deepEqual(await client.health(), { isHealthy: true, reason: "" });
          assert.deepEqual(await client.sync(), [server.url]);
          assert.match(client.clusterId, /^[0-9a-f]+$/);
          await assert.rejects(client.members.add(["nonsense"]), (error) => {
            return error instanceof RefusedError && error.status === 400;
          });
          await assert.rejects(client.members.remove("123456"), (error) => {
            return error instanceof RefusedError && error.status === 404;
          });
        });

        test("authentication is set up, used and switched off", { timeout: 120_000 }, async () => {
          assert.equal(await client.auth.isEnabled(), false);
          await client.auth.users.create("root", "secret", { timeoutMs: 30_000 });
          await client.auth.users.create("bob", "pass:wörd", { timeoutMs: 30_000 });
          await client.auth.roles.create("reader");
          const role = await client.auth.roles.grant("reader", { read: ["/open/*"] });
          assert.deepEqual(role.permissions, { read: ["/open/*"], write: [] });
          assert.deepEqual((await client.auth.users.grant("bob", ["reader"])).roles, ["reader"]);
          await assert.rejects(client.auth.users.grant("bob", ["reader"]), (error) => {
            return error instanceof RefusedError && error.status === 409;
          });
          await client.keys.set("/open/x", "1");
          await client.keys.set("/closed/x", "1");
          await client.auth.enable();
          const timeoutMs = 30_000;
          const own = { endpoints: server.url, transport: transport(), timeoutMs };
          const bob = new EtcdClient({ ...own, username: "bob", password: "pass:wörd" });
          const root = new EtcdClient({ ...own, username: "root", password: "secret" });
          clients.push(bob, root);
          try {
            await root.auth.roles.revoke("guest", { read: ["/*"], write: ["/*"] });
            assert.ok((await bob.keys.find("/open/x")) !== undefined);
            await assert.rejects(bob.keys.get("/closed/x"), (error) => isEtcdError(error, 110));
            await assert.rejects(bob.keys.set("/open/x", "2"), (error) => isEtcdError(error, 110));
            await assert.rejects(bob.auth.users.list(), (error) => {
              return error instanceof RefusedError && error.status === 401;
            });
            const watching = take(bob.watch("/closed/x"), 1);
            await assert.rejects(watching, (error) => isEtcdError(error, 110));
            assert.deepEqual(
              (await root.auth.users.list()).map(({ name: user }) => user).toSorted(),
              ["bob", "root"],
            );
            assert.ok((await root.auth.roles.list()).some(({ name: given }) => given === "reader"));
            assert.deepEqual((await root.auth.users.get("bob")).roles, ["reader"]);
            await root.auth.users.revoke("bob", ["reader"]);
            await root.auth.users.setPassword("bob", "other");
          } finally {
            await root.auth.disable();
            await root.auth.users.remove("bob");
            await root.auth.users.remove("root");
            for (const given of ["reader", "guest"]) await root.auth.roles.remove(given);
          }
          assert.equal(await client.auth.isEnabled(), false);
        });
      });
    }
  });
}
