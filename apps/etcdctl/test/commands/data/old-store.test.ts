import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { OldStore } from "../../../src/commands/data/old-store.ts";
import { fixtures } from "../../support/transcripts.ts";

const now = Date.parse("2020-01-01T00:00:00Z");

function store(children: object): OldStore {
  return OldStore.parse(JSON.stringify({ Root: { Path: "/", Children: children } }));
}

describe("the store of a 0.4 server", () => {
  test("is walked in order, directories first, hidden names left out", () => {
    const old = store({
      b: { Value: "2", Children: null },
      _hidden: { Value: "x" },
      a: { Children: { z: { Value: "1" }, _h: { Children: {} } } },
      empty: { Children: {} },
    });
    assert.deepEqual(
      [...old.walk("/", now)],
      [
        { kind: "directory", key: "/" },
        { kind: "directory", key: "/a" },
        { kind: "key", key: "/a/z", value: "1", ttl: 0 },
        { kind: "key", key: "/b", value: "2", ttl: 0 },
        { kind: "directory", key: "/empty" },
      ],
    );
  });

  test("shows a hidden directory only when it is named", () => {
    const old = store({ _secret: { Children: { k: { Value: "v" } } } });
    const walked = [...old.walk("_secret/", now)];
    assert.deepEqual(walked.at(-1), { kind: "key", key: "/_secret/k", value: "v", ttl: 0 });
    assert.throws(() => [...old.walk("/nope", now)], /100: Key not found \(\/nope\)/);
  });

  const times: [string, number][] = [
    ["0001-01-01T00:00:00Z", 0],
    ["2020-01-01T00:01:00Z", 60],
    ["2020-01-01T00:00:00.5Z", 1],
    ["2019-12-31T23:59:00Z", -60],
    ["2020-01-01T00:00:00Z", -1],
    ["nonsense", 0],
  ];
  for (const [time, ttl] of times) {
    test(`an expiry of ${time} leaves ${ttl} seconds`, () => {
      const [, entry] = store({ k: { Value: "v", ExpireTime: time } }).walk("/", now);
      assert.deepEqual(entry, { kind: "key", key: "/k", value: "v", ttl });
    });
  }

  test("is empty when the text holds none, and refused when it is no JSON", () => {
    assert.deepEqual([...OldStore.parse("{}").walk("/", now)], [{ kind: "directory", key: "/" }]);
    assert.deepEqual([...OldStore.parse("null").walk("/", now)], [{ kind: "directory", key: "/" }]);
    assert.throws(() => OldStore.parse("\x01\x02"), /not the JSON of a store/);
  });

  test("that a real server saved has all its visible keys", () => {
    const text = readFileSync(join(fixtures, "data/store-0.4.json"), "utf8");
    const keys = [...OldStore.parse(text).walk("/", now)].filter(({ kind }) => kind === "key");
    assert.equal(keys.length, 10);
  });
});
