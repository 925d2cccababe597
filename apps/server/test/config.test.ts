import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

import type { ConfigOutcome, ServerConfig } from "../src/config.ts";
import { parseConfig } from "../src/config.ts";
import { variableOf } from "../src/env.ts";
import { flagTable } from "../src/flag-table.ts";
import { isSwitch } from "../src/flags.ts";
import { checkInitialCluster, formatInitialCluster } from "../src/initial-cluster.ts";
import { parseSocketUrl, urlTexts } from "../src/urls.ts";

type Env = Record<string, string>;

function parse(
  args: string | readonly string[],
  env: Env = {},
  file?: string,
): Promise<ConfigOutcome> {
  const argv = typeof args === "string" ? args.split(" ").filter((arg) => arg !== "") : args;
  return parseConfig(argv, env, (path) => {
    if (file === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`);
    return file;
  });
}

async function run(
  args: string | readonly string[],
  env: Env = {},
  file?: string,
): Promise<ServerConfig> {
  const outcome = await parse(args, env, file);
  return outcome.kind === "run" ? outcome.config : assert.fail(JSON.stringify(outcome));
}

async function exit(args: string | readonly string[], env: Env = {}, file?: string) {
  const outcome = await parse(args, env, file);
  return outcome.kind === "exit" ? outcome : assert.fail("expected an exit");
}

async function lines(args: string | readonly string[], env: Env = {}, file?: string) {
  const { notices } = await parse(args, env, file);
  return notices.map(({ level, pkg, message }) => `${level} ${pkg}: ${message}`);
}

/** The one error line of a refused configuration, with status 1 and nothing on the streams. */
async function refusal(args: string | readonly string[], env: Env = {}, file?: string) {
  const outcome = await exit(args, env, file);
  assert.deepEqual([outcome.status, outcome.stdout, outcome.stderr], [1, "", ""]);
  return outcome.notices.filter(({ pkg }) => pkg === "etcdmain").map(({ message }) => message);
}

describe("defaults", () => {
  it("are those of etcd 2.3.8", async () => {
    const config = await run("");
    assert.equal(config.name, "default");
    assert.equal(config.dataDir, "default.etcd");
    assert.equal(config.isDataDirDefault, true);
    assert.equal(config.snapshotCount, 10000);
    assert.deepEqual(
      [config.heartbeatMs, config.electionMs, config.electionTicks],
      [100, 1000, 10],
    );
    const peers = ["http://localhost:2380", "http://localhost:7001"];
    const clients = ["http://localhost:2379", "http://localhost:4001"];
    assert.deepEqual(urlTexts(config.listenPeerUrls), peers);
    assert.deepEqual(urlTexts(config.advertisePeerUrls), peers);
    assert.deepEqual(urlTexts(config.listenClientUrls), clients);
    assert.deepEqual(urlTexts(config.advertiseClientUrls), clients);
    assert.deepEqual(config.listenMetricsUrls, []);
    assert.deepEqual([config.maxSnapshots, config.maxWals, config.cors], [5, 5, []]);
    assert.equal(
      formatInitialCluster(config.initialCluster),
      "default=http://localhost:2380,default=http://localhost:7001",
    );
    assert.equal(config.initialClusterState, "new");
    assert.equal(config.initialClusterToken, "etcd-cluster");
    assert.equal(config.discoveryFallback, "proxy");
    assert.equal(config.strictReconfigCheck, false);
    assert.deepEqual(config.proxy, {
      mode: "off",
      failureWaitMs: 5000,
      refreshIntervalMs: 30000,
      dialTimeoutMs: 1000,
      writeTimeoutMs: 5000,
      readTimeoutMs: 0,
    });
    assert.equal(config.watchHistory, 100000);
    assert.deepEqual(config.log, { level: "info", packageLevels: "", format: "text" });
    assert.deepEqual(await lines(""), []);
  });

  it("put another name into the untouched initial cluster", async () => {
    const config = await run("--name infra0");
    assert.equal(config.dataDir, "infra0.etcd");
    assert.equal(
      formatInitialCluster(config.initialCluster),
      "infra0=http://localhost:2380,infra0=http://localhost:7001",
    );
    assert.equal(config.isInitialClusterDefault, true);
  });

  it("are valid values for their own flags", async () => {
    for (const spec of flagTable) {
      if (spec.default === "" || spec.kind === "unsupported") continue;
      const outcome = await parse([
        `--${spec.name}=${spec.default}`,
        "--advertise-client-urls=http://a:1",
      ]);
      assert.ok(outcome.kind === "run" || spec.name === "config-file", spec.name);
    }
  });
});

describe("the argument list", () => {
  it("takes one or two dashes, and a value after a blank or =", async () => {
    for (const args of ["-name a", "--name a", "-name=a", "--name=a", "--name b --name a"]) {
      assert.equal((await run(args)).name, "a", args);
    }
    assert.equal((await run(["--name="])).name, "");
    assert.equal((await run("--initial-cluster-token=a=b")).initialClusterToken, "a=b");
    assert.equal((await run("--snapshot-count 0x10")).snapshotCount, 16);
    assert.equal((await run("--snapshot-count 0")).snapshotCount, 10000);
  });

  it("takes values of switches only after =", async () => {
    assert.equal((await run("-debug")).log.level, "debug");
    assert.equal((await run("-debug=F")).log.level, "info");
    assert.deepEqual(await refusal("-debug false"), [
      "error verifying flags, 'false' is not a valid flag. See 'etcd --help'.",
    ]);
  });

  it("refuses what it does not know with status 2 and the usage", async () => {
    const table: readonly (readonly [string, string])[] = [
      ["--nope", "flag provided but not defined: -nope"],
      ["-C x", "flag provided but not defined: -C"],
      ["-name", "flag needs an argument: -name"],
      ["---x", "bad flag syntax: ---x"],
      ["-=x", "bad flag syntax: -=x"],
      ["-election-timeout abc", 'invalid value "abc" for flag -election-timeout: parse error'],
      ["-election-timeout -5", 'invalid value "-5" for flag -election-timeout: parse error'],
      ["-snapshot-count 1e9", 'invalid value "1e9" for flag -snapshot-count: parse error'],
      [
        "-max-wals 99999999999999999999",
        'invalid value "99999999999999999999" for flag -max-wals: value out of range',
      ],
      ["-debug=maybe", 'invalid boolean value "maybe" for -debug: parse error'],
      ["-proxy=zzz", 'invalid value "zzz" for flag -proxy: invalid value'],
      [
        "-initial-cluster-state x",
        'invalid value "x" for flag -initial-cluster-state: invalid value',
      ],
      ["-peers x", 'invalid value "x" for flag -peers: flag "-peers" is no longer supported.'],
      [
        "-peers-file x",
        'invalid value "x" for flag -peers-file: flag "-peers-file" is no longer supported.',
      ],
      [
        "-addr localhost:1",
        'invalid value "localhost:1" for flag -addr: bad IP in address specification',
      ],
      [
        "-addr 127.0.0.1:x",
        'invalid value "127.0.0.1:x" for flag -addr: bad port in address specification',
      ],
      [
        "-listen-client-urls a:1",
        'invalid value "a:1" for flag -listen-client-urls: URL scheme must be http or https: a:1',
      ],
      [
        "-listen-client-urls http://a",
        'invalid value "http://a" for flag -listen-client-urls: URL address does not have the form "host:port": http://a',
      ],
      [
        "-listen-peer-urls http://a:1/",
        'invalid value "http://a:1/" for flag -listen-peer-urls: URL must not contain a path: http://a:1/',
      ],
      [
        "-peer-cert-allowed-cn x",
        'invalid value "x" for flag -peer-cert-allowed-cn: not supported by this server, and ignoring it would weaken its security',
      ],
    ];
    for (const [args, message] of table) {
      const outcome = await exit(args);
      assert.equal(outcome.status, 2, args);
      assert.equal(outcome.stderr, `${message}\n`);
      assert.match(outcome.stdout, /^usage: etcd \[flags\]/);
    }
  });

  it("refuses plain words with status 1", async () => {
    assert.deepEqual(await refusal("--name a foo --nope"), [
      "error verifying flags, 'foo' is not a valid flag. See 'etcd --help'.",
    ]);
    assert.deepEqual(await refusal("-- --name"), [
      "error verifying flags, '--name' is not a valid flag. See 'etcd --help'.",
    ]);
  });

  it("prints version and help with status 0", async () => {
    const version = await exit("--version");
    assert.equal(version.status, 0);
    const printed = version.stdout.split("\n");
    assert.equal(printed[0], "etcd Version: 2.3.8");
    assert.match(printed[1] ?? "", /^Git SHA: /);
    assert.match(version.stdout, /^etcd2 Version: .+\nNode Version: \d+\./m);
    for (const args of ["-h", "--help", "-help", "--name a -h --nope"]) {
      const help = await exit(args);
      assert.deepEqual([help.status, help.stderr], [0, ""]);
      for (const spec of flagTable) assert.ok(help.stdout.includes(`--${spec.name}`), spec.name);
    }
  });
});

describe("precedence", () => {
  it("is flag, environment, file, default", async () => {
    const file = "name: from-file\nsnapshot-count: 3\nmax-wals: 7\n";
    const env = {
      ETCD_NAME: "from-env",
      ETCD_SNAPSHOT_COUNT: "2",
      ETCD_CONFIG_FILE: "/etc/etcd.yml",
    };
    const config = await run("--name from-flag", env, file);
    assert.equal(config.name, "from-flag");
    assert.equal(config.snapshotCount, 2);
    assert.equal(config.maxWals, 7);
    assert.equal(config.maxSnapshots, 5);
  });

  it("lets every flag be given as a variable", async () => {
    for (const spec of flagTable) {
      if (spec.kind === "unsupported" || spec.kind === "refused" || spec.name === "version")
        continue;
      if (spec.name === "config-file") continue;
      const text = spec.default !== "" ? spec.default : isSwitch(spec) ? "true" : "";
      if (text === "") continue;
      const noted = await lines("--advertise-client-urls=http://a:1", {
        [variableOf(spec.name)]: text,
      });
      const shadowed = spec.name === "advertise-client-urls";
      const wanted = shadowed
        ? "recognized environment variable ETCD_ADVERTISE_CLIENT_URLS, but unused: shadowed by corresponding flag "
        : `recognized and used environment variable ${variableOf(spec.name)}=${text}`;
      assert.ok(noted.includes(`info flags: ${wanted}`), `${spec.name}: ${noted.join("; ")}`);
    }
  });

  it("reports every use of variables, and ignores empty ones", async () => {
    const env = {
      ETCD_NAME: "infra0",
      ETCD_DATA_DIR: "/x",
      ETCD_WHATEVER: "1",
      ETCD_PORT_2379_TCP: "tcp://10.0.0.1:2379",
      ETCD_WAL_DIR: "",
      ETCD_VERSION: "v2.3.8",
      ETCDCTL_API: "2",
    };
    assert.deepEqual(await lines("--data-dir /y", env), [
      "info flags: recognized and used environment variable ETCD_NAME=infra0",
      "info flags: recognized environment variable ETCD_DATA_DIR, but unused: shadowed by corresponding flag ",
      "warning flags: unrecognized environment variable ETCD_WHATEVER=1",
      "warning flags: unrecognized environment variable ETCD_PORT_2379_TCP=tcp://10.0.0.1:2379",
      "warning flags: unrecognized environment variable ETCD_WAL_DIR=",
      "warning flags: unrecognized environment variable ETCD_VERSION=v2.3.8",
    ]);
  });

  it("gives a bad variable status 1", async () => {
    assert.deepEqual(await refusal("", { ETCD_SNAPSHOT_COUNT: "abc" }), [
      'invalid value "abc" for ETCD_SNAPSHOT_COUNT: parse error',
    ]);
    assert.deepEqual(await refusal("", { ETCD_ADDR: "host:1" }), [
      'invalid value "host:1" for ETCD_ADDR: bad IP in address specification',
    ]);
  });
});

describe("the configuration file", () => {
  it("reads the sample layout of etcd 3.x", async () => {
    const file = `
name: 'infra0'
data-dir: "/var/lib/etcd"
wal-dir:
snapshot-count: 10000
quota-backend-bytes: 2147483648
listen-peer-urls: https://10.0.0.1:2380
listen-client-urls: https://10.0.0.1:2379,http://127.0.0.1:2379
advertise-client-urls: https://10.0.0.1:2379
cors:
discovery-fallback: 'proxy'
strict-reconfig-check: true
enable-v2: true
enable-pprof: true
proxy: 'off'
client-transport-security:
  cert-file: /c.pem
  key-file: /c-key.pem
  client-cert-auth: true
  trusted-ca-file: /ca.pem
  auto-tls: false
peer-transport-security:
  cert-file: /p.pem
  key-file: /p-key.pem
  client-cert-auth: true
  trusted-ca-file: /pca.pem
log-level: warn
logger: zap
log-outputs: [stderr]
force-new-cluster: false
`;
    const config = await run("--config-file /etc/etcd.yml", {}, file);
    assert.equal(config.name, "infra0");
    assert.equal(config.walDir, "");
    assert.equal(config.quotaBytes, 2147483648);
    assert.deepEqual(urlTexts(config.listenClientUrls), [
      "http://127.0.0.1:2379",
      "https://10.0.0.1:2379",
    ]);
    assert.equal(config.strictReconfigCheck, true);
    assert.equal(config.log.level, "warning");
    assert.deepEqual(
      [config.clientTls.certFile, config.clientTls.clientCertAuth],
      ["/c.pem", true],
    );
    assert.deepEqual(
      [config.peerTls.certFile, config.peerTls.trustedCaFile, config.peerTls.clientCertAuth],
      ["/p.pem", "/pca.pem", true],
    );
    assert.deepEqual(await lines("--config-file /etc/etcd.yml", {}, file), [
      'warning flags: flag "-enable-v2" of etcd 3.x has no effect here - ignoring. The v2 API is always served.',
      'warning flags: flag "-logger" of etcd 3.x has no effect here - ignoring. Use --log-format=json for structured logs.',
      'warning flags: flag "-log-outputs" of etcd 3.x has no effect here - ignoring. Logs go to stderr.',
    ]);
  });

  it("keeps texts as they are written", async () => {
    assert.equal((await run("--config-file f", {}, "name: 007")).name, "007");
    assert.equal((await run("--config-file f", {}, "")).name, "default");
  });

  it("is refused with one line that names it", async () => {
    const args = "--config-file /f";
    const table: readonly (readonly [string | undefined, string | RegExp])[] = [
      [
        undefined,
        "cannot read configuration file /f: ENOENT: no such file or directory, open '/f'",
      ],
      [
        "snapshot-count: abc",
        'configuration file /f: invalid value "abc" for snapshot-count: parse error',
      ],
      ["nam: x", 'configuration file /f: unknown key "nam"'],
      ["config-file: x", 'configuration file /f: unknown key "config-file"'],
      ["- a\n- b", "configuration file /f: must be a map of flag names to values"],
      [
        "name: {a: b}",
        'configuration file /f: key "name" must be a single value or a list of values',
      ],
      ["peer-transport-security:\n  nope: 1", 'configuration file /f: unknown key "peer-nope"'],
      ["a: b: c", /^cannot read configuration file \/f: [^\n]+$/],
    ];
    for (const [file, wanted] of table) {
      const [line, ...more] = await refusal(args, {}, file);
      assert.deepEqual(more, []);
      if (typeof wanted === "string") assert.equal(line, wanted);
      else assert.match(line ?? "", wanted);
    }
  });
});

describe("checks between flags", () => {
  const see = ". See 'etcd --help'.";

  it("refuse with the original's messages", async () => {
    const table: readonly (readonly [string, readonly string[]])[] = [
      [
        "--initial-cluster a=http://a:1 --discovery http://d",
        [
          'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery" or "discovery-srv"',
        ],
      ],
      [
        "--discovery-srv x --discovery http://d",
        [
          'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery" or "discovery-srv"',
        ],
      ],
      [
        "--election-timeout 499",
        ["-election-timeout[499ms] should be at least as 5 times as -heartbeat-interval[100ms]"],
      ],
      [
        "--election-timeout 50001",
        ["-election-timeout[50001ms] is too long, and should be set less than 50000ms"],
      ],
      ["--heartbeat-interval 0", ["-heartbeat-interval[0ms] should be greater than 0"]],
      [
        "--bind-addr 127.0.0.1:1 --listen-client-urls http://a:1 --advertise-client-urls http://a:1",
        ["Set only one of flags -listen-client-urls and -bind-addr"],
      ],
      [
        "--peer-addr 127.0.0.1:1 --initial-advertise-peer-urls http://a:1",
        ["Set only one of flags -initial-advertise-peer-urls and -peer-addr"],
      ],
    ];
    for (const [args, reasons] of table) {
      assert.deepEqual(
        await refusal(args),
        reasons.map((reason) => `error verifying flags, ${reason}${see}`),
        args,
      );
    }
    assert.deepEqual(await refusal("--listen-client-urls http://a:1"), [
      `error verifying flags, -advertise-client-urls is required when -listen-client-urls is set explicitly${see}`,
      "When listening on specific address(es), this etcd process must advertise accessible url(s) to each connected client.",
    ]);
    assert.deepEqual(await refusal("--initial-cluster default=localhost"), [
      "error setting up initial cluster: URL scheme must be http or https: localhost",
    ]);
    assert.deepEqual(await refusal("--cert-file c"), [
      "KeyFile and CertFile must both be present[key: , cert: c]",
    ]);
  });

  it("let proxies, and members that may become one, listen without advertising", async () => {
    const listen = "--listen-client-urls http://a:1";
    for (const more of ["--proxy on", "--proxy readonly", "--discovery http://d/x"]) {
      assert.equal((await run(`${listen} ${more}`)).listenClientUrls.length, 1);
    }
    await refusal(`${listen} --discovery http://d/x --discovery-fallback exit`);
  });

  it("count a value the same wherever it comes from", async () => {
    await refusal("--discovery http://d/x", { ETCD_INITIAL_CLUSTER: "a=http://a:1" });
    await refusal("--config-file f --discovery-srv d", {}, "discovery: http://d/x");
    assert.equal(
      (await run("--config-file f", {}, "discovery:\ninitial-cluster: a=http://a:1")).discovery,
      "",
    );
  });
});

