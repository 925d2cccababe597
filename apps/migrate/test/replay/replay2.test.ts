import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { describe, it } from "node:test";
import { formatId } from "@etcd2/member-dir";
import { parseVersion, rulesFor } from "../../src/replay/rules.ts";
import type { RequestFields } from "../support/old-formats.ts";
import {
  bytesField,
  confChange,
  numberField,
  OldWalWriter,
  request,
  writeSnapshot2,
} from "../support/old-formats.ts";
import type { Replayed } from "../support/replay-directory.ts";
import { replayDirectory } from "../support/replay-directory.ts";
import { TempDir } from "../support/temp-dir.ts";

const SELF = 0xa1n;

type Step = RequestFields | { readonly conf: Buffer } | { readonly raw: Buffer };

function member(id: bigint, url: string, more: object = {}): Step {
  return { conf: confChange(0, id, { id: 0, peerURLs: [url], ...more }) };
}

interface Layout {
  readonly flat?: boolean;
  /** Without the marks of snapshots, as 2.0.0-rc.1 wrote its log. */
  readonly isCandidate?: boolean;
  /** Entries known to be committed; all when left out. */
  readonly commit?: number;
}

/** Writes a directory with these entries and replays it. */
async function replaySteps(steps: readonly Step[], layout: Layout = {}): Promise<Replayed> {
  using dir = new TempDir();
  const home = layout.flat === true ? dir.path : dir.at("member");
  mkdirSync(`${home}/snap`, { recursive: true });
  const withSnapshotMark = layout.isCandidate !== true;
  const wal = new OldWalWriter({ directory: `${home}/wal`, memberId: SELF, withSnapshotMark });
  for (const [i, step] of steps.entries()) {
    if ("conf" in step) wal.entry(i + 1, 1, step.conf, 1);
    else wal.entry(i + 1, 1, "raw" in step ? step.raw : request(step));
  }
  wal.state(1, SELF, layout.commit ?? steps.length);
  wal.close();
  return await replayDirectory(dir.path);
}

const version = (value: string): Step => ({ method: "PUT", path: "/0/version", value });
const put = (path: string, more: Partial<RequestFields> = {}): Step => ({
  method: "PUT",
  path: `/1${path}`,
  ...more,
});
const post: Step = { method: "POST", path: "/1/q", value: "x" };

describe("the rules of a version", () => {
  it("follow the cluster version, and the layout where there is none", () => {
    const rules = (clusterVersion: string | undefined, isFlatLayout = false): string => {
      const found = rulesFor({ clusterVersion, isFlatLayout, hasSnapshotMarks: true });
      return `${String(found.padsInOrderNames)} ${String(found.updateIgnoresConditions)}`;
    };
    assert.equal(rules("2.3.0"), "true false");
    assert.equal(rules("2.2.0"), "true false");
    assert.equal(rules("2.1.0"), "false false");
    assert.equal(rules("3.4.0"), "true false");
    assert.equal(rules(undefined), "false false");
    assert.equal(rules(undefined, true), "false true");
    assert.equal(parseVersion("banana"), undefined);
  });

  it("name in-order keys", async () => {
    const old = await replaySteps([member(SELF, "http://a:1"), version("2.1.0"), post, post]);
    assert.deepEqual([...old.keys.keys()], ["/q", "/q/3", "/q/4"]);
    const late = await replaySteps([member(SELF, "http://a:1"), version("2.3.0"), post]);
    assert.deepEqual([...late.keys.keys()], ["/q", "/q/00000000000000000003"]);
    // An upgraded cluster: the last server replayed the whole log by its own rules.
    const upgraded = await replaySteps([member(SELF, "http://a:1"), post, version("2.3.0")]);
    assert.deepEqual([...upgraded.keys.keys()], ["/q", "/q/00000000000000000002"]);
  });

  it("decide what an update with conditions is", async () => {
    const steps: Step[] = [
      member(SELF, "http://a:1"),
      put("/k", { value: "1" }),
      put("/k", { value: "2", prevExist: true, prevValue: "wrong" }),
    ];
    assert.equal((await replaySteps(steps, { flat: true })).keys.get("/k")?.value, "2");
    const later = await replaySteps(steps);
    assert.equal(later.keys.get("/k")?.value, "1");
    assert.deepEqual(
      later.notices.map(({ code }) => code),
      ["ambiguousUpdate"],
    );
  });
});

