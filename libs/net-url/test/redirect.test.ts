import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { redirectTarget, UrlError } from "../src/index.ts";

describe("a redirect", () => {
  const from = { scheme: "http", host: "etcd.1", port: 2379, path: "/v2/keys/a?wait=true" };
  const led: [location: string, scheme: string, host: string, port: number, path: string][] = [
    ["http://etcd.2:2379/v2/keys/a?x=1", "http", "etcd.2", 2379, "/v2/keys/a?x=1"],
    ["https://[fe80::1%25lo]/b", "https", "fe80::1%lo", 443, "/b"],
    ["http://a", "http", "a", 80, "/"],
    ["//b:1/c", "http", "b", 1, "/c"],
    ["/c/./d/../e", "http", "etcd.1", 2379, "/c/e"],
    ["f", "http", "etcd.1", 2379, "/v2/keys/f"],
    ["../g?h", "http", "etcd.1", 2379, "/v2/g?h"],
    ["?i=\u00e9 j", "http", "etcd.1", 2379, "/v2/keys/a?i=%C3%A9%20j"],
    ["", "http", "etcd.1", 2379, "/v2/keys/a?wait=true"],
    ["/k l\u00e9", "http", "etcd.1", 2379, "/k%20l%C3%A9"],
    ["/m%2Fn", "http", "etcd.1", 2379, "/m%2Fn"],
    ["http:p", "http", "", 80, "/"],
  ];
  for (const [location, scheme, host, port, path] of led) {
    test(`to "${location}" leads to ${scheme} ${host} ${port} ${path}`, () => {
      assert.deepEqual(redirectTarget(from, location), { scheme, host, port, path });
    });
  }

  test("to what is no URL is refused", () => {
    assert.throws(() => redirectTarget(from, "http://%41"), UrlError);
  });
});