describe("flags of other releases", () => {
  it("of 0.4 are honoured with a warning", async () => {
    const config = await run(
      "-addr 10.0.0.1:4001 -peer-addr 10.0.0.1:7001 -peer-bind-addr 127.0.0.1:7001",
    );
    assert.deepEqual(urlTexts(config.advertiseClientUrls), ["http://10.0.0.1:4001"]);
    assert.deepEqual(urlTexts(config.listenClientUrls), ["http://[::]:4001"]);
    assert.equal(config.listenClientUrls[0]?.host, "::");
    assert.deepEqual(urlTexts(config.advertisePeerUrls), ["http://10.0.0.1:7001"]);
    assert.deepEqual(urlTexts(config.listenPeerUrls), ["http://127.0.0.1:7001"]);
    const tls = await run("-bind-addr 0.0.0.0:1 -cert-file c -key-file k -ca-file a");
    assert.deepEqual(urlTexts(tls.listenClientUrls), ["https://0.0.0.0:1"]);
    assert.equal(tls.clientTls.caFile, "a");
    assert.deepEqual(await lines("-addr 10.0.0.1:1"), [
      'warning flags: flag "-addr" is deprecated: use -advertise-client-urls instead.',
    ]);
  });

  it("of 0.4 without meaning are ignored with a warning", async () => {
    for (const name of ["cluster-active-size", "config", "force", "snapshot", "v", "vv"]) {
      const wanted = [`warning flags: flag "-${name}" is no longer supported - ignoring.`];
      assert.deepEqual(await lines(`-${name}`), wanted);
      assert.deepEqual(await lines(`-${name}=9`), wanted);
      await refusal(`-${name} 9`);
    }
  });

  it("of 3.x are accepted, each with one warning", async () => {
    const noted = await lines(
      "--enable-v2 --enable-v2=true --auto-compaction-retention 1 --pre-vote=true --max-request-bytes 5",
    );
    assert.equal(noted.length, 4);
    for (const line of noted)
      assert.match(line, /^warning flags: flag "-[a-z0-9-]+" of etcd 3\.x has no effect/);
    const config = await run(
      "--quota-backend-bytes 5 --listen-metrics-urls http://a:9 --log-level debug --experimental-enable-distributed-tracing --experimental-distributed-tracing-sampling-rate 7",
    );
    assert.equal(config.quotaBytes, 5);
    assert.deepEqual(urlTexts(config.listenMetricsUrls), ["http://a:9"]);
    assert.equal(config.log.level, "debug");
    assert.deepEqual([config.tracing.enabled, config.tracing.samplesPerMillion], [true, 7]);
    assert.equal((await parse("--host-whitelist *")).kind, "run");
  });
});

