import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  AddressError,
  bindHost,
  certificateName,
  checkedUrls,
  dialHost,
  hostHeader,
  portOf,
  socketUrl,
  splitHostPort,
} from "../src/index.ts";

describe("the URLs of a member", () => {
  test("are trimmed and sorted, their scheme in lower case", () => {
    const given = [" http://b:2 ", "https://[::1]:1", "HTTP://a:1", "http://[fe80::1%25eth0]:1"];
    assert.deepEqual(
      checkedUrls(given).map(({ text }) => text),
      ["http://[fe80::1%25eth0]:1", "http://a:1", "http://b:2", "https://[::1]:1"],
    );
  });

  const refused: [url: string, complaint: string][] = [
    ["", "URL scheme must be http or https: "],
    ["bad", "URL scheme must be http or https: bad"],
    ["a:1", "URL scheme must be http or https: a:1"],
    ["http:/a:1", 'URL address does not have the form "host:port": http:/a:1'],
    ["unix://a:1", "URL scheme must be http or https: unix://a:1"],
    ["http://", 'URL address does not have the form "host:port": http://'],
    ["http:", 'URL address does not have the form "host:port": http:'],
    ["http:a:1", 'URL address does not have the form "host:port": http:a:1'],
    ["http://a", 'URL address does not have the form "host:port": http://a'],
    ["http://[::1]", 'URL address does not have the form "host:port": http://[::1]'],
    ["http://::1:1", 'URL address does not have the form "host:port": http://::1:1'],
    ["http://a:1/", "URL must not contain a path: http://a:1/"],
    ["http://%41:1", 'parse "http://%41:1": invalid URL escape "%41"'],
  ];
  for (const [url, message] of refused) {
    test(`"${url}" is refused in etcd 2.3.8's words`, () => {
      assert.throws(() => checkedUrls(["http://ok:1", url]), new AddressError(message));
    });
  }

  const useless: [url: string, complaint: string][] = [
    ["http://u@a:1", "URL must not contain a user, query or fragment: http://u@a:1"],
    ["http://a:1?x", "URL must not contain a user, query or fragment: http://a:1?x"],
    ["http://a:1?", "URL must not contain a user, query or fragment: http://a:1?"],
    ["http://a:1#x", "URL must not contain a user, query or fragment: http://a:1#x"],
    ["http://a:65536", "URL does not have a valid port: http://a:65536"],
    ["http://a:", "URL does not have a valid port: http://a:"],
  ];
  for (const [url, message] of useless) {
    test(`"${url}" is a URL that no member can be reached by`, () => {
      assert.equal(checkedUrls([url]).length, 1);
      assert.throws(() => checkedUrls([url], socketUrl), new AddressError(message));
    });
  }

  test("are not none", () => {
    assert.throws(() => checkedUrls([]), new AddressError("no valid URLs given"));
  });
});

describe("host and port", () => {
  test("are split at the last colon, where there is one and no other", () => {
    assert.deepEqual(splitHostPort("etcd.1:2"), { host: "etcd.1", port: "2" });
    assert.deepEqual(splitHostPort("[fe80::1%lo]:2"), { host: "fe80::1%lo", port: "2" });
    assert.deepEqual(splitHostPort(":2"), { host: "", port: "2" });
    for (const text of ["", "a", "::1", "[::1]", "[::1]2", "a]:1", "[a:1", "[[a]:1", "a:b:1"]) {
      assert.equal(splitHostPort(text), undefined, text);
    }
  });

  test("have the port of the scheme where none is given", () => {
    assert.equal(portOf({ scheme: "https", port: "" }), 443);
    assert.equal(portOf({ scheme: "http", port: "" }), 80);
    assert.equal(portOf({ scheme: "http", port: "0081" }), 81);
  });
});

describe("the host to connect to", () => {
  const dialled: [host: string, dialled: string][] = [
    ["etcd.1", "etcd.1"],
    ["Host_A.", "Host_A."],
    ["010.0.0.1", "10.0.0.1"],
    ["127.000.000.010", "127.0.0.10"],
    ["300.0.0.1", "300.0.0.1"],
    ["127.1", "127.1"],
    ["fe80::1%lo", "fe80::1%lo"],
    ["[::1]", "::1"],
    ["LocalHost.", "127.0.0.1"],
    ["localhost.lan", "localhost.lan"],
    ["", "127.0.0.1"],
  ];
  for (const [host, expected] of dialled) {
    test(`of "${host}" is ${expected}`, () => {
      assert.equal(dialHost(host), expected);
      if (host !== "") assert.equal(bindHost(host), expected);
    });
  }

  test("is named in requests with its port and without a zone", () => {
    assert.equal(hostHeader("etcd.1:2"), "etcd.1:2");
    assert.equal(hostHeader("[fe80::1%eth0]:2"), "[fe80::1]:2");
    assert.equal(hostHeader("b\u00fccher.example:2"), "xn--bcher-kva.example:2");
    assert.equal(hostHeader("a b"), "");
  });

  test("of no name to bind is every interface", () => {
    assert.equal(bindHost(""), "");
  });

  test("is not what a certificate is for where a name or a zone was given", () => {
    assert.equal(certificateName("localhost"), "localhost");
    assert.equal(certificateName("etcd.1."), "etcd.1");
    assert.equal(certificateName("fe80::1%eth0"), "fe80::1");
    assert.equal(certificateName("010.0.0.1"), "10.0.0.1");
  });
});
