/** The JSON schema of the configuration file says what the server takes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { parse } from "yaml";
import { configSchema } from "../../src/config/config-schema.ts";

const docs = join(import.meta.dirname, "..", "..", "..", "..", "docs");
const validate = new Ajv2020({ allErrors: true, strict: false }).compile(configSchema());

test("the schema in docs follows from the table of flags: npm run config:schema writes it", () => {
  const written: unknown = JSON.parse(
    readFileSync(join(docs, "configuration.schema.json"), "utf8"),
  );
  assert.deepEqual(written, JSON.parse(JSON.stringify(configSchema())));
});

test("the file that the documentation shows is valid", () => {
  const page = readFileSync(join(docs, "configuration.md"), "utf8");
  const [, example = ""] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  assert.match(example, /data-dir/);
  assert.ok(validate(parse(example)), JSON.stringify(validate.errors));
});

const good = [
  "snapshot-count: 5000",
  "snapshot-count: '5000'",
  "debug: yes",
  "proxy: off",
  "proxy: readonly",
  "listen-client-urls: [http://127.0.0.1:2379, http://127.0.0.1:4001]",
  "peer-transport-security: { cert-file: peer.pem }",
  "enable-v2: true",
  "",
];
const bad = [
  "snapshot-count: many",
  "heartbeat-interval: -1",
  "debug: perhaps",
  "proxy: sometimes",
  "nmae: infra0",
  "config-file: other.yaml",
  "cipher-suites: [a]",
  "- name",
];

for (const text of good) {
  test(`the schema takes ${JSON.stringify(text)}`, () => {
    assert.ok(validate(parse(text)), JSON.stringify(validate.errors));
  });
}
for (const text of bad) {
  test(`the schema refuses ${JSON.stringify(text)}`, () => {
    assert.ok(!validate(parse(text)));
  });
}
