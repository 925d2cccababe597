import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

import { flagTable } from "../../src/config/flag-table.ts";
import { formatInitialCluster } from "../../src/config/initial-cluster.ts";
import { urlTexts } from "../../src/config/urls.ts";
import { lines, parse, refusal, run } from "./config-harness.ts";

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
    assert.deepEqual(config.cors, []);
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

describe("checks between flags", () => {
  const see = ". See 'etcd --help'.";

  it("refuse with etcd 2.3.8's messages", async () => {
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

describe("the README", () => {
  it("shows commands whose flags are accepted, and a cluster that its members agree on", async () => {
    for (const name of ["README.md", "README.zh-CN.md"]) {
      const text = readFileSync(new URL(`../../../../${name}`, import.meta.url), "utf8");
      const commands = [...text.matchAll(/^etcd (--[^#\n]+)/gm)].map(([, args = ""]) => args);
      assert.ok(commands.length >= 4, name);
      for (const command of commands) {
        const config = await run(command.trim());
        if (config.isInitialClusterDefault) continue;
        const own = config.initialCluster.get(config.name) ?? [];
        assert.deepEqual(urlTexts(own), urlTexts(config.advertisePeerUrls), command);
        assert.deepEqual(urlTexts(own), urlTexts(config.listenPeerUrls), command);
      }
    }
  });
});

describe("docs/configuration.md", () => {
  it("lists every flag with its default and meaning, and no other", () => {
    const text = readFileSync(
      new URL("../../../../docs/configuration.md", import.meta.url),
      "utf8",
    );
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
