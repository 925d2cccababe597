import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { describe, it } from "node:test";
import { startCli } from "../support/cli.ts";
import { RealServer } from "../support/real-servers.ts";
import { TempDir } from "../support/temp-dir.ts";
import { SeededRandom, seedOfRun, until } from "@etcd2/test-support";

const seed = seedOfRun();

/** Changes keys at random until told to stop; what a dead server misses does not matter. */
class WriteLoad {
  writes = 0;
  #stopped = false;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #url: string;
  readonly #random = new SeededRandom(seed);
  readonly #workers: readonly Promise<void>[];

  constructor(url: string, workers: number) {
    this.#url = url;
    this.#workers = Array.from({ length: workers }, () => this.#work());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
    this.#agent.destroy();
  }

  async #work(): Promise<void> {
    while (!this.#stopped) {
      const [method, key, form] = this.#change();
      if (await this.#send(method, key, form)) this.writes++;
      else await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #change(): readonly [string, string, string] {
    const random = this.#random;
    const file = `/load/d${random.below(10)}/k${random.below(30)}`;
    const directory = `/load/d${random.below(10)}`;
    switch (random.below(16)) {
      case 0:
        return ["DELETE", file, ""];
      case 1:
        return ["DELETE", `${directory}?recursive=true`, ""];
      case 2:
        return ["POST", "/load/queue", `value=${this.writes}`];
      case 3:
        return ["PUT", `/load/ttl${random.below(20)}`, `value=x&ttl=${600 + random.below(50)}`];
      case 4:
        return ["PUT", directory, "dir=true&prevExist=false"];
      case 5:
        return ["PUT", `/load/flip${random.below(4)}`, "value=file"];
      case 6:
        return ["DELETE", `/load/flip${random.below(4)}?recursive=true`, ""];
      case 7:
        return ["PUT", `/load/flip${random.below(4)}/inside`, "value=1"];
      case 8:
        return ["PUT", `/load/ttl${random.below(20)}`, "prevExist=true&refresh=true&ttl=900"];
      default:
        return ["PUT", file, `value=${this.writes}`];
    }
  }

  #send(method: string, key: string, form: string): Promise<boolean> {
    return new Promise((resolve) => {
      const sent = request(`${this.#url}/v2/keys${key}`, {
        method,
        agent: this.#agent,
        timeout: 5000,
        headers: { "content-type": "application/x-www-form-urlencoded" },
      });
      let status = 500;
      sent.on("response", (response) => {
        status = response.statusCode ?? 500;
        response.resume();
      });
      sent.on("timeout", () => sent.destroy());
      sent.on("error", () => undefined);
      // Comes last whatever happened, also when the server dies within its answer.
      sent.on("close", () => {
        resolve(status < 500);
      });
      sent.end(form);
    });
  }
}

interface ShownNode {
  readonly key?: string;
  readonly value?: string;
  readonly dir?: boolean;
  readonly expiration?: string;
  readonly nodes?: readonly ShownNode[];
}

/** What a server shows, without indexes and without times to the second. */
async function tree(url: string): Promise<readonly string[]> {
  const response = await fetch(`${url}/v2/keys/?recursive=true&sorted=true`);
  const lines: string[] = [];
  const walk = (node: ShownNode): void => {
    const life = node.expiration === undefined ? "" : " ttl";
    lines.push(`${node.key ?? "/"} ${node.dir === true ? "/" : (node.value ?? "")}${life}`);
    for (const child of node.nodes ?? []) walk(child);
  };
  walk(((await response.json()) as { node: ShownNode }).node);
  return lines;
}

describe(`mirroring real servers, seed ${seed}`, () => {
  it("ends with equal trees after writes, crashes and restarts of both sides", async () => {
    using dir = new TempDir();
    const source = await RealServer.start("old", dir.at("source"));
    const target = await RealServer.start("own", dir.at("target"));
    const load = new WriteLoad(source.url, 3);
    try {
      await until("there is something to copy", () => load.writes > 300);
      const { child, ended } = startCli([
        ...["mirror", "--from", source.url, "--to", target.url],
        ...["--report", "1", "--output", "json"],
      ]);
      const more = async (count: number): Promise<void> => {
        const goal = load.writes + count;
        await until("the load goes on", () => load.writes >= goal, 60_000);
      };
      await until("the copy is there", async () => (await tree(target.url)).length > 20, 30_000);
      await more(500);
      await target.kill();
      await more(300);
      await target.start();
      await more(500);
      await source.kill();
      await source.start();
      await more(500);
      await load.stop();
      child.kill("SIGINT");
      const { status, stdout, stderr } = await ended;
      assert.equal(status, 0, stdout + stderr);
      const result = JSON.parse(stdout) as { inAgreement: boolean; events: number };
      assert.equal(result.inAgreement, true);
      assert.ok(result.events > 500, stderr);
      assert.match(stderr, /in step up to index \d+, \d+ behind/);
      assert.match(stderr, /the target cannot be reached/);
      assert.deepEqual(await tree(target.url), await tree(source.url));
    } finally {
      await load.stop();
      await source.kill();
      await target.kill();
    }
  });
});
