import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seedOfRun } from "@etcd2/test-support";
import { escapeJson, parseUrl, quote, UrlError } from "../src/index.ts";

const seed = seedOfRun();

describe("a URL", () => {
  const hosts: [url: string, hostname: string, port: string, text: string][] = [
    ["http://etcd.1:2380", "etcd.1", "2380", "http://etcd.1:2380"],
    ["http://a_b:1", "a_b", "1", "http://a_b:1"],
    ["http://010.0.0.1:1", "010.0.0.1", "1", "http://010.0.0.1:1"],
    ["http://127.1:1", "127.1", "1", "http://127.1:1"],
    ["http://0x7f.1:1", "0x7f.1", "1", "http://0x7f.1:1"],
    ["http://1.2.3.4.5:1", "1.2.3.4.5", "1", "http://1.2.3.4.5:1"],
    ["http://256.1.1.1:1", "256.1.1.1", "1", "http://256.1.1.1:1"],
    ["HTTP://Host.Example.:80", "Host.Example.", "80", "http://Host.Example.:80"],
    ["http://[fe80::1%25eth0]:1", "fe80::1%eth0", "1", "http://[fe80::1%25eth0]:1"],
    ["http://[fe80::1%25e%20h]:1", "fe80::1%e h", "1", "http://[fe80::1%25e%20h]:1"],
    ["http://[0:0::1]:1", "0:0::1", "1", "http://[0:0::1]:1"],
    ["http://:1", "", "1", "http://:1"],
    ["http://a:", "a", "", "http://a:"],
    ["http://a:99999", "a", "99999", "http://a:99999"],
    ["http://a<b:1", "a<b", "1", "http://a<b:1"],
    ["http://\u00e9:1", "\u00e9", "1", "http://%C3%A9:1"],
    ["http://%C3%A9:1", "\u00e9", "1", "http://%C3%A9:1"],
    ["http://xn--9ca:1", "xn--9ca", "1", "http://xn--9ca:1"],
    ["http://a:1?x=%zz", "a", "1", "http://a:1?x=%zz"],
    ["http://a:1/b%2Fc#d", "a", "1", "http://a:1/b%2Fc#d"],
  ];
  for (const [url, hostname, port, text] of hosts) {
    test(`${url} names the host "${hostname}"`, () => {
      const parsed = parseUrl(url);
      assert.deepEqual([parsed.hostname, parsed.port, parsed.text], [hostname, port, text]);
    });
  }

  test("names a user, whose password may hold anything that is escaped", () => {
    assert.deepEqual(parseUrl("http://me:p%40s:s@h:1").user, { name: "me", password: "p@s:s" });
    assert.deepEqual(parseUrl("http://me@h:1").user, { name: "me", password: undefined });
    assert.equal(parseUrl("http://h:1").user, undefined);
  });

  test("without slashes after its scheme is opaque", () => {
    assert.equal(parseUrl("localhost:2379").opaque, "2379");
    assert.equal(parseUrl("http:a:1").host, "");
  });

  test("read from its own text again is the same", () => {
    for (const [url] of hosts) {
      const { text } = parseUrl(url);
      assert.equal(parseUrl(text).text, text);
    }
  });

  test("may be a path that begins with an address where that is asked for", () => {
    assert.equal(parseUrl("127.0.0.1:4001", { mayStartWithColon: true }).path, "127.0.0.1:4001");
  });

  const refused: [url: string, complaint: string][] = [
    ["http://%41:1", 'parse "http://%41:1": invalid URL escape "%41"'],
    ["http://a%41:1", 'parse "http://a%41:1": invalid URL escape "%41"'],
    ["http://a%:1", 'parse "http://a%:1": invalid URL escape "%:1"'],
    ["http://[::1%eth0]:1", 'parse "http://[::1%eth0]:1": invalid URL escape "%et"'],
    ["http://a b:1", 'parse "http://a b:1": invalid character " " in host name'],
    ["http://a\\b:1", 'parse "http://a\\\\b:1": invalid character "\\\\" in host name'],
    ["http://a^b:1", 'parse "http://a^b:1": invalid character "^" in host name'],
    ["http://[::1:1", "parse \"http://[::1:1\": missing ']' in host"],
    ["http://a:x", 'parse "http://a:x": invalid port ":x" after host'],
    ["http://[::1]x", 'parse "http://[::1]x": invalid port "x" after host'],
    ["http://a:-1", 'parse "http://a:-1": invalid port ":-1" after host'],
    ["http://u ser@a:1", 'parse "http://u ser@a:1": net/url: invalid userinfo'],
    ["127.0.0.1:1", 'parse "127.0.0.1:1": first path segment in URL cannot contain colon'],
    ["1http://a:1", 'parse "1http://a:1": first path segment in URL cannot contain colon'],
    ["[::1]:1", 'parse "[::1]:1": first path segment in URL cannot contain colon'],
    [":1", 'parse ":1": missing protocol scheme'],
    ["://a:1", 'parse "://a:1": missing protocol scheme'],
    ["http://a:1/%zz", 'parse "http://a:1/%zz": invalid URL escape "%zz"'],
    ["http://a:1/%4", 'parse "http://a:1/%4": invalid URL escape "%4"'],
    ["http://a:1/%zz#f", 'parse "http://a:1/%zz": invalid URL escape "%zz"'],
    ["http://a:1#%zz", 'parse "http://a:1#%zz": invalid URL escape "%zz"'],
    ["http://a\n:1", 'parse "http://a\\n:1": net/url: invalid control character in URL'],
  ];
  for (const [url, message] of refused) {
    test(`${JSON.stringify(url)} is refused in etcd 2.3.8's words`, () => {
      assert.throws(() => parseUrl(url), new UrlError(message));
    });
  }

  test("an escaped percent sign is taken in a host", () => {
    assert.equal(parseUrl("http://a%25b:1").hostname, "a%b");
  });

  test("no text at all makes the reader fail in another way, or gives another text when read again", () => {
    let state = seed + 1;
    const next = (below: number): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
    const alphabet = [
      "a",
      ":",
      "/",
      "?",
      "#",
      "@",
      "%",
      "[",
      "]",
      ".",
      "é",
      "😀",
      " ",
      "\\",
      "\0",
      "2",
      "%25",
      "%C3%A9",
    ];
    for (let run = 0; run < 5000; run++) {
      const given = Array.from({ length: next(12) }, () => alphabet[next(alphabet.length)]).join(
        "",
      );
      try {
        const { text, host, user, query } = parseUrl(`http://${given}`);
        const again = parseUrl(text);
        assert.deepEqual(
          [again.text, again.host, again.user, again.query],
          [text, host, user, query],
          given,
        );
      } catch (error) {
        assert.ok(error instanceof UrlError, `${quote(given)}: ${String(error)}`);
      }
    }
  });
});

test("JSON is escaped as Go does for HTML, and nothing else is", () => {
  const json = JSON.stringify({ "<a>": "b & c\u2028\u2029", é: "'/\u{1f600}" });
  const expected = '{"\\u003ca\\u003e":"b \\u0026 c\\u2028\\u2029","é":"\'/\u{1f600}"}';
  assert.equal(escapeJson(json), expected);
  assert.deepEqual(JSON.parse(escapeJson(json)), JSON.parse(json));
});
