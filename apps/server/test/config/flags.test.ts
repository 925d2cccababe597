import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { flagTable } from "../../src/config/flag-table.ts";
import { urlTexts } from "../../src/config/urls.ts";
import { exit, lines, refusal, run } from "./config-harness.ts";

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
      ["--nmae a", "flag provided but not defined: -nmae\nDid you mean --name?"],
      ["--data_dir x", "flag provided but not defined: -data_dir\nDid you mean --data-dir?"],
      ["--peer", "flag provided but not defined: -peer"],
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
      [
        "-distributed-tracing-address localhost",
        'invalid value "localhost" for flag -distributed-tracing-address: must be host:port, with http:// or https:// before it or nothing',
      ],
      [
        "-distributed-tracing-address https://localhost:4317/v1/traces",
        'invalid value "https://localhost:4317/v1/traces" for flag -distributed-tracing-address: must be host:port, with http:// or https:// before it or nothing',
      ],
      [
        "-experimental-distributed-tracing-address a:0",
        'invalid value "a:0" for flag -experimental-distributed-tracing-address: must be host:port, with http:// or https:// before it or nothing',
      ],
      [
        "-distributed-tracing-sampling-rate 1000001",
        'invalid value "1000001" for flag -distributed-tracing-sampling-rate: must be between 0 and 1000000',
      ],
      [
        "-proxy=zzz",
        'invalid value "zzz" for flag -proxy: invalid value, must be off, readonly or on',
      ],
      [
        "-initial-cluster-state x",
        'invalid value "x" for flag -initial-cluster-state: invalid value, must be new or existing',
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

describe("--host-whitelist", () => {
  it("is a list of names, from wherever it comes, and empty when not given", async () => {
    assert.deepEqual((await run("")).hostWhitelist, []);
    const names = ["etcd.example", "10.0.0.1", "[::1]"];
    assert.deepEqual(
      (await run("--host-whitelist=etcd.example,10.0.0.1,[::1]")).hostWhitelist,
      names,
    );
    const env = { ETCD_HOST_WHITELIST: " etcd.example, 10.0.0.1 ,[::1]," };
    assert.deepEqual((await run("", env)).hostWhitelist, names);
    const file = "host-whitelist: 'etcd.example,10.0.0.1,[::1]'\n";
    assert.deepEqual((await run("--config-file f", {}, file)).hostWhitelist, names);
    assert.deepEqual((await run("--host-whitelist *")).hostWhitelist, ["*"]);
  });

  it("refuses what can be no Host header", async () => {
    for (const value of ["http://etcd.example", "etcd.example:2379", "[::1]:1", "a b", "a/b"]) {
      await assert.rejects(run(["--host-whitelist", value]), /not a host name/, value);
    }
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
    assert.equal(config.isAdvertisePeerUrlsDefault, false);
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
  });
});
