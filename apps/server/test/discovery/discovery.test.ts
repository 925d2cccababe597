import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { seedOfRun, until } from "@etcd2/test-support";
import fc from "fast-check";

import { joinCluster, readCluster } from "../../src/discovery/discovery.ts";
import { DiscoveryError } from "../../src/discovery/discovery-error.ts";
import type { DiscoveryService, ServiceListing } from "../../src/discovery/discovery-service.ts";
import { ServiceRefusal, ServiceUnreachable } from "../../src/discovery/discovery-service.ts";
import { RegistrationFile } from "../../src/discovery/registration-file.ts";
import type { Registration } from "../../src/discovery/registration-file.ts";
import { captureLog } from "../captured-log.ts";

const url = "http://discovery.example/v2/keys/token";

/** The service in memory; `before` and `after` each call may throw what a network would. */
class FakeService implements DiscoveryService {
  readonly keys = new Map<string, { value: string; createdIndex: number }>();
  index = 0;
  calls: string[] = [];
  before: (call: string) => Promise<void> | void = () => undefined;
  after: (call: string) => Promise<void> | void = () => undefined;
  #waiting: (() => void)[] = [];

  constructor(size?: string) {
    if (size !== undefined) this.put("_config/size", size);
  }

  put(key: string, value: string): void {
    this.keys.set(key, { value, createdIndex: ++this.index });
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  async #call<T>(call: string, effect: () => T): Promise<T> {
    this.calls.push(call);
    await this.before(call);
    const result = effect();
    await this.after(call);
    return result;
  }

