import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatEvent } from "../../src/output/format.ts";
import { decodeKeysResponse } from "../../src/api/wire.ts";

function decode(event: object, index = "12"): ReturnType<typeof decodeKeysResponse> {
  return decodeKeysResponse(200, index, Buffer.from(JSON.stringify(event)));
}

const set = decode({
  action: "set",
  node: { key: "/k", value: "new", modifiedIndex: 12, createdIndex: 11, ttl: 5 },
  prevNode: { key: "/k", value: "old", modifiedIndex: 10, createdIndex: 9 },
});

describe("printed events", () => {
  test("simple is the value", () => {
    assert.deepEqual(formatEvent(set, "simple"), { out: "new\n", err: "" });
  });

  test("extended has a line for each fact, then the value", () => {
    assert.equal(
      formatEvent(set, "extended").out,
      "Key: /k\nCreated-Index: 11\nModified-Index: 12\nPrevNode.Value: old\nTTL: 5\nIndex: 12\n\nnew\n",
    );
  });

  test("a deletion shows what was deleted and no value", () => {
    const event = decode({
      action: "delete",
      node: { key: "/k", modifiedIndex: 13, createdIndex: 11 },
      prevNode: { key: "/k", value: "old", modifiedIndex: 12, createdIndex: 11 },
    });
    assert.equal(formatEvent(event, "simple").out, "PrevNode.Value: old\n");
    assert.match(formatEvent(event, "extended").out, /PrevNode.Value: old\nTTL: 0\nIndex: 12\n$/);
  });

  test("a deletion without the previous node does not fail", () => {
    const event = decode({ action: "delete", node: { key: "/k" } });
    assert.equal(formatEvent(event, "simple").out, "PrevNode.Value: \n");
  });

  test("json has the members in order, lists as given, times without trailing zeros", () => {
    const event = decode({
      action: "get",
      node: {
        dir: true,
        key: "/d",
        nodes: [
          { key: "/d/<", value: "&\u2028", expiration: "2030-01-02T03:04:05.120000000Z", ttl: 3 },
          { key: "/d/e", dir: true, nodes: [], expiration: "2030-01-02T03:04:05.000+01:00" },
        ],
      },
    });
    assert.equal(
      formatEvent(event, "json").out,
      '{"action":"get","node":{"key":"/d","dir":true,"value":"","nodes":[' +
        '{"key":"/d/\\u003c","value":"\\u0026\\u2028","nodes":null,"createdIndex":0,' +
        '"modifiedIndex":0,"expiration":"2030-01-02T03:04:05.12Z","ttl":3},' +
        '{"key":"/d/e","dir":true,"value":"","nodes":[],"createdIndex":0,"modifiedIndex":0,' +
        '"expiration":"2030-01-02T03:04:05+01:00"}],' +
        '"createdIndex":0,"modifiedIndex":0},"prevNode":null}\n',
    );
  });

  test("an unknown format is a complaint", () => {
    assert.deepEqual(formatEvent(set, "yaml"), {
      out: "",
      err: "Unsupported output format: yaml\n",
    });
  });
});

describe("answers that are none", () => {
  const junk = ["<html>", "null x", "[1]", '"text"', "17"];
  for (const body of junk) {
    test(`${body} is no answer of an etcd`, () => {
      assert.throws(
        () => decodeKeysResponse(200, undefined, Buffer.from(body)),
        /client: response is invalid json/,
      );
    });
  }

  test("members of another kind are taken as missing", () => {
    const { node, prevNode, action } = decode({
      action: 5,
      node: { key: [], ttl: "x" },
      prevNode: 7,
    });
    assert.deepEqual([action, node.key, node.ttl, prevNode], ["", "", 0, undefined]);
  });

  test("an error keeps code, message, cause and index", () => {
    const body = '{"errorCode":101,"message":"Compare failed","cause":"[a != b]","index":9}';
    assert.throws(() => decodeKeysResponse(412, "9", Buffer.from(body)), {
      message: "101: Compare failed ([a != b]) [9]",
    });
  });
});
