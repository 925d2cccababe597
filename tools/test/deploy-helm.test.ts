/** The Helm chart agrees with itself and with the server: values, their schema, templates and flags. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";

const root = join(import.meta.dirname, "..", "..");
const chart = join(root, "deploy", "helm", "etcd2");
const read = (name: string): string => readFileSync(join(chart, name), "utf8");
const templates = readdirSync(join(chart, "templates")).map((name) => read(`templates/${name}`));
type Tree = Readonly<Record<string, unknown>>;

const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Paths such as `tls.client.enabled`, those of inner nodes among them. */
function pathsOf(tree: Tree, prefix = ""): readonly string[] {
  return Object.entries(tree).flatMap(([name, value]) => {
    const path = `${prefix}${name}`;
    return [path, ...(isTree(value) ? pathsOf(value, `${path}.`) : [])];
  });
}

test("every value that a template asks for is in the file of values", () => {
  const known = new Set(pathsOf(parse(read("values.yaml")) as Tree));
  const asked = templates.flatMap((text) =>
    [...text.matchAll(/\.Values\.([A-Za-z.]+)/g)].flatMap(([, path]) => path ?? []),
  );
  assert.ok(asked.length > 30);
  assert.deepEqual(
    asked.filter((path) => !known.has(path)),
    [],
  );
});

test("the schema of the values knows each of them, and no other", () => {
  const check = (values: Tree, schema: Tree, path: string): void => {
    const properties = schema["properties"];
    if (!isTree(properties)) return;
    const names = Object.keys(properties).filter((name) => name !== "global");
    assert.deepEqual(Object.keys(values).sort(), names.sort(), path);
    assert.equal(schema["additionalProperties"], false, path);
    for (const [name, value] of Object.entries(values)) {
      const inner = properties[name];
      if (isTree(value) && isTree(inner)) check(value, inner, `${path}.${name}`);
    }
  };
  check(
    parse(read("values.yaml")) as Tree,
    JSON.parse(read("values.schema.json")) as Tree,
    "values",
  );
});

test("the variables that the chart sets are flags of the server", () => {
  const help = execFileSync(join(root, "apps/server/bin/etcd"), ["--help"], { encoding: "utf8" });
  const set = templates.flatMap((text) =>
    [...text.matchAll(/name: (ETCD_[A-Z_]+)/g)].flatMap(([, name]) => name ?? []),
  );
  assert.ok(set.length > 15);
  for (const name of set) {
    const flag = name.slice("ETCD_".length).toLowerCase().replaceAll("_", "-");
    assert.ok(help.includes(`--${flag} `), `${name} has no flag`);
  }
});

test("blocks of templates are closed, and the chart has the version of the project", () => {
  for (const text of templates) {
    const opened = text.match(/\{\{-? (?:if|range|with|define) /g)?.length ?? 0;
    const closed = text.match(/\{\{-? end -?\}\}/g)?.length ?? 0;
    assert.equal(opened, closed, text);
  }
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly version: string;
  };
  assert.equal((parse(read("Chart.yaml")) as Tree)["appVersion"], version);
});
