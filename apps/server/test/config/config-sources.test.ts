import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { variableOf } from "../../src/config/env.ts";
import { flagTable } from "../../src/config/flag-table.ts";
import { isSwitch } from "../../src/config/flags.ts";
import { urlTexts } from "../../src/config/urls.ts";
import { badSetting, lines, run } from "./config-harness.ts";

describe("precedence", () => {
  it("is flag, environment, file, default", async () => {
    const file = "name: from-file\nsnapshot-count: 3\nbcrypt-cost: 7\n";
    const env = {
      ETCD_NAME: "from-env",
      ETCD_SNAPSHOT_COUNT: "2",
      ETCD_CONFIG_FILE: "/etc/etcd.yml",
    };
    const config = await run("--name from-flag", env, file);
    assert.equal(config.name, "from-flag");
    assert.equal(config.snapshotCount, 2);
    assert.equal(config.bcryptCost, 7);
    assert.equal(config.catchUpEntries, 5000);
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

  it("shows no password that a variable holds", async () => {
    const env = { ETCD_ROOT_PASSWORD: "hush", ETCD_DISCOVERY: "http://u:hush@d/x", ETCD_PASS: "" };
    assert.deepEqual(await lines("", env), [
      "info flags: recognized and used environment variable ETCD_DISCOVERY=http://***@d/x",
      "warning flags: unrecognized environment variable ETCD_ROOT_PASSWORD=***",
      "warning flags: unrecognized environment variable ETCD_PASS=",
    ]);
  });

  it("gives a bad variable the status of a bad flag", async () => {
    assert.deepEqual(await badSetting("", { ETCD_SNAPSHOT_COUNT: "abc" }), [
      'invalid value "abc" for ETCD_SNAPSHOT_COUNT: parse error',
    ]);
    assert.deepEqual(await badSetting("", { ETCD_ADDR: "host:1" }), [
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

  it("takes the words that YAML 1.1 has for true and false as values of switches", async () => {
    const file = "debug: yes\nenable-pprof: On\nstrict-reconfig-check: no\nname: yes";
    const config = await run("--config-file f", {}, file);
    assert.deepEqual([config.log.level, config.pprof], ["debug", true]);
    assert.deepEqual([config.strictReconfigCheck, config.name], [false, "yes"]);
  });

  it("keeps texts as they are written", async () => {
    assert.equal((await run("--config-file f", {}, "name: 007")).name, "007");
    for (const nothing of ["", "~", "null"]) {
      assert.equal((await run("--config-file f", {}, `name: ${nothing}`)).name, "default");
    }
    const wrapped =
      "name: a\ninitial-cluster: >\n  a=http://localhost:2380,\n  a=http://localhost:7001\n";
    const { initialCluster } = await run("--config-file f", {}, wrapped);
    assert.deepEqual([...initialCluster.keys()], ["a"]);
    assert.equal((await run("--config-file f", {}, "")).name, "default");
  });

  it("is refused with one line that names it", async () => {
    const args = "--config-file /f";
    const table: readonly (readonly [string | undefined, string | RegExp])[] = [
      [undefined, "cannot read configuration file /f: no such file or directory"],
      [
        "snapshot-count: abc",
        'configuration file /f: invalid value "abc" for snapshot-count: parse error',
      ],
      ["nam: x", 'configuration file /f: unknown key "nam"; did you mean "name"?'],
      ["config-file: x", 'configuration file /f: unknown key "config-file"'],
      ["- a\n- b", "configuration file /f: must be a map of flag names to values"],
      [
        "name: {a: b}",
        'configuration file /f: key "name" must be a single value or a list of values',
      ],
      ["peer-transport-security:\n  nope: 1", 'configuration file /f: unknown key "peer-nope"'],
      [
        "client-transport-security: x",
        'configuration file /f: section "client-transport-security" must be a map of flag names to values',
      ],
      ["a: b: c", /^cannot read configuration file \/f: [^\n]+$/],
    ];
    for (const [file, wanted] of table) {
      const [line, ...more] = await badSetting(args, {}, file);
      assert.deepEqual(more, []);
      assert.deepEqual(await badSetting("", { ETCD_CONFIG_FILE: "/f" }, file), [line]);
      if (typeof wanted === "string") assert.equal(line, wanted);
      else assert.match(line ?? "", wanted);
    }
  });
});