  read(path: string): Promise<string> {
    return this.#call("read", () => {
      const node = this.keys.get(path.slice(1));
      if (node === undefined) throw new ServiceRefusal(100, `100: Key not found (${path}) [1]`);
      return node.value;
    });
  }

  list(): Promise<ServiceListing> {
    return this.#call("list", () => {
      const nodes = [...this.keys]
        .filter(([key]) => !key.startsWith("_config"))
        .map(([key, node]) => ({ key, ...node }));
      return {
        nodes: [...nodes, { key: "_config", value: "", createdIndex: 1 }],
        index: this.index,
      };
    });
  }

  create(path: string, value: string): Promise<void> {
    return this.#call("create", () => {
      const key = path.slice(1);
      if (this.keys.has(key)) throw new ServiceRefusal(105, `105: Key already exists (${key}) [1]`);
      this.put(key, value);
    });
  }

  async waitForChange(afterIndex: number): Promise<void> {
    this.calls.push("wait");
    await this.before("wait");
    if (this.index > afterIndex) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

/** A note that survives the crash of its member. */
class FakeNote {
  kept = "";
  matches(registration: Registration): boolean {
    return this.kept === JSON.stringify(registration);
  }
  write(registration: Registration): void {
    this.kept = JSON.stringify(registration);
  }
  remove(): void {
    this.kept = "";
  }
}

function registration(n: number, name = `m${n}`): Registration {
  return { url, id: `${n}`.repeat(4), value: `${name}=http://10.0.0.${n}:2380` };
}

interface Run {
  readonly result: Promise<string>;
  readonly lines: readonly string[];
  readonly delays: readonly number[];
  readonly note: FakeNote;
}

function start(
  service: DiscoveryService,
  self: Registration,
  options: { note?: FakeNote; stopAfterDelays?: number } = {},
): Run {
  const { logging, lines } = captureLog();
  const note = options.note ?? new FakeNote();
  const delays: number[] = [];
  const name = self.value.split("=")[0] ?? "";
  const result = joinCluster(
    {
      service,
      subject: { url, name, dataDir: "data", id: self.id },
      log: logging.logger("discovery"),
      delay: (ms) => {
        delays.push(ms);
        if (delays.length === options.stopAfterDelays) throw new Error("enough");
        return Promise.resolve();
      },
    },
    self,
    note,
  );
  return { result, lines, delays, note };
}

async function refused(result: Promise<unknown>): Promise<DiscoveryError> {
  const error = await result.then(
    () => assert.fail("it was not refused"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof DiscoveryError, String(error));
  return error;
}

describe("joining through a discovery URL", () => {
  it("registers, waits for the others, and returns the first registrations in order", async () => {
    const service = new FakeService("3");
    service.put("2222", registration(2).value);
    const run = start(service, registration(1));
    await until("it waits", () => service.calls.includes("wait"));
    service.put("3333", registration(3).value);
    assert.equal(
      await run.result,
      "m2=http://10.0.0.2:2380,m1=http://10.0.0.1:2380,m3=http://10.0.0.3:2380",
    );
    assert.deepEqual(run.lines, [
      "N discovery: found peer 2222 in the cluster",
      "N discovery: found self 1111 in the cluster",
      "N discovery: found 2 peer(s), waiting for 1 more",
      "N discovery: found peer 3333 in the cluster",
      "N discovery: found 3 needed peer(s)",
    ]);
  });

  it("refuses a missing or bad size before anything is registered or noted", async () => {
    const cases = [
      [undefined, "discovery: size key not found"],
      ["three", "discovery: size key is bad"],
      ["0", "discovery: size key is bad"],
      ["-1", "discovery: size key is bad"],
      ["", "discovery: size key is bad"],
    ] as const;
    for (const [size, reason] of cases) {
      const service = new FakeService(size);
      const run = start(service, registration(1));
      const error = await refused(run.result);
      assert.deepEqual(
        error.lines.map(({ level, message }) => `${level} ${message}`),
        [
          `error failed to join discovery cluster (${reason})`,
          `info discovery token ${url} was used, but failed to bootstrap the cluster.`,
          "info please generate a new discovery token and try to bootstrap again.",
        ],
      );
      assert.equal(run.note.kept, "");
      assert.ok(!service.calls.includes("create"));
    }
  });

  it("finds the cluster full without registering", async () => {
    const service = new FakeService("1");
    service.put("2222", registration(2).value);
    const run = start(service, registration(1));
    const error = await refused(run.result);
    assert.equal(error.outcome, "full");
    assert.equal(error.message, "failed to join discovery cluster (discovery: cluster is full)");
    assert.ok(!service.calls.includes("create"));
  });

  it("finds the cluster full when others were quicker between look and registration", async () => {
    const service = new FakeService("1");
    service.before = (call) => {
      if (call === "create" && !service.keys.has("2222"))
        service.put("2222", registration(2).value);
    };
    const run = start(service, registration(1));
    assert.equal((await refused(run.result)).outcome, "full");
    assert.equal(run.note.kept, "");
  });

  it("asks an unreachable service again after 2 s, 4 s, 8 s, and at most 64 s", async () => {
    const service = new FakeService("1");
    service.before = () => {
      throw new ServiceUnreachable("connect ECONNREFUSED 10.0.0.9:80");
    };
    const run = start(service, registration(1), { stopAfterDelays: 8 });
    await assert.rejects(run.result, /enough/);
    assert.deepEqual(run.delays, [2000, 4000, 8000, 16000, 32000, 64000, 64000, 64000]);
    assert.deepEqual(run.lines.slice(0, 2), [
      "E discovery: connect ECONNREFUSED 10.0.0.9:80",
      `I discovery: cluster status check: error connecting to ${url}, retrying in 2s`,
    ]);
  });

  it("begins with 2 s again once the service has answered", async () => {
    const service = new FakeService("1");
    const failing = ["read", "read", "create"];
    service.before = (call) => {
      if (call !== failing[0]) return;
      failing.shift();
      throw new ServiceUnreachable("connect ECONNREFUSED 10.0.0.9:80");
    };
    const run = start(service, registration(1));
    await run.result;
    assert.deepEqual(run.delays, [2000, 4000, 2000]);
  });

  it("takes a registration whose answer was lost for its own", async () => {
    const service = new FakeService("1");
    let isLost = false;
    service.after = (call) => {
      if (call !== "create" || isLost) return;
      isLost = true;
      throw new ServiceUnreachable("socket hang up");
    };
    const run = start(service, registration(1));
    assert.equal(await run.result, registration(1).value);
    assert.equal(service.calls.filter((call) => call === "create").length, 2);
  });

  it("refuses the id of a complete cluster when the data directory knows nothing of it", async () => {
    const service = new FakeService("1");
    service.put("1111", registration(1).value);
    const error = await refused(start(service, registration(1)).result);
    assert.equal(error.outcome, "duplicateId");
    assert.deepEqual(
      error.lines.slice(0, 4).map(({ message }) => message),
      [
        `member "m1" has previously registered with discovery service token (${url}).`,
        "But etcd could not find valid cluster configuration in the given data dir (data).",
        "Please check the given data dir path if the previous bootstrap succeeded",
        "or use a new discovery token if the previous bootstrap failed.",
      ],
    );
  });

  it("takes up a registration of a complete cluster when the note of the crash is there", async () => {
    const service = new FakeService("1");
    service.put("1111", registration(1).value);
    const note = new FakeNote();
    note.write(registration(1));
    const run = start(service, registration(1), { note });
    assert.equal(await run.result, registration(1).value);
    assert.ok(run.lines[0]?.includes("resuming the registration 1111"));
  });

  it("takes up a registration without a note while the cluster is not complete", async () => {
    const service = new FakeService("2");
    service.put("1111", registration(1).value);
    const run = start(service, registration(1));
    await until("it waits", () => service.calls.includes("wait"));
    // From here on a crash may come after the cluster is complete.
    assert.ok(run.note.matches(registration(1)));
    service.put("2222", registration(2).value);
    await run.result;
  });

  it("refuses its own id registered with another value, complete or not", async () => {
    for (const size of ["1", "2"]) {
      const service = new FakeService(size);
      service.put("1111", registration(1, "other").value);
      const error = await refused(start(service, registration(1)).result);
      assert.equal(error.outcome, "duplicateId");
    }
  });

  it("refuses an id that somebody else registers at the same moment", async () => {
    const service = new FakeService("2");
    service.before = (call) => {
      if (call === "create") service.put("1111", registration(1).value);
    };
    const run = start(service, registration(1));
    assert.equal((await refused(run.result)).outcome, "duplicateId");
    assert.equal(run.note.kept, "");
  });

  it("refuses a second member of the same name before it spoils the URL", async () => {
    const service = new FakeService("2");
    service.put("2222", registration(2, "m1").value);
    const error = await refused(start(service, registration(1)).result);
    assert.deepEqual(
      error.lines.map(({ message }) => message),
      [
        `member with duplicated name has registered with discovery service token(${url}).`,
        "please check (cURL) the discovery token for more information.",
        "please do not reuse the discovery token and generate a new one to bootstrap the cluster.",
      ],
    );
    assert.ok(!service.keys.has("1111"));
  });

  it("refuses both of two members of one name that registered at once", async () => {
    const service = new FakeService("2");
    service.put("1111", registration(1).value);
    service.put("2222", registration(2, "m1").value);
    const note = new FakeNote();
    note.write(registration(1));
    const error = await refused(start(service, registration(1), { note }).result);
    assert.equal(error.outcome, "duplicateName");
  });

  it("refuses registrations that are no URLs", async () => {
    const service = new FakeService("2");
    service.put("2222", "m2=nonsense");
    const error = await refused(start(service, registration(1)).result);
    assert.equal(error.message, "failed to join discovery cluster (discovery: invalid URL)");
  });

  it("reads a cluster without registering, full or not", async () => {
    const service = new FakeService("1");
    service.put("2222", registration(2).value);
    service.put("3333", registration(3).value);
    const { logging } = captureLog();
    const subject = { url, name: "p", dataDir: "data", id: "" };
    const log = logging.logger("discovery");
    const delay = (): Promise<void> => Promise.resolve();
    assert.equal(await readCluster({ service, subject, log, delay }), registration(2).value);
    assert.ok(!service.calls.includes("create"));
  });
});

class Crash extends Error {}

/** Runs members that crash and lose answers as the numbers say, until each has an outcome. */
async function runUntilDecided(
  size: number,
  members: number,
  chances: readonly number[],
): Promise<(string | DiscoveryError)[]> {
  const service = new FakeService(String(size));
  let at = 0;
  const chance = (): number => chances[at++] ?? 99;
  const disturb = async (): Promise<void> => {
    const n = chance();
    for (let turns = n % 4; turns > 0; turns--) await Promise.resolve();
    if (n < 12) throw new Crash();
    if (n < 24) throw new ServiceUnreachable("lost");
  };
  service.before = disturb;
  service.after = disturb;
  const live = async (n: number): Promise<string | DiscoveryError> => {
    const note = new FakeNote();
    for (;;) {
      try {
        return await start(service, registration(n), { note }).result;
      } catch (error) {
        if (error instanceof DiscoveryError) return error;
        if (!(error instanceof Crash)) throw error;
      }
    }
  };
  return Promise.all(Array.from({ length: members }, (_, n) => live(n + 1)));
}

describe("members that crash and lose answers while they register", () => {
  it("all end in one cluster of the wanted size, the surplus knowing that it is full", async () => {
    const seed = seedOfRun();
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 3 }),
        fc.array(fc.integer({ min: 0, max: 99 }), { maxLength: 120 }),
        async (size, surplus, chances) => {
          const outcomes = await runUntilDecided(size, size + surplus, chances);
          const clusters = outcomes.filter((outcome) => typeof outcome === "string");
          assert.equal(clusters.length, size);
          assert.equal(new Set(clusters).size, 1);
          for (const outcome of outcomes) {
            if (typeof outcome !== "string") assert.equal(outcome.outcome, "full");
          }
        },
      ),
      { seed, numRuns: 200 },
    );
  });
});

describe("the note of a registration", () => {
  const directory = mkdtempSync(join(tmpdir(), "etcd2-registration-"));
  after(() => {
    rmSync(directory, { recursive: true });
  });

  it("is made with its directory, matches only its own registration, and goes without trace", () => {
    const dataDir = join(directory, "data");
    const file = new RegistrationFile(dataDir);
    assert.ok(!file.matches(registration(1)));
    file.remove();
    assert.ok(!existsSync(dataDir));
    file.write(registration(1));
    assert.ok(new RegistrationFile(dataDir).matches(registration(1)));
    assert.ok(!file.matches(registration(2)));
    assert.ok(!file.matches({ ...registration(1), url: "http://other" }));
    file.remove();
    file.remove();
    assert.deepEqual(readdirSync(dataDir), []);
  });
});
