import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MigrateError } from "../../src/errors.ts";
import { compareListings, comparePaths } from "../../src/mirror/compare.ts";
import { parseEndpoints } from "../../src/mirror/endpoints.ts";
import type { ShownNode } from "../../src/mirror/listing.ts";
import type { MirrorResult } from "../../src/mirror/mirror.ts";
import { runMirror } from "../../src/mirror/mirror.ts";
import { TtlWatch } from "../../src/mirror/ttl-watch.ts";
import { LineSplitter } from "../../src/mirror/watch-event.ts";
import { FakeV2Server } from "../support/fake-v2-server.ts";
import { until } from "@etcd2/test-support";

interface Running {
  readonly log: readonly string[];
  /** Ends it as SIGINT does. */
  stop(): Promise<MirrorResult>;
  readonly ended: Promise<MirrorResult>;
}

interface Flags {
  readonly roots?: readonly string[];
  readonly overwrite?: boolean;
  readonly from?: string;
}

function start(source: FakeV2Server, target: FakeV2Server, flags: Flags = {}): Running {
  const log: string[] = [];
  const stop = new AbortController();
  const ended = runMirror({
    from: parseEndpoints(flags.from ?? source.url),
    to: parseEndpoints(target.url),
    roots: flags.roots ?? ["/"],
    overwrite: flags.overwrite ?? false,
    log: (text) => log.push(text),
    stop: stop.signal,
    abort: new AbortController().signal,
    reportMs: 60_000,
  });
  // A failure shows where the result is awaited.
  ended.catch(() => undefined);
  return {
    log,
    ended,
    stop: () => {
      stop.abort();
      return ended;
    },
  };
}

/** Runs a scene with two servers and cleans up. */
async function scene(
  play: (source: FakeV2Server, target: FakeV2Server) => Promise<void>,
): Promise<void> {
  const source = await FakeV2Server.start();
  const target = await FakeV2Server.start();
  try {
    await play(source, target);
  } finally {
    await source.close();
    await target.close();
  }
}

async function sameKeys(source: FakeV2Server, target: FakeV2Server): Promise<void> {
  await until("both sides show the same", () => {
    return JSON.stringify(source.dump()) === JSON.stringify(target.dump());
  });
}