describe("replaying requests", () => {
  const self = member(SELF, "http://a:1");

  it("does to the store what 2.3.8 did", async () => {
    const { keys, etcdIndex } = await replaySteps([
      self,
      version("2.3.0"),
      put("/a/b", { value: "1" }),
      put("/a/b", { value: "2", prevValue: "1" }),
      put("/a/b", { value: "never", prevIndex: 99 }),
      put("/a/b", { value: "never", prevExist: false }),
      put("/new", { value: "n", prevExist: false }),
      put("/new", { value: "u", prevExist: true }),
      put("/dir", { dir: true }),
      { method: "DELETE", path: "/1/dir" },
      { method: "DELETE", path: "/1/a", recursive: true },
      { method: "QGET", path: "/1/new" },
      put("/x//y/", { value: "clean" }),
    ]);
    assert.deepEqual([...keys.keys()], ["/dir", "/new", "/x", "/x/y"]);
    assert.equal(keys.get("/new")?.value, "u");
    assert.equal(keys.get("/new")?.createdIndex, 5);
    assert.equal(keys.get("/new")?.modifiedIndex, 6);
    assert.equal(etcdIndex, 9);
  });

  it("deletes everything where 2.0.0-rc.1 did, names of later keys unharmed", async () => {
    const steps: readonly Step[] = [
      self,
      put("/a", { value: "1" }),
      put("/d/b", { value: "2" }),
      put("/_hidden", { value: "3" }),
      { method: "DELETE", path: "/1/", recursive: true, dir: true },
      post,
      put("/later", { value: "x" }),
    ];
    const early = await replaySteps(steps, { flat: true, isCandidate: true });
    // One step per change: the member, three keys, the delete, and then the in-order key.
    assert.deepEqual([...early.keys.keys()], ["/later", "/q", "/q/6"]);
    assert.deepEqual(
      early.notices.map(({ code }) => code),
      ["rootDeleted"],
    );
    const later = await replaySteps(steps, { flat: true });
    assert.ok(later.keys.has("/a") && later.keys.has("/d/b") && later.keys.has("/q/5"));
    assert.deepEqual(later.notices, []);
  });

  it("takes a recursive delete for one of a directory, whether or not it says so", async () => {
    const { keys, etcdIndex } = await replaySteps([
      self,
      put("/d/x", { value: "1" }),
      { method: "DELETE", path: "/1/d", recursive: true },
    ]);
    assert.deepEqual([...keys.keys()], []);
    assert.equal(etcdIndex, 3);
  });

  it("keeps refreshed values and takes the new life", async () => {
    const ns = 4_000_000_000n * 1_000_000_000n;
    const { keys } = await replaySteps([
      self,
      version("2.3.0"),
      put("/k", { value: "kept", expirationNs: ns }),
      put("/k", { prevExist: true, refresh: true, expirationNs: ns + 5_000_000_000n }),
    ]);
    assert.equal(keys.get("/k")?.value, "kept");
    assert.equal(keys.get("/k")?.expiration, "2096-10-02T07:06:45.000");
    assert.equal(keys.get("/k")?.modifiedIndex, 4);
  });

  it("applies what 3.5 says about members and versions, and skips the v3 store", async () => {
    const name = Buffer.concat([bytesField(1, "m1"), bytesField(2, "http://c:1")]);
    const attributes = Buffer.concat([numberField(1, SELF), bytesField(2, name)]);
    const v3Put = Buffer.concat([
      bytesField(4, bytesField(1, "k")),
      bytesField(100, Buffer.alloc(0)),
    ]);
    const ofNobody = bytesField(1301, Buffer.concat([numberField(1, 0xb2n), bytesField(2, name)]));
    const { result, keys, etcdIndex, others } = await replaySteps([
      self,
      { raw: Buffer.concat([bytesField(100, numberField(1, 1)), bytesField(1301, attributes)]) },
      { raw: ofNobody },
      { raw: bytesField(1300, bytesField(1, "3.5.0")) },
      { raw: v3Put },
      put("/k", { value: "v" }),
    ]);
    assert.equal(result.members[0]?.name, "m1");
    assert.deepEqual(result.members[0].clientUrls, ["http://c:1"]);
    assert.equal(others.get("/0/version"), "3.5.0");
    assert.ok(![...others.keys()].some((path) => path.endsWith("b2/attributes")));
    assert.equal(result.v3Entries, 1);
    assert.equal(keys.get("/k")?.createdIndex, 4);
    assert.equal(etcdIndex, 4);
  });
});