describe("URLs", () => {
  it("are read into scheme, host and port", () => {
    const read = (text: string) => {
      const parsed = parseSocketUrl(text);
      return parsed.ok ? parsed.value : parsed.error;
    };
    assert.deepEqual(read(" https://[::1]:2379 "), {
      scheme: "https",
      host: "::1",
      port: 2379,
      text: "https://[::1]:2379",
    });
    assert.deepEqual(read("HTTP://:2379"), {
      scheme: "http",
      host: "",
      port: 2379,
      text: "http://:2379",
    });
    assert.equal(read("unix://a:1"), "URL scheme must be http or https: unix://a:1");
    assert.equal(
      read("http://::1:2379"),
      'URL address does not have the form "host:port": http://::1:2379',
    );
    assert.equal(read("http://a:65536"), "URL does not have a valid port: http://a:65536");
    assert.equal(
      read("http://a:1?x"),
      "URL must not contain a user, query or fragment: http://a:1?x",
    );
    assert.equal(
      read("http://u@a:1"),
      "URL must not contain a user, query or fragment: http://u@a:1",
    );
    assert.equal(read("http://a b:1"), "URL does not have a valid host: http://a b:1");
  });
});

describe("the initial cluster at a first start", () => {
  const resolve = (host: string) =>
    host === "node1" ? Promise.resolve("10.0.0.1") : Promise.reject(new Error("no such host"));
  const check = async (args: string, isJoining = false) => {
    const config = await run(args);
    const problem = await checkInitialCluster(
      {
        name: config.name,
        cluster: config.initialCluster,
        advertisePeerUrls: config.advertisePeerUrls,
        isJoining,
        isClusterDefault: config.isInitialClusterDefault,
        isAdvertiseDefault: config.isAdvertisePeerUrlsDefault,
        discoveryUrl: config.discovery,
      },
      resolve,
    );
    return problem === undefined ? [] : [problem.message, ...problem.hints];
  };

  it("passes when the own URLs are the advertised ones, in any order or by name", async () => {
    assert.deepEqual(await check(""), []);
    assert.deepEqual(
      await check(
        "--name a --initial-cluster b=http://b:1,a=http://a:2,a=http://a:1 --initial-advertise-peer-urls http://a:1,http://a:2",
      ),
      [],
    );
    assert.deepEqual(
      await check(
        "--name a --initial-cluster a=http://node1:1 --initial-advertise-peer-urls http://10.0.0.1:1",
      ),
      [],
    );
  });

  it("is refused with the original's messages and hints", async () => {
    assert.deepEqual(await check("--name b --initial-cluster a=http://a:1"), [
      `couldn't find local name "b" in the initial cluster configuration`,
    ]);
    assert.deepEqual(await check("--name a --initial-advertise-peer-urls http://a:1"), [
      "--initial-cluster must include a=http://a:1 given --initial-advertise-peer-urls=http://a:1",
      "forgot to set --initial-cluster flag?",
      "if you want to use discovery service, please set --discovery flag.",
    ]);
    assert.deepEqual(await check("--name a --initial-cluster a=http://nowhere:1"), [
      "--initial-cluster must include a=http://localhost:2380,a=http://localhost:7001 given --initial-advertise-peer-urls=http://localhost:2380,http://localhost:7001",
      "forgot to set --initial-advertise-peer-urls flag?",
    ]);
    assert.deepEqual(
      await check(
        "--name a --initial-cluster a=http://localhost:1,b=http://localhost:1 --initial-advertise-peer-urls http://localhost:1",
      ),
      ["initial cluster a=http://localhost:1,b=http://localhost:1 has duplicate url"],
    );
  });

  it("does not compare URLs of a member that joins", async () => {
    assert.deepEqual(await check("--name a --initial-cluster a=http://other:1", true), []);
  });
});

describe("docs/configuration.md", () => {
  it("lists every flag with its default and meaning, and no other", () => {
    const text = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
    const rows = [...text.matchAll(/^\| `([\w-]+)` +\| (.*?) +\| (.*?) +\|$/gm)];
    const listed = rows.map(([, name, value = "", help = ""]) => {
      return `${name}|${value.replaceAll("`", "").trim()}|${help.replaceAll("\\", "").trim()}`;
    });
    const own = flagTable.filter(({ group }) => group !== "foreign");
    assert.deepEqual(
      listed.sort(),
      own.map((flag) => `${flag.name}|${flag.default}|${flag.help}`).sort(),
    );
    for (const { name } of flagTable) assert.ok(text.includes(`\`${name}\``), name);
  });
});