describe("a mirror", () => {
  it("copies files, empty directories, odd bytes and lives", () =>
    scene(async (source, target) => {
      source.set("/a/b/c", "1");
      source.set("/odd é/&=+ %", "line\nbreak\t<é> %41");
      source.set("/empty", "");
      source.makeDirectory("/hollow/inside");
      source.set("/short", "x", 300);
      source.makeDirectory("/mortal", 200);
      source.set("/mortal/child", "y");
      for (let i = 0; i < 500; i++) source.set(`/many/${i % 7}/${i}`, `value ${i}`);
      const mirror = start(source, target);
      await sameKeys(source, target);
      const result = await mirror.stop();
      assert.deepEqual(result.differences, []);
      assert.equal(result.inAgreement, true);
      assert.equal(result.copies, 1);
      const life = (target.nodes.get("/short")?.expiresAt ?? 0) - Date.now();
      assert.ok(life > 290_000 && life <= 301_000, `${life} ms left`);
    }));

  it("follows every kind of change", () =>
    scene(async (source, target) => {
      source.set("/dir/a", "1");
      const mirror = start(source, target);
      await until("it follows", () => source.watcherCount > 0 && target.nodes.has("/dir/a"));
      source.set("/dir/a", "2");
      source.set("/file", "was a file");
      source.remove("/file");
      source.set("/file/now", "a directory");
      source.remove("/dir");
      source.set("/dir", "now a file");
      source.makeDirectory("/d2");
      source.makeDirectory("/d3", 500);
      source.set("/x", "1", 500);
      source.set("/x", "permanent");
      for (let i = 0; i < 300; i++) source.set(`/n/${i % 20}`, `${i}`);
      await sameKeys(source, target);
      assert.equal((await mirror.stop()).inAgreement, true);
    }));

  it("refuses to delete what only the target has, unless told to", () =>
    scene(async (source, target) => {
      source.set("/k", "v");
      source.set("/kind", "file here");
      target.set("/old/key", "x");
      target.set("/kind/is", "directory there");
      await assert.rejects(start(source, target).ended, (error: unknown) => {
        assert.ok(error instanceof MigrateError);
        assert.match(error.describe(), /such as \/kind\/is .*--overwrite/);
        return true;
      });
      assert.ok(target.nodes.has("/old/key"));
      const mirror = start(source, target, { overwrite: true });
      await sameKeys(source, target);
      assert.equal((await mirror.stop()).inAgreement, true);
    }));

  it("notices that it was dropped without a word and catches up from the history", () =>
    scene(async (source, target) => {
      source.set("/k", "1");
      const mirror = start(source, target);
      await until("it follows", () => source.watcherCount > 0 && target.nodes.has("/k"));
      source.dropWatchers();
      source.set("/k", "2");
      source.set("/l", "3");
      await sameKeys(source, target);
      const result = await mirror.stop();
      assert.equal(result.copies, 1);
      assert.equal(result.inAgreement, true);
    }));

  it("copies again where the history has a gap", () =>
    scene(async (source, target) => {
      source.set("/k", "1");
      source.set("/gone", "1");
      const mirror = start(source, target);
      await until("it follows", () => source.watcherCount > 0 && target.nodes.has("/gone"));
      source.dropWatchers();
      source.remove("/gone");
      source.set("/k", "2");
      source.clearHistory();
      source.closeConnections();
      await sameKeys(source, target);
      const result = await mirror.stop();
      assert.equal(result.copies, 2);
      assert.ok(mirror.log.some((line) => line.includes("does not reach back")));
    }));

  it("copies again when the source was restored from an older state", () =>
    scene(async (source, target) => {
      for (let i = 0; i < 20; i++) source.set(`/k${i}`, "1");
      const mirror = start(source, target);
      await until("it follows", () => source.watcherCount > 0 && target.nodes.size === 20);
      source.nodes.delete("/k3");
      source.index = 5;
      source.clusterId = "c2";
      source.clearHistory();
      source.closeConnections();
      await sameKeys(source, target);
      assert.equal((await mirror.stop()).inAgreement, true);
      assert.ok(mirror.log.some((line) => line.includes("another history")));
    }));

  it("waits for a target that fails, and loses nothing", () =>
    scene(async (source, target) => {
      source.set("/k", "1");
      const mirror = start(source, target);
      await until("it follows", () => source.watcherCount > 0 && target.nodes.has("/k"));
      target.failWrites = 503;
      for (let i = 0; i < 50; i++) source.set(`/k${i}`, "2");
      await until("the failure was noticed", () =>
        mirror.log.some((line) => line.includes("target cannot be reached")),
      );
      target.failWrites = undefined;
      await sameKeys(source, target);
      assert.ok(mirror.log.some((line) => line.includes("target answers again")));
      assert.equal((await mirror.stop()).inAgreement, true);
    }));

  it("passes on lives that were refreshed, which no watcher is told", () =>
    scene(async (source, target) => {
      source.set("/k", "kept", 4);
      const mirror = start(source, target);
      await until("it was copied", () => target.nodes.has("/k"));
      source.refresh("/k", 900);
      await until("the new life arrived", () => {
        return (target.nodes.get("/k")?.expiresAt ?? 0) > Date.now() + 800_000;
      });
      assert.equal(target.nodes.get("/k")?.value, "kept");
      assert.equal((await mirror.stop()).inAgreement, true);
    }));

  it("of a prefix stays inside it, and takes hidden subtrees only when named", () =>
    scene(async (source, target) => {
      source.set("/p/a", "1");
      source.set("/p/_secret/s", "hidden");
      source.set("/other", "x");
      target.set("/elsewhere", "stays");
      const mirror = start(source, target, { roots: ["/p", "/p/_secret"] });
      const wanted = ["/elsewhere stays", "/p /", "/p/_secret /", "/p/_secret/s hidden", "/p/a 1"];
      const arrived = (): boolean => JSON.stringify(target.dump(true)) === JSON.stringify(wanted);
      await until("the prefix was copied", arrived);
      source.set("/other", "y");
      source.remove("/p");
      await until("the removal arrived", () => target.nodes.size === 1);
      assert.equal((await mirror.stop()).inAgreement, true);
    }));

  it("says what differs when somebody else writes to the target", () =>
    scene(async (source, target) => {
      source.set("/k", "1");
      const mirror = start(source, target);
      await until("it follows", () => source.watcherCount > 0 && target.nodes.has("/k"));
      target.set("/k", "meddled with");
      target.set("/ü", "extra");
      const result = await mirror.stop();
      assert.equal(result.inAgreement, false);
      assert.deepEqual(result.differences, ["/k", "/ü"]);
    }));

  it("gives a user's name, and says when it is not let in", () =>
    scene(async (source, target) => {
      source.set("/k", "1");
      source.authorization = `Basic ${Buffer.from("root:p@ss").toString("base64")}`;
      await assert.rejects(start(source, target).ended, /answers 401/);
      const from = source.url.replace("http://", "http://root:p%40ss@");
      const mirror = start(source, target, { from });
      await sameKeys(source, target);
      assert.equal((await mirror.stop()).inAgreement, true);
    }));
});

