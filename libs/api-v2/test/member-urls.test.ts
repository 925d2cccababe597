import assert from "node:assert/strict";
import { test } from "node:test";
import { MemberUrlError, parseMemberUrls } from "../src/member-urls.ts";

test("good URLs come back trimmed and sorted", () => {
  assert.deepEqual(parseMemberUrls([" http://b:2 ", "https://[::1]:1", "HTTP://a:"]), [
    "http://a:",
    "http://b:2",
    "https://[::1]:1",
  ]);
});

test("the first bad URL is answered with the original's text", () => {
  const cases: [string, string][] = [
    ["", "URL scheme must be http or https: "],
    ["bad", "URL scheme must be http or https: bad"],
    ["unix://a:1", "URL scheme must be http or https: unix://a:1"],
    ["127.0.0.1:1", 'parse "127.0.0.1:1": first path segment in URL cannot contain colon'],
    [":1", 'parse ":1": missing protocol scheme'],
    ["http://a", 'URL address does not have the form "host:port": http://a'],
    ["http:", 'URL address does not have the form "host:port": http:'],
    ["http://a:b", 'parse "http://a:b": invalid port ":b" after host'],
    ["http://a:1/", "URL must not contain a path: http://a:1/"],
    ["http://a:1/%zz", 'parse "http://a:1/%zz": invalid URL escape "%zz"'],
    ["http://::1:1", 'URL address does not have the form "host:port": http://::1:1'],
  ];
  for (const [url, message] of cases) {
    assert.throws(() => parseMemberUrls(["http://ok:1", url]), new MemberUrlError(message), url);
  }
  assert.throws(() => parseMemberUrls([]), new MemberUrlError("no valid URLs given"));
});
