import assert from "node:assert/strict";
import type { SrvRecord } from "node:dns";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seedOfRun } from "@etcd2/test-support";
import {
  chosenEndpoints,
  listedEndpoints,
  parseEndpoint,
  shuffled,
} from "../../src/net/endpoints.ts";
import { ClientError } from "../../src/errors/errors.ts";
import { Failure } from "../../src/errors/exit-codes.ts";
import { type FlagValues, parseFlags } from "../../src/cli/flags.ts";
import { globalFlags } from "../../src/cli/global-flags.ts";
import { parsePeerUrls } from "../../src/commands/members/peer-urls.ts";
import { lookUpEndpoints } from "../../src/net/srv-records.ts";

const seed = seedOfRun();

function globals(...words: readonly string[]): FlagValues {
  return parseFlags(globalFlags, words).values;
}

describe("the text of an endpoint", () => {
  const usable: [text: string, shown: string, host: string, port: number, basePath: string][] = [
    ["http://127.0.0.1:2379", "http://127.0.0.1:2379", "127.0.0.1", 2379, ""],
    ["127.0.0.1:4001", "http://127.0.0.1:4001", "127.0.0.1", 4001, ""],
    ["127.0.0.1", "http://127.0.0.1", "127.0.0.1", 80, ""],
    ["http://etcd.1:2379", "http://etcd.1:2379", "etcd.1", 2379, ""],
    ["http://010.0.0.1:2379", "http://010.0.0.1:2379", "010.0.0.1", 2379, ""],
    ["http://[fe80::1%25lo]:2379", "http://[fe80::1%25lo]:2379", "fe80::1%lo", 2379, ""],
    ["example.com", "http://example.com", "example.com", 80, ""],
    ["host_1:2379", "http://host_1:2379", "host_1", 2379, ""],
    ["//example.com:1", "http://example.com:1", "example.com", 1, ""],
    ["https://example.com", "https://example.com", "example.com", 443, ""],
    ["HTTP://Example.com:80/", "http://Example.com:80/", "Example.com", 80, ""],
    ["http://[::1]:2379", "http://[::1]:2379", "::1", 2379, ""],
    ["[::1]:2379", "http://[::1]:2379", "::1", 2379, ""],
    ["http://h:1/proxy/a%20b/", "http://h:1/proxy/a%20b/", "h", 1, "/proxy/a b"],
  ];
  for (const [text, shown, host, port, basePath] of usable) {
    test(`${text} leads to ${host} port ${port}`, () => {
      const endpoint = parseEndpoint(text);
      assert.equal(endpoint.text, shown);
      assert.equal(endpoint.host, host);
      assert.equal(endpoint.port, port);
      assert.equal(endpoint.basePath, basePath);
    });
  }

  test("a name with a port but no scheme is read as a scheme", () => {
    assert.equal(parseEndpoint("localhost:2379").scheme, "localhost");
    assert.equal(parseEndpoint("ftp://127.0.0.1:1").scheme, "ftp");
  });

  test("an address may carry a user", () => {
    assert.equal(parseEndpoint("http://me:p%40ss@h:1").userInfo, "me:p@ss");
  });

  test("empty text has no host and is shown as etcdctl 2.3.8 shows it", () => {
    assert.equal(parseEndpoint("").host, "");
    assert.equal(parseEndpoint("").text, "http:");
  });

  test("a port above the highest is kept, for the connection to fail", () => {
    const { text, host, port, basePath } = parseEndpoint("http://h:99999/x");
    assert.deepEqual([text, host, port, basePath], ["http://h:99999/x", "h", 99_999, "/x"]);
  });

  const refused: [text: string, complaint: string][] = [
    [":2379", 'parse ":2379": missing protocol scheme'],
    ["http://h:x", 'parse "http://h:x": invalid port ":x" after host'],
    ["http://[::1", "parse \"http://[::1\": missing ']' in host"],
    ["http://a b", 'parse "http://a b": invalid character " " in host name'],
    ["%zz", 'parse "%zz": invalid URL escape "%zz"'],
    ["http://h:1/%4", 'parse "http://h:1/%4": invalid URL escape "%4"'],
    ["http://h\n", 'parse "http://h\\n": net/url: invalid control character in URL'],
  ];
  for (const [text, message] of refused) {
    test(`${JSON.stringify(text)} is refused in etcdctl 2.3.8's words`, () => {
      assert.throws(() => parseEndpoint(text), { name: "ClientError", message });
    });
  }

  test("no text at all makes the reader fail in another way", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        try {
          parseEndpoint(text);
        } catch (error) {
          assert.ok(error instanceof ClientError, String(error));
        }
      }),
      { seed, numRuns: 500 },
    );
  });
});