describe("comparing listings", () => {
  const node = (key: string, more: Partial<ShownNode> = {}): ShownNode => ({
    key,
    dir: false,
    value: "",
    ttl: undefined,
    modifiedIndex: 0,
    createdIndex: 0,
    ...more,
  });

  it("orders paths as a sorted listing does", () => {
    const paths = ["/", "/a", "/a/b", "/a/b/c", "/a-b", "/a.b", "/b"];
    assert.deepEqual([...paths].sort(comparePaths), paths);
  });

  it("finds exactly what differs", () => {
    const tree = fc.dictionary(
      fc.constantFrom("/a", "/b", "/c", "/d-", "/d/e"),
      fc.constantFrom("1", "2"),
    );
    fc.assert(
      fc.property(tree, tree, (left, right) => {
        const listing = (from: Readonly<Record<string, string>>): ShownNode[] =>
          Object.entries(from)
            .map(([key, value]) => node(key, { value }))
            .sort((a, b) => comparePaths(a.key, b.key));
        const found = [...compareListings(listing(left), listing(right), 0)].map((difference) =>
          difference.kind === "extra" ? difference.target.key : difference.source.key,
        );
        const wanted = [...new Set([...Object.keys(left), ...Object.keys(right)])]
          .filter((key) => left[key] !== right[key])
          .sort(comparePaths);
        assert.deepEqual(found, wanted);
      }),
    );
  });

  it("allows for the time that passed between them", () => {
    const differs = (a: number | undefined, b: number | undefined, age: number): boolean =>
      [...compareListings([node("/k", { ttl: a })], [node("/k", { ttl: b })], age)].length > 0;
    assert.equal(differs(100, 99, 0), false);
    assert.equal(differs(100, 60, 40), false);
    assert.equal(differs(100, 60, 0), true);
    assert.equal(differs(100, undefined, 0), true);
  });
});

describe("TtlWatch", () => {
  it("asks to look at a key when half its known life is over, again and again", () => {
    const start = performance.now();
    const watch = new TtlWatch();
    watch.set("/k", start + 10_000, start);
    assert.deepEqual(watch.takeDue(start + 4000), []);
    assert.deepEqual(watch.takeDue(start + 5400), ["/k"]);
    assert.deepEqual(watch.takeDue(start + 6000), []);
    assert.deepEqual(watch.takeDue(start + 8000), ["/k"]);
    watch.delete("/k");
    assert.deepEqual(watch.takeDue(start + 60_000), []);
    assert.equal(watch.size, 0);
  });
});

describe("LineSplitter", () => {
  it("finds the lines however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 1 })),
        fc.integer({ min: 1, max: 7 }),
        (lines, size) => {
          const clean = lines.map((line) => JSON.stringify(line));
          const bytes = Buffer.from(clean.map((line) => `${line}\n`).join(""));
          const splitter = new LineSplitter();
          const found: string[] = [];
          for (let i = 0; i < bytes.length; i += size) {
            for (const line of splitter.push(bytes.subarray(i, i + size)))
              found.push(line.toString());
          }
          assert.deepEqual(found, clean);
        },
      ),
    );
  });
});

describe("parseEndpoints", () => {
  it("takes lists of hosts with or without scheme, and refuses paths", () => {
    const { urls, authorization } = parseEndpoints("a:1, https://u:p@b:2");
    assert.deepEqual(
      urls.map((url) => url.text),
      ["http://a:1", "https://u:p@b:2"],
    );
    assert.equal(authorization, "Basic dTpw");
    assert.throws(() => parseEndpoints("http://a/v2/keys"), MigrateError);
    assert.throws(() => parseEndpoints(""), MigrateError);
  });
});
