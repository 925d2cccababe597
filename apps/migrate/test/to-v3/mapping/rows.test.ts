import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KeySpace } from "@etcd2/v3";
import { EventRows } from "../../../src/to-v3/target/event-rows.ts";
import { PathMap } from "../../../src/to-v3/mapping/path-map.ts";
import { RowMaker } from "../../../src/to-v3/mapping/rows.ts";
import type { DirectoryMode, RowOptions, SourceNode } from "../../../src/to-v3/mapping/rows.ts";

function options(directories: DirectoryMode, strip?: string): RowOptions {
  return { space: new KeySpace("/v2"), paths: new PathMap({ strip }), directories };
}

function file(path: string, expirationMs?: number): SourceNode {
  return { path, dir: false, value: "\xff\x00v", expirationMs };
}

function directory(path: string, expirationMs?: number): SourceNode {
  return { path, dir: true, value: "", expirationMs };
}

describe("the rows of nodes", () => {
  it("carry values byte for byte under the prefix", () => {
    const rows = new RowMaker(options("none")).rows(file("/a/b"));
    assert.deepEqual(rows, [{ key: "/v2/a/b", value: "\xff\x00v", expirationMs: undefined }]);
  });

  it("leave directories out, but not what their lives mean for the keys in them", () => {
    const maker = new RowMaker(options("none"));
    assert.deepEqual(maker.rows(directory("/d", 5000)), []);
    assert.equal(maker.rows(file("/d/early", 3000))[0]?.expirationMs, 3000);
    assert.equal(maker.rows(file("/d/late", 9000))[0]?.expirationMs, 5000);
    assert.equal(maker.rows(file("/d/permanent"))[0]?.expirationMs, 5000);
    assert.equal(maker.rows(file("/d2"))[0]?.expirationMs, undefined);
  });

  it("mark directories with records that a v2 gateway reads, and their lives with a key", () => {
    const maker = new RowMaker(options("marker"));
    assert.deepEqual(maker.rows(directory("/d")), [
      { key: "/v2.etcd2/d/d", value: '{"action":"set"}', expirationMs: undefined },
    ]);
    assert.deepEqual(
      maker.rows(directory("/e", 5000)).map(({ key, expirationMs }) => [key, expirationMs]),
      [
        ["/v2.etcd2/d/e", undefined],
        ["/v2.etcd2/t/e", 5000],
      ],
    );
    assert.equal(maker.rows(file("/e/x"))[0]?.expirationMs, undefined);
  });

  it("keep the in-order names of a v2 gateway behind those there are", () => {
    const maker = new RowMaker(options("marker"));
    const name = (n: number): string => String(n).padStart(20, "0");
    for (const path of [`/q/${name(7)}`, `/q/${name(9)}`, `/q/${name(8)}`, `/${name(3)}`, "/q/x"]) {
      maker.rows(file(path));
    }
    assert.deepEqual(
      maker.sequences().map(({ key, value }) => [key, value]),
      [
        ["/v2.etcd2/s/q", name(9)],
        ["/v2.etcd2/s", name(3)],
      ],
    );
    const rows = new EventRows(options("marker"));
    rows.knowDirectory("/q", undefined);
    rows.knowFile(`/q/${name(9)}`);
    const keys = (n: number): readonly string[] => {
      const event = { key: `/q/${name(n)}`, dir: false, isRemoval: false, value: "" };
      const changes = rows.changes(event, undefined);
      return changes === "copy" ? ["copy"] : changes.map(({ key }) => key);
    };
    assert.deepEqual(keys(8), [`/v2/q/${name(8)}`]);
    assert.deepEqual(keys(12), [`/v2/q/${name(12)}`, "/v2.etcd2/s/q"]);
  });

  it("are none for a key whose whole name was taken off", () => {
    assert.deepEqual(new RowMaker(options("marker", "/a")).rows(file("/a")), []);
    assert.deepEqual(new RowMaker(options("marker", "/a")).rows(directory("/a")), []);
  });
});

describe("the changes of events", () => {
  const set = { dir: false, isRemoval: false, value: "x" };

  it("mark the directories that a write made on its way, once", () => {
    const rows = new EventRows(options("marker"));
    const keys = (path: string): readonly string[] => {
      const changes = rows.changes({ ...set, key: path }, undefined);
      return changes === "copy" ? ["copy"] : changes.map(({ key }) => key);
    };
    assert.deepEqual(keys("/a/b/c"), ["/v2.etcd2/d/a", "/v2.etcd2/d/a/b", "/v2/a/b/c"]);
    assert.deepEqual(keys("/a/b/d"), ["/v2/a/b/d"]);
    rows.forgetBelow("/a/b");
    assert.deepEqual(keys("/a/b/d"), ["/v2.etcd2/d/a/b", "/v2/a/b/d"]);
  });

  it("give new keys the life of their directory", () => {
    const rows = new EventRows(options("none"));
    rows.knowDirectory("/a", 7000);
    const changes = rows.changes({ ...set, key: "/a/b" }, undefined);
    assert.ok(changes !== "copy");
    assert.equal(changes[0]?.row?.expirationMs, 7000);
  });

  it("ask for a copy when a directory's life changes for the keys in it", () => {
    const rows = new EventRows(options("none"));
    rows.knowDirectory("/a", undefined);
    const update = { key: "/a", dir: true, isRemoval: false, value: "" };
    assert.equal(rows.changes(update, 9000), "copy");
    assert.notEqual(rows.changes(update, 9000), "copy");
  });

  it("remove the file whose place a directory takes", () => {
    const rows = new EventRows(options("none"));
    const changes = rows.changes({ key: "/f", dir: true, isRemoval: false, value: "" }, undefined);
    assert.deepEqual(changes, [{ key: "/v2/f", row: undefined, guard: { atMost: 0 } }]);
  });
});
