/** Discovery, proxies and joining with real processes. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { selfSigned } from "../../src/tls/auto-tls.ts";
import { freePort, until } from "@etcd2/test-support";
import { ask, program } from "../single-member/server-process.ts";

interface Process {
  readonly name: string;
  readonly dataDir: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly child: ChildProcess;
  log(): string;
  kill(signal: NodeJS.Signals): Promise<number | null>;
  exited: Promise<number | null>;
}

/** Processes on ports of their own in one directory. */
class Fleet {
  readonly directory = mkdtempSync(join(tmpdir(), "etcd2-fleet-"));
  readonly #urls = new Map<string, { clientUrl: string; peerUrl: string }>();
  readonly #children = new Set<ChildProcess>();

  async urls(name: string): Promise<{ clientUrl: string; peerUrl: string }> {
    const known = this.#urls.get(name);
    if (known !== undefined) return known;
    const urls = {
      clientUrl: `http://127.0.0.1:${await freePort()}`,
      peerUrl: `http://127.0.0.1:${await freePort()}`,
    };
    this.#urls.set(name, urls);
    return urls;
  }

  async start(name: string, more: readonly string[]): Promise<Process> {
    const urls = await this.urls(name);
    const dataDir = join(this.directory, name);
    const flags = [
      ...["--name", name, "--data-dir", dataDir],
      ...["--listen-client-urls", urls.clientUrl, "--advertise-client-urls", urls.clientUrl],
      ...["--listen-peer-urls", urls.peerUrl, "--initial-advertise-peer-urls", urls.peerUrl],
      ...more,
    ];
    const child = spawn(program, flags, { stdio: ["ignore", "ignore", "pipe"] });
    this.#children.add(child);
    let log = "";
    child.stderr.setEncoding("utf8");
    child.stderr.on("data", (part: string) => (log += part));
    const exited = new Promise<number | null>((resolve) => {
      child.once("close", (status) => {
        this.#children.delete(child);
        resolve(status);
      });
    });
    const kill = (signal: NodeJS.Signals): Promise<number | null> => {
      child.kill(signal);
      return exited;
    };
    return { name, dataDir, ...urls, child, log: () => log, kill, exited };
  }

