/**
 * Clusters whose members are named as Swarm, Marathon and others name hosts, which browsers' URLs
 * refuse: `etcd.1`, `etcd_3`, and IPv6 addresses with zones. Real processes; each of them has its
 * names from a script that it loads first, as from a hosts file of its own.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { freePort } from "@etcd2/test-support";
import { Cluster } from "../cluster-faults/cluster.ts";
import type { Place } from "../cluster-faults/member-process.ts";

const ETCDCTL = join(import.meta.dirname, "..", "..", "apps", "etcdctl", "bin", "etcdctl");
const DEADLINE_MS = 60_000;
const HOSTS = ["etcd.1", "etcd.2", "etcd_3"];

let folder: string;
/** The option that gives a process its names. */
let nodeOptions: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "etcd2-names-"));
  const script = join(folder, "hosts.mjs");
  writeFileSync(
    script,
    `import dns from "node:dns";
     import { syncBuiltinESMExports } from "node:module";
     const hosts = new Set(${JSON.stringify(HOSTS)});
     const own = { address: "127.0.0.1", family: 4 };
     const { lookup } = dns;
     dns.lookup = (host, ...rest) => {
       if (!hosts.has(host)) return lookup(host, ...rest);
       const callback = rest.at(-1);
       const isAll = rest.length > 1 && rest[0]?.all === true;
       process.nextTick(() => (isAll ? callback(null, [own]) : callback(null, own.address, own.family)));
     };
     const later = dns.promises.lookup;
     dns.promises.lookup = (host, options) => {
       if (!hosts.has(host)) return later(host, options);
       return Promise.resolve(options?.all === true ? [own] : own);
     };
     syncBuiltinESMExports();`,
  );
  nodeOptions = `--import=${script}`;
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Ports {
  readonly client: number;
  readonly peer: number;
}

/** Runs etcdctl and resolves with what it prints on its standard output. */
async function etcdctl(...words: readonly string[]): Promise<string> {
  const env = { ...process.env, NODE_OPTIONS: nodeOptions };
  const run = promisify(execFile)(ETCDCTL, words, {
    env,
    timeout: DEADLINE_MS,
  });
  return (await run).stdout;
}

describe("three members that know each other by the names etcd.1, etcd.2 and etcd_3", () => {
  let cluster: Cluster;
  const ports: Ports[] = [];
  const url = (at: number, port: keyof Ports): string =>
    `http://${HOSTS[at] ?? ""}:${String(ports[at]?.[port])}`;

  before(async () => {
    while (ports.length < HOSTS.length)
      ports.push({ client: await freePort(), peer: await freePort() });
    const place = (from1: number): Place => ({
      clientUrl: `http://127.0.0.1:${String(ports[from1 - 1]?.client)}`,
      peerUrl: `http://127.0.0.1:${String(ports[from1 - 1]?.peer)}`,
      command: ["env", `NODE_OPTIONS=${nodeOptions}`],
    });
    cluster = await Cluster.reserve({ size: HOSTS.length, place });
    const pairs = cluster.members.map(({ name }, at) => `${name}=${url(at, "peer")}`);
    for (const [at, member] of cluster.members.entries()) {
      const own = [
        "--initial-advertise-peer-urls",
        url(at, "peer"),
        "--initial-cluster",
        pairs.join(),
      ];
      cluster.found(member, ...own, "--advertise-client-urls", url(at, "client"));
    }
    await cluster.ready(DEADLINE_MS);
  });
  after(() => cluster.close());

  it("form a cluster and name each other so", async () => {
    const list = await cluster.memberList();
    assert.deepEqual(list.flatMap(({ peerURLs }) => peerURLs).toSorted(), [
      url(0, "peer"),
      url(1, "peer"),
      url(2, "peer"),
    ]);
  });

  it("are endpoints of etcdctl, which finds the others by their names", async () => {
    for (const [at, host] of HOSTS.entries()) {
      assert.equal(
        await etcdctl("--endpoints", url(at, "client"), "set", "/name", host),
        `${host}\n`,
      );
      assert.equal(
        await etcdctl("--endpoints", url(at, "client"), "get", "--quorum", "/name"),
        `${host}\n`,
      );
    }
    const health = await etcdctl("--endpoints", url(2, "client"), "cluster-health");
    assert.match(health, /cluster is healthy/);
    for (const at of HOSTS.keys()) {
      assert.ok(health.includes(`got healthy result from ${url(at, "client")}`), health);
    }
  });

  it("find each other again after a restart", async () => {
    const [first] = cluster.members;
    assert.ok(first !== undefined);
    await first.end("SIGKILL");
    cluster.restart(first, "--advertise-client-urls", url(0, "client"));
    await cluster.ready(DEADLINE_MS);
    const endpoint = url(0, "client");
    assert.equal(await etcdctl("--endpoints", endpoint, "set", "/again", "yes"), "yes\n");
    await cluster.sameTree();
  });
});

/** An address of this machine that means something with its zone only. */
function linkLocal(): string | undefined {
  for (const [zone, addresses] of Object.entries(networkInterfaces())) {
    const found = addresses?.find(({ address }) => address.startsWith("fe80:"));
    if (found !== undefined) return `[${found.address}%25${zone}]`;
  }
  return undefined;
}

const scoped = linkLocal();
const skip = scoped === undefined && "this machine has no IPv6 address with a zone";

describe("three members at an IPv6 address with a zone", { skip }, () => {
  let cluster: Cluster;
  before(async () => {
    const places: Place[] = [];
    while (places.length < HOSTS.length) {
      places.push({
        clientUrl: `http://127.0.0.1:${String(await freePort())}`,
        peerUrl: `http://${scoped ?? ""}:${String(await freePort())}`,
        command: [],
      });
    }
    const place = (from1: number): Place => {
      const found = places[from1 - 1];
      assert.ok(found !== undefined);
      return found;
    };
    cluster = await Cluster.start({ size: HOSTS.length, place });
  });
  after(() => cluster.close());

  it("form a cluster", async () => {
    assert.equal((await cluster.memberList()).length, HOSTS.length);
    await cluster.sameTree();
  });
});