describe("the list of endpoints", () => {
  const env = {
    ETCDCTL_ENDPOINTS: "http://e1",
    ETCDCTL_ENDPOINT: "http://e2",
    ETCDCTL_PEERS: "http://e3",
  };
  test("the options and variables count in their order", () => {
    const all = ["--endpoints", "http://f1", "--endpoint", "http://f2", "-C", "http://f3"];
    assert.deepEqual(listedEndpoints(globals(...all), env), ["http://f1"]);
    assert.deepEqual(listedEndpoints(globals(...all.slice(2)), env), ["http://e1"]);
    const later = { ETCDCTL_ENDPOINT: env.ETCDCTL_ENDPOINT, ETCDCTL_PEERS: env.ETCDCTL_PEERS };
    assert.deepEqual(listedEndpoints(globals(...all.slice(2)), later), ["http://f2"]);
    assert.deepEqual(listedEndpoints(globals(...all.slice(4)), later), ["http://e2"]);
    assert.deepEqual(listedEndpoints(globals(...all.slice(4)), { ETCDCTL_PEERS: "x" }), [
      "http://f3",
    ]);
    assert.deepEqual(listedEndpoints(globals(), { ETCDCTL_PEERS: "http://e3" }), ["http://e3"]);
  });

  test("an empty variable counts as unset, and then the default holds", () => {
    assert.deepEqual(listedEndpoints(globals(), { ETCDCTL_ENDPOINTS: "" }), [
      "http://127.0.0.1:2379",
      "http://127.0.0.1:4001",
    ]);
  });

  test("the list is split at commas without trimming", () => {
    assert.deepEqual(listedEndpoints(globals("--endpoints", "a, b"), {}), ["a", " b"]);
  });

  test("a text that cannot be read ends the program with 1", async () => {
    await assert.rejects(
      chosenEndpoints(globals("--endpoints", ":2379"), {}),
      (error) =>
        error instanceof Failure &&
        error.exitCode === 1 &&
        error.text === 'parse ":2379": missing protocol scheme\n',
    );
  });

  test("shuffling keeps every endpoint and can put each first", () => {
    const list = ["a", "b", "c"];
    const firsts = new Set<string | undefined>();
    for (const [first, second] of [0, 0.4, 0.9].flatMap((a) => [0, 0.9].map((b) => [a, b]))) {
      const random = [first ?? 0, second ?? 0];
      const result = shuffled(list, () => random.shift() ?? 0);
      assert.deepEqual(result.toSorted(), list);
      firsts.add(result[0]);
    }
    assert.deepEqual([...firsts].sort(), list);
  });
});

describe("peer URLs", () => {
  test("are sorted, their scheme in lower case", () => {
    const given = ["HTTP://b:2", " https://[::1]:1", "http://me@a:1"];
    assert.deepEqual(parsePeerUrls(given), ["http://b:2", "http://me@a:1", "https://[::1]:1"]);
  });

  const refused: [text: string, complaint: string][] = [
    ["", "URL scheme must be http or https: "],
    ["http:/a:1", 'URL address does not have the form "host:port": http:/a:1'],
    ["unix://a:1", "URL scheme must be http or https: unix://a:1"],
    ["http://", 'URL address does not have the form "host:port": http://'],
    ["http://::1", 'URL address does not have the form "host:port": http://::1'],
    ["http://a:b", 'parse "http://a:b": invalid port ":b" after host'],
    ["http://a:1/", "URL must not contain a path: http://a:1/"],
  ];
  for (const [text, complaint] of refused) {
    test(`"${text}" is refused in etcdctl 2.3.8's words`, () => {
      assert.throws(
        () => parsePeerUrls(["http://a:1", text]),
        (error) => error instanceof Failure && error.text === `${complaint}\n`,
      );
    });
  }
});

describe("service records", () => {
  const record = (name: string, priority: number): SrvRecord => {
    return { name, port: 2379, priority, weight: 0 };
  };

  function resolver(records: Readonly<Record<string, readonly SrvRecord[]>>): {
    resolveSrv(name: string): Promise<SrvRecord[]>;
  } {
    return {
      resolveSrv: (name) => {
        const found = records[name];
        if (found !== undefined) return Promise.resolve([...found]);
        return Promise.reject(Object.assign(new Error("none"), { code: "ENOTFOUND" }));
      },
    };
  }

  test("of both kinds are used, https first, by priority", async () => {
    const found = await lookUpEndpoints(
      "example.com",
      resolver({
        "_etcd-client._tcp.example.com": [record("c.example.com", 1)],
        "_etcd-client-ssl._tcp.example.com": [
          record("b.example.com", 2),
          record("a.example.com", 1),
        ],
      }),
    );
    assert.deepEqual(found, [
      "https://a.example.com:2379",
      "https://b.example.com:2379",
      "http://c.example.com:2379",
    ]);
  });

  test("of one kind are enough", async () => {
    const records = { "_etcd-client._tcp.x": [record("c", 1)] };
    assert.deepEqual(await lookUpEndpoints("x", resolver(records)), ["http://c:2379"]);
  });

  test("that are missing altogether are an error which names both look-ups", async () => {
    await assert.rejects(lookUpEndpoints("x", resolver({})), {
      message:
        "dns lookup errors: lookup _etcd-client-ssl._tcp.x: no such host " +
        "and lookup _etcd-client._tcp.x: no such host",
    });
  });
});