describe("membership during a replay", () => {
  const B = 0xb2n;
  const C = 0xc3n;

  it("counts valid changes only: additions 1, updates 1, removals 2", async () => {
    const { result, keys, others } = await replaySteps([
      member(SELF, "http://a:1"),
      member(B, "http://b:1"),
      // Invalid: a known id, a taken URL, an unknown id.
      member(B, "http://other:1"),
      member(C, "http://b:1"),
      { conf: confChange(1, C) },
      { conf: confChange(2, B, { id: 0, peerURLs: ["http://b:2"] }) },
      { conf: confChange(1, B) },
      // An id that was removed never comes back.
      member(B, "http://b:3"),
      put("/k", { value: "v" }),
    ]);
    assert.deepEqual(
      result.members.map(({ id }) => formatId(id)),
      ["a1"],
    );
    assert.deepEqual(result.removedIds.map(formatId), ["b2"]);
    assert.equal(keys.get("/k")?.createdIndex, 6);
    assert.ok(others.has("/0/removed_members/b2"));
    assert.ok(!others.has("/0/members/b2"));
  });

  it("keeps the names that the founding configuration gave, also of members that never started", async () => {
    const { others } = await replaySteps([
      member(SELF, "http://a:1", { name: "infra0" }),
      member(B, "http://b:1", { name: "<infra1>" }),
      member(C, "http://c:1", { name: "" }),
      // What changes a member later does not repeat its name.
      { conf: confChange(2, B, { id: 0, peerURLs: ["http://b:2"] }) },
    ]);
    const part = (id: string): unknown =>
      JSON.parse(others.get(`/0/members/${id}/raftAttributes`) ?? "");
    assert.deepEqual(part("a1"), { peerURLs: ["http://a:1"], name: "infra0" });
    assert.deepEqual(part("b2"), { peerURLs: ["http://b:2"], name: "<infra1>" });
    assert.deepEqual(part("c3"), { peerURLs: ["http://c:1"] });
    assert.ok(!others.has("/0/members/b2/attributes"), "it has not published itself");
  });

  it("knows learners and their promotion", async () => {
    const learner = {
      conf: confChange(3, B, { id: 0, peerURLs: ["http://b:1"], isLearner: true }),
    };
    const before = await replaySteps([member(SELF, "http://a:1"), learner]);
    assert.equal(before.result.members[1]?.isLearner, true);
    const promote = { conf: confChange(0, B, { id: 0, peerURLs: null, isPromote: true }) };
    const { result } = await replaySteps([member(SELF, "http://a:1"), learner, promote]);
    assert.equal(result.members[1]?.isLearner, false);
    assert.deepEqual(result.members[1].peerUrls, ["http://b:1"]);
  });

  it("decides whether uncommitted entries count", async () => {
    const alone = await replaySteps(
      [member(SELF, "http://a:1"), put("/1", { value: "x" }), put("/2", { value: "x" })],
      { commit: 2 },
    );
    assert.deepEqual([...alone.keys.keys()], ["/1", "/2"]);
    const cluster = await replaySteps(
      [
        member(SELF, "http://a:1"),
        member(B, "http://b:1"),
        put("/1", { value: "x" }),
        put("/2", { value: "x" }),
        put("/3", { value: "x" }),
      ],
      { commit: 3 },
    );
    assert.deepEqual([...cluster.keys.keys()], ["/1"]);
    assert.equal(cluster.result.entriesUncommitted, 2);
    assert.equal(cluster.result.raftIndex, 3);
    assert.deepEqual(
      cluster.notices.map(({ code }) => code),
      ["uncommitted"],
    );
  });
});

describe("replaying onto a snapshot", () => {
  it("takes nodes, history, index and membership from it, and goes on", async () => {
    using dir = new TempDir();
    const never = "0001-01-01T00:00:00Z";
    const node = (path: string, created: number, modified: number, rest: object): object => ({
      Path: path,
      CreatedIndex: created,
      ModifiedIndex: modified,
      ExpireTime: never,
      Value: "",
      Children: null,
      ...rest,
    });
    const raftAttributes = JSON.stringify({ peerURLs: ["http://a:1"] });
    const store = {
      Root: node("/", 0, 0, {
        Children: {
          "0": node("/0", 0, 0, {
            Children: {
              members: node("/0/members", 1, 1, {
                Children: {
                  a1: node("/0/members/a1", 1, 1, {
                    Children: {
                      raftAttributes: node("/0/members/a1/raftAttributes", 1, 1, {
                        Value: raftAttributes,
                      }),
                    },
                  }),
                },
              }),
              version: node("/0/version", 2, 2, { Value: "2.3.0" }),
            },
          }),
          "1": node("/1", 0, 0, {
            Children: {
              k: node("/1/k", 3, 9, { Value: "<é>" }),
              t: node("/1/t", 8, 8, { ExpireTime: "2030-01-01T00:00:00.5Z" }),
            },
          }),
        },
      }),
      WatcherHub: {
        EventHistory: {
          Queue: {
            Events: [
              { action: "set", node: { key: "/1/t", modifiedIndex: 8, createdIndex: 8 } },
              { action: "update", node: { key: "/1/k", modifiedIndex: 9, createdIndex: 3 } },
            ],
          },
        },
      },
      CurrentIndex: 9,
      CurrentVersion: 2,
    };
    writeSnapshot2(dir.at("member", "snap"), { index: 100, term: 3 }, [SELF], store);
    const wal = new OldWalWriter({ directory: dir.at("member", "wal"), memberId: SELF });
    wal.snapshotMark(100, 3);
    wal.entry(101, 3, request({ method: "POST", path: "/1/q", value: "x" }));
    const timeNs = BigInt(Date.UTC(2030, 0, 1, 0, 0, 1)) * 1_000_000n;
    wal.entry(102, 4, request({ method: "SYNC", timeNs }));
    wal.state(4, SELF, 102);
    wal.close();
    const { keys, etcdIndex, historyFirstIndex, result } = await replayDirectory(dir.path);
    assert.deepEqual([...keys.keys()], ["/k", "/q", "/q/00000000000000000010"]);
    assert.equal(keys.get("/k")?.value, "<é>");
    assert.equal(keys.get("/k")?.modifiedIndex, 9);
    assert.equal(etcdIndex, 11);
    assert.equal(historyFirstIndex, 8);
    assert.equal(result.raftIndex, 102);
    assert.equal(result.raftTerm, 4);
    assert.equal(result.members.length, 1);
  });
});
