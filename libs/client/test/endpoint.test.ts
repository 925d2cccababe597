/** How the addresses of endpoints are read, and what is left of a key on the wire. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { basicAuthorization, cleanKey, encodeForm, keyPath } from "../src/encoding.ts";
import { isSameServer, parseEndpoint, urlOf } from "../src/endpoint.ts";
import { EndpointError } from "../src/errors.ts";

describe("an endpoint", () => {
  const read = (text: string): unknown[] => {
    const { scheme, host, port, basePath, userInfo } = parseEndpoint(text);
    return [scheme, host, port, basePath, userInfo];
  };

  test("has scheme, host, port, path and credentials, or their defaults", () => {
    const cases: [string, unknown[]][] = [
      ["http://127.0.0.1:2379", ["http", "127.0.0.1", 2379, "", undefined]],
      ["127.0.0.1:2379", ["http", "127.0.0.1", 2379, "", undefined]],
      ["https://host", ["https", "host", 443, "", undefined]],
      ["http://host/", ["http", "host", 80, "", undefined]],
      ["HTTP://Host:1/a/b/", ["http", "Host", 1, "/a/b", undefined]],
      ["http://[::1]:2379", ["http", "::1", 2379, "", undefined]],
      ["http://[fe80::1%eth0]:2379", ["http", "fe80::1%eth0", 2379, "", undefined]],
      ["http://bob:p%40ss@host:1", ["http", "host", 1, "", "bob:p@ss"]],
      ["http://bob:a@b@host:1", ["http", "host", 1, "", "bob:a@b"]],
    ];
    for (const [text, expected] of cases) assert.deepEqual(read(text), expected, text);
  });

  test("keeps names that the URL class of the runtime refuses or rewrites", () => {
    for (const host of ["etcd.1", "my_etcd", "0x7f.1", "010.0.0.1", "node-1.svc"]) {
      assert.deepEqual(read(`http://${host}:2379`), ["http", host, 2379, "", undefined]);
    }
  });

  test("that cannot be asked is refused in one line, without its password", () => {
    const texts = ["", "http://", "ftp://host", "http://a b", "http://host:99999", "http://host:0"];
    for (const text of [...texts, "http://h?x=1", "http://h:80:80", "http://h:x", "unix://x"]) {
      assert.throws(() => parseEndpoint(text), EndpointError, text);
    }
    assert.throws(
      () => parseEndpoint("http://bob:secret@host:99999"),
      (error) => error instanceof Error && !error.message.includes("secret"),
    );
    assert.equal(parseEndpoint("http://bob:secret@host:1").text, "http://host:1");
  });

  test("is compared by scheme, host and port, and made a URL again", () => {
    assert.ok(isSameServer(parseEndpoint("http://HOST"), parseEndpoint("http://host:80/base")));
    assert.ok(!isSameServer(parseEndpoint("http://host"), parseEndpoint("https://host")));
    assert.equal(urlOf(parseEndpoint("http://[::1]:1"), "/x?y"), "http://[::1]:1/x?y");
  });
});

describe("on the wire", () => {
  test("a key is absolute, clean and below the root, every odd byte escaped", () => {
    const cases: [string, string][] = [
      ["", "/v2/keys/"],
      ["/", "/v2/keys/"],
      ["a", "/v2/keys/a"],
      ["//a///b/", "/v2/keys/a/b"],
      ["/a/./b/../c", "/v2/keys/a/c"],
      ["/../../v2/members", "/v2/keys/v2/members"],
      ["/a b?c#d%e+f&g", "/v2/keys/a%20b%3Fc%23d%25e%2Bf%26g"],
      ["/ü", "/v2/keys/%C3%BC"],
    ];
    for (const [key, path] of cases) assert.equal(keyPath(key), path);
    assert.equal(cleanKey("..."), "/...");
  });

  test("a form holds its fields in order, without those that are undefined", () => {
    const value = Uint8Array.of(0xff, 0x00, 0x61);
    assert.equal(
      encodeForm({ a: "x y", none: undefined, n: 5, big: 2n ** 64n - 1n, yes: true, value }),
      "a=x%20y&n=5&big=18446744073709551615&yes=true&value=%FF%00a",
    );
  });

  test("credentials are UTF-8 in base64", () => {
    assert.equal(
      basicAuthorization("bob:wörd"),
      `Basic ${Buffer.from("bob:wörd").toString("base64")}`,
    );
  });
});