  dispose(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function says(process: Process, words: string): Promise<void> {
  await until(`${process.name} says ${words}\n${process.log()}`, () =>
    process.log().includes(words),
  );
}

/** The exit status of a start that must fail. */
async function refusedStart(process: Process): Promise<number | null> {
  let status: number | null | undefined;
  void process.exited.then((value) => (status = value));
  await until(`${process.name} ends`, () => status !== undefined);
  return status ?? null;
}

async function answers(process: Process, path: string, status = 200): Promise<void> {
  await until(`${process.name} answers ${path} with ${status}`, async () =>
    ask("GET", `${process.clientUrl}${path}`).then(
      (answer) => answer.status === status,
      () => false,
    ),
  );
}

async function endpointsOf(proxy: Process): Promise<readonly string[]> {
  const { body } = await ask("GET", `${proxy.clientUrl}/v2/config/local/proxy`);
  return (JSON.parse(body) as { endpoints: string[] }).endpoints.toSorted();
}

function isMember({ dataDir }: Process): boolean {
  return existsSync(join(dataDir, "member", "store"));
}

describe("a cluster found through a member of our own as the discovery service", () => {
  const fleet = new Fleet();
  const members: Process[] = [];
  let url = "";
  let proxy: Process;
  const quick = ["--heartbeat-interval", "50", "--election-timeout", "300"];
  const quickProxy = ["--proxy-refresh-interval", "200", "--proxy-failure-wait", "300"];

  before(async () => {
    const { peerUrl } = await fleet.urls("service");
    const service = await fleet.start("service", ["--initial-cluster", `service=${peerUrl}`]);
    await answers(service, "/version");
    url = `${service.clientUrl}/v2/keys/discovery/token`;
  });
  after(() => {
    fleet.dispose();
  });

  it("refuses a token without a size, and writes nothing", async () => {
    const process = await fleet.start("early", ["--discovery", url]);
    assert.equal(await refusedStart(process), 1);
    assert.match(
      process.log(),
      /E \| etcdmain: failed to join discovery cluster \(discovery: size key not found\)\n.*I \| etcdmain: discovery token .* was used, but failed to bootstrap the cluster\.\n.*please generate a new discovery token and try to bootstrap again\./,
    );
    assert.ok(!existsSync(process.dataDir) || readdirSync(process.dataDir).length === 0);
    await ask("PUT", `${url}/_config/size`, "value=3");
  });

  it("is joined by a member that crashed while it waited, and started again", async () => {
    const crashed = await fleet.start("m1", ["--discovery", url, ...quick]);
    await says(crashed, "discovery: found 1 peer(s), waiting for 2 more");
    await crashed.kill("SIGKILL");
    // It holds its directory already, and has written down what the service knows of it.
    const entries = readdirSync(crashed.dataDir, { recursive: true, withFileTypes: true });
    const files = new Set(entries.filter((entry) => entry.isFile()).map(({ name }) => name));
    assert.deepEqual([...files].toSorted(), ["etcd2.lock", "registration"]);
    const again = await fleet.start("m1", ["--discovery", url, ...quick]);
    members.push(again);
    await says(again, "discovery: resuming the registration");
    await says(again, "discovery: found 1 peer(s), waiting for 2 more");
  });

  it("is complete with the third member and serves", async () => {
    for (const name of ["m2", "m3"]) {
      members.push(await fleet.start(name, ["--discovery", url, ...quick]));
    }
    for (const member of members) {
      await says(member, "discovery: found 3 needed peer(s)");
      await says(member, "etcdserver: published");
      assert.deepEqual(readdirSync(member.dataDir), ["member"]);
    }
    const [first] = members;
    assert.ok(first !== undefined);
    assert.equal((await ask("PUT", `${first.clientUrl}/v2/keys/a`, "value=1")).status, 201);
  });

  it("has a fourth one fall back to a proxy", async () => {
    proxy = await fleet.start("m4", ["--discovery", url, ...quickProxy]);
    await says(proxy, "N | etcdmain: discovery cluster full, falling back to proxy");
    await says(proxy, "I | etcdmain: proxy: using peer urls [");
    await says(proxy, `I | etcdmain: proxy: listening for client requests on ${proxy.clientUrl}`);
    await says(proxy, "I | proxy: endpoints found [");
    await answers(proxy, "/v2/keys/a");
    assert.deepEqual(
      await endpointsOf(proxy),
      members.map((member) => member.clientUrl).toSorted(),
    );
    const file = join(proxy.dataDir, "proxy", "cluster");
    assert.deepEqual(JSON.parse(readFileSync(file, "utf8")), {
      PeerURLs: members.map((member) => member.peerUrl).toSorted(),
    });
    assert.ok(!isMember(proxy));
  });

  it("and a fifth one leave, when told to", async () => {
    const process = await fleet.start("m5", ["--discovery", url, "--discovery-fallback", "exit"]);
    assert.equal(await refusedStart(process), 1);
    assert.match(
      process.log(),
      /failed to join discovery cluster \(discovery: cluster is full\)\n.*was used, but failed/,
    );
  });

  it("passes writes and the events of a watch through the proxy", async () => {
    const watch = request(`${proxy.clientUrl}/v2/keys/w?wait=true&stream=true&recursive=true`);
    watch.on("error", () => undefined);
    const response = await new Promise<IncomingMessage>((resolve) => {
      watch.once("response", resolve);
      watch.end();
    });
    let received = "";
    response.on("data", (part: Buffer) => (received += part.toString()));
    response.on("error", () => undefined);
    for (const value of ["1", "2"]) {
      await ask("PUT", `${proxy.clientUrl}/v2/keys/w/x`, `value=${value}`);
      await until("the event arrives", () => received.includes(`"value":"${value}"`));
    }
    watch.destroy();
  });

  it("is followed by the proxy when a member dies and when one is removed", async () => {
    const [first, second] = members;
    assert.ok(first !== undefined && second !== undefined);
    await first.kill("SIGKILL");
    await until("a write passes", async () => {
      const { status } = await ask("PUT", `${proxy.clientUrl}/v2/keys/b`, "value=1");
      return status < 300;
    });
    const list = JSON.parse((await ask("GET", `${second.clientUrl}/v2/members`)).body) as {
      members: { id: string; name: string }[];
    };
    const id = list.members.find(({ name }) => name === "m1")?.id ?? "";
    assert.equal((await ask("DELETE", `${second.clientUrl}/v2/members/${id}`)).status, 204);
    await until("the proxy has left it out", async () => (await endpointsOf(proxy)).length === 2);
  });

  it("stays known to the proxy, whatever the flags of its next start say", async () => {
    await proxy.kill("SIGTERM");
    proxy = await fleet.start("m4", [
      "--proxy",
      "readonly",
      "--initial-cluster",
      "x=http://127.0.0.1:1",
    ]);
    await says(proxy, "already initialized as proxy before, starting as etcd proxy...");
    await says(proxy, "from cluster file");
    await answers(proxy, "/v2/keys/a");
    assert.equal((await ask("PUT", `${proxy.clientUrl}/v2/keys/c`, "value=1")).status, 501);
  });

  it("refuses a founder whose data directory is lost, with the lines of etcd 2.3.8", async () => {
    const [, second] = members;
    assert.ok(second !== undefined);
    await second.kill("SIGKILL");
    rmSync(second.dataDir, { recursive: true });
    const process = await fleet.start("m2", ["--discovery", url]);
    assert.equal(await refusedStart(process), 1);
    assert.match(
      process.log(),
      /E \| etcdmain: member "m2" has previously registered with discovery service token \(.*\)\.\n.*E \| etcdmain: But etcd could not find valid cluster configuration in the given data dir/,
    );
    assert.equal(existsSync(process.dataDir), false);
  });
});

describe("a member that asks its peers what runs already", () => {
  const fleet = new Fleet();
  let first: Process;
  let second: Process;
  let cluster = "";

  before(async () => {
    const { peerUrl } = await fleet.urls("a");
    first = await fleet.start("a", ["--initial-cluster", `a=${peerUrl}`]);
    await answers(first, "/version");
    const other = await fleet.urls("b");
    cluster = `a=${peerUrl},b=${other.peerUrl}`;
  });
  after(() => {
    fleet.dispose();
  });

  it("is refused a running cluster it was not added to, with the command that helps", async () => {
    const process = await fleet.start("b", ["--initial-cluster", cluster]);
    assert.equal(await refusedStart(process), 1);
    assert.match(
      process.log(),
      /cluster ID mismatch: member [0-9a-f]+ .* runs in cluster [0-9a-f]+/,
    );
    assert.match(process.log(), /run "etcdctl member add b http:\/\/127/);
    assert.ok(!isMember(process));
  });

  it("joins one it was added to although the state says new", async () => {
    const { peerUrl } = await fleet.urls("b");
    const body = JSON.stringify({ peerURLs: [peerUrl] });
    const added = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { "Content-Type": "application/json" };
      const call = request(`${first.clientUrl}/v2/members`, { method: "POST", headers }, resolve);
      call.on("error", reject);
      call.end(body);
    });
    added.resume();
    assert.equal(added.statusCode, 201);
    second = await fleet.start("b", ["--initial-cluster", cluster]);
    await says(second, "joining it, as with --initial-cluster-state existing");
    await says(second, "etcdserver: published");
    assert.equal((await ask("PUT", `${second.clientUrl}/v2/keys/a`, "value=1")).status, 201);
  });

  it("is refused its own name once it has run and lost its data, in either state", async () => {
    await second.kill("SIGKILL");
    rmSync(second.dataDir, { recursive: true });
    for (const state of ["new", "existing"]) {
      const process = await fleet.start("b", [
        ...["--initial-cluster", cluster, "--initial-cluster-state", state],
      ]);
      assert.equal(await refusedStart(process), 1);
      assert.match(process.log(), /member [0-9a-f]+ has already been bootstrapped \(as "b"/);
      assert.match(process.log(), /"etcdctl member remove [0-9a-f]+"/);
      assert.ok(!isMember(process));
    }
  });

  it("and so it is when the others answer late", async () => {
    first.child.kill("SIGSTOP");
    const process = await fleet.start("b", ["--initial-cluster", cluster]);
    try {
      await says(process, "asking again");
    } finally {
      first.child.kill("SIGCONT");
    }
    assert.equal(await refusedStart(process), 1);
    assert.match(process.log(), /member [0-9a-f]+ has already been bootstrapped \(as "b"/);
    assert.ok(!isMember(process));
  });
});

describe("a proxy to members that speak TLS", () => {
  const fleet = new Fleet();
  after(() => {
    fleet.dispose();
  });

  it("reaches both of their ports with no more than their authority", async () => {
    const directory = join(fleet.directory, "tls");
    const { certFile, keyFile } = await selfSigned({ directory, hosts: ["127.0.0.1"], years: 1 });
    const secure = async (name: string): Promise<string> =>
      `https://127.0.0.1:${new URL((await fleet.urls(name)).peerUrl).port}`;
    const peerUrl = await secure("a");
    const clientUrl = await secure("client port");
    await fleet.start("a", [
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ...["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
      ...["--initial-cluster", `a=${peerUrl}`, "--cert-file", certFile, "--key-file", keyFile],
      ...["--peer-cert-file", certFile, "--peer-key-file", keyFile],
    ]);
    const proxy = await fleet.start("p", [
      ...["--proxy", "on", "--initial-cluster", `a=${peerUrl}`],
      ...["--peer-trusted-ca-file", certFile, "--proxy-refresh-interval", "200"],
    ]);
    await says(proxy, `proxy: endpoints found ["${clientUrl}"]`);
    assert.equal((await ask("PUT", `${proxy.clientUrl}/v2/keys/a`, "value=1")).status, 201);
  });
});
