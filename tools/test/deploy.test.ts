/**
 * The files under deploy/ agree with each other and with a real member: what they mount and list
 * exists, what they ask a member for is served, and what they set is a flag.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { freePort } from "@etcd2/test-support";
import { parse, parseAllDocuments } from "yaml";
import { Cluster } from "../cluster-faults/cluster.ts";

const root = join(import.meta.dirname, "..", "..");
const deploy = join(root, "deploy");

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

interface Container {
  readonly env: readonly { readonly name: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
}

interface StatefulSet {
  readonly spec: {
    readonly serviceName: string;
    readonly podManagementPolicy: string;
    readonly template: { readonly spec: { readonly containers: readonly [Container] } };
  };
}

interface Service {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly clusterIP?: string;
    readonly publishNotReadyAddresses?: boolean;
    readonly ports: readonly { readonly name: string; readonly port: number }[];
  };
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[];
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
}

interface RuleGroups {
  readonly groups: readonly { readonly rules: readonly Rule[] }[];
}

interface RuleTests {
  readonly tests: readonly {
    readonly alert_rule_test: readonly {
      readonly alertname: string;
      readonly exp_alerts?: readonly unknown[];
    }[];
  }[];
}

function read(path: string): string {
  return readFileSync(join(deploy, path), "utf8");
}

const rules = parse(read("monitoring/alerts.yml")) as RuleGroups;
const dashboard = JSON.parse(read("monitoring/dashboard.json")) as { panels: readonly Panel[] };
const statefulSet = parse(read("kubernetes/statefulset.yaml")) as StatefulSet;
const [container] = statefulSet.spec.template.spec.containers;

/** The names of the series a query reads. */
function seriesOf(expr: string): string[] {
  const pattern = /\b(?:etcd2?|process|nodejs|grpc|os_fd)_\w+(?=\s*[{[]|$)/g;
  return [...expr.matchAll(pattern)].map(([name]) => name);
}

test("the rules for the Prometheus operator are those for Prometheus", () => {
  const resource = parse(read("kubernetes/monitoring/prometheus-rule.yaml")) as { spec: unknown };
  assert.deepEqual(resource.spec, rules);
});

test("every alert has a test in which it fires", () => {
  const { tests } = parse(read("monitoring/alerts.test.yml")) as RuleTests;
  const fires = tests
    .flatMap(({ alert_rule_test: cases }) => cases)
    .filter(({ exp_alerts: alerts = [] }) => alerts.length > 0)
    .map(({ alertname }) => alertname);
  const alerts = rules.groups.flatMap((group) => group.rules.map(({ alert }) => alert));
  assert.deepEqual([...new Set(fires)].sort(), alerts.sort());
});

test("the Kustomize files list every manifest beside them and no other", () => {
  for (const folder of ["kubernetes", "kubernetes/monitoring"]) {
    const listed = (parse(read(`${folder}/kustomization.yaml`)) as { resources: string[] })
      .resources;
    const there = readdirSync(join(deploy, folder)).filter(
      (name) => name.endsWith(".yaml") && name !== "kustomization.yaml",
    );
    assert.deepEqual([...listed].sort(), there.sort(), folder);
  }
});

test("the members' names resolve before they are ready, and services and probes name real ports", () => {
  const services = parseAllDocuments(read("kubernetes/service.yaml")).map(
    (document) => document.toJS() as Service,
  );
  const peers = services.find(({ metadata }) => metadata.name === statefulSet.spec.serviceName);
  assert.equal(peers?.spec.clusterIP, "None");
  assert.equal(peers.spec.publishNotReadyAddresses, true);
  assert.equal(statefulSet.spec.podManagementPolicy, "Parallel");
  const ports = new Map(container.ports.map(({ name, containerPort }) => [name, containerPort]));
  for (const { spec } of services) {
    for (const { name, port } of spec.ports) assert.equal(ports.get(name), port, name);
  }
  for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
    assert.ok(ports.has(probe.httpGet.port));
  }
});

test("what the compose file mounts from here exists", () => {
  const { services } = parse(read("compose/compose.yaml")) as {
    services: Record<string, { volumes: string[] }>;
  };
  const mounted = Object.values(services)
    .flatMap(({ volumes }) => volumes)
    .filter((volume) => volume.startsWith("."))
    .map((volume) => volume.split(":")[0] ?? "");
  assert.ok(mounted.length > 3);
  for (const path of mounted) assert.ok(existsSync(join(deploy, "compose", path)), path);
});

test("panels of the dashboard have ids of their own and do not lie on each other", () => {
  const { panels } = dashboard;
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Map<string, string>();
  for (const { title, gridPos, targets = [] } of panels) {
    assert.ok(gridPos.x + gridPos.w <= 24, title);
    assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
    for (let cell = 0; cell < gridPos.w * gridPos.h; cell += 1) {
      const x = gridPos.x + (cell % gridPos.w);
      const y = gridPos.y + Math.floor(cell / gridPos.w);
      const key = `${String(x)} ${String(y)}`;
      assert.equal(taken.get(key), undefined, title);
      taken.set(key, title);
    }
  }
});

test("every variable that the manifests set is one of the server's", () => {
  const binary = join(root, "apps", "server", "bin", "etcd");
  const help = execFileSync(binary, ["--help"], { encoding: "utf8" });
  const texts = ["kubernetes/statefulset.yaml", "compose/compose.yaml", "systemd/etcd.default"];
  texts.push("systemd/etcd.service", "docker/Dockerfile");
  const names = new Set(
    texts.flatMap((path) => [...read(path).matchAll(/\bETCD_[A-Z_]+\b/g)].map(([name]) => name)),
  );
  names.delete("ETCD_PORT");
  assert.ok(names.size > 10);
  for (const name of names) {
    const flag = `--${name.slice("ETCD_".length).toLowerCase().replaceAll("_", "-")}`;
    assert.ok(help.includes(`${flag} `) || help.includes(`${flag}\n`), flag);
  }
});

describe("a member", () => {
  let cluster: Cluster;
  let metricsUrl: string;
  before(async () => {
    metricsUrl = `http://127.0.0.1:${String(await freePort())}`;
    cluster = await Cluster.start({ size: 1, flags: ["--listen-metrics-urls", metricsUrl] });
  });
  after(() => cluster.close());

  test("answers the probes on the port of metrics", async () => {
    for (const probe of [
      container.startupProbe,
      container.livenessProbe,
      container.readinessProbe,
    ]) {
      const response = await fetch(metricsUrl + probe.httpGet.path);
      assert.equal(response.status, 200, probe.httpGet.path);
    }
  });

  test("serves every metric that the dashboard and the alerts read", async () => {
    const page = await (await fetch(`${metricsUrl}/metrics`)).text();
    const served = new Set<string>();
    for (const [, name = "", type] of page.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
      const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
      for (const suffix of suffixes) served.add(name + suffix);
    }
    const queries = [
      ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
      ...rules.groups.flatMap((group) => group.rules.map(({ expr }) => expr)),
    ];
    const read = queries.flatMap(seriesOf);
    assert.ok(read.length > queries.length / 2);
    assert.deepEqual(
      [...new Set(read)].filter((name) => !served.has(name)),
      [],
    );
  });
});
