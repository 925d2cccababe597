/** The table of parameters: what is known is used, what is not is ignored, and the page says the same. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { EtcdError } from "@etcd2/store";
import fc from "fast-check";
import { FormValues } from "../../src/keys/form-values.ts";
import {
  KEY_PARAMETER_NAMES,
  KEY_PARAMETER_RULES,
  KEY_PARAMETERS,
  PARAMETER_KINDS,
  type KeyMethod,
  type ParameterKind,
} from "../../src/keys/key-parameters.ts";
import { parseKeyRequest, PLAIN_GET, type KeyRequest } from "../../src/keys/parse-key-request.ts";
import { seed } from "../seed.ts";

function parse(method: KeyMethod, form: string): KeyRequest | EtcdError {
  const given = new FormValues();
  assert.equal(given.add(form), undefined);
  return parseKeyRequest(method, given);
}

/** Values that each kind accepts, and what they are read as, other than what stands for "not given". */
const GOOD: { readonly [Kind in ParameterKind]: readonly [text: string, value: unknown] } = {
  index: ["7", 7],
  flag: ["true", true],
  choice: ["false", false],
  condition: ["x", "x"],
  seconds: ["5", "5"],
  text: ["v", "v"],
};

test("a known parameter is never ignored", () => {
  for (const name of KEY_PARAMETER_NAMES) {
    const [text, value] = GOOD[KEY_PARAMETERS[name].kind];
    const form = name === "refresh" ? `${name}=${text}&ttl=1` : `${name}=${text}`;
    const request = parse("GET", form);
    if (request instanceof EtcdError) assert.fail(`${form}: ${request.cause}`);
    assert.notDeepEqual(PLAIN_GET[name], value);
    assert.deepEqual(request[name], value, name);
  }
});

test("a bad value of a known parameter is never accepted", () => {
  for (const name of KEY_PARAMETER_NAMES) {
    const { kind, ...refusal } = { code: undefined, cause: undefined, ...KEY_PARAMETERS[name] };
    if (kind === "text") continue;
    const refused = parse("GET", `${name}=${kind === "condition" ? "" : "bad"}`);
    assert.ok(refused instanceof EtcdError, name);
    assert.deepEqual({ code: refused.code, cause: refused.cause }, refusal);
  }
});

test("a name that is no parameter is ignored, whatever its value", () => {
  const known: readonly string[] = KEY_PARAMETER_NAMES;
  const near = fc
    .constantFrom(...KEY_PARAMETER_NAMES)
    .chain((name) =>
      fc.constantFrom(name.toUpperCase(), `${name} `, `${name}s`, name.slice(1), `_${name}`),
    );
  const inherited = fc.constantFrom("constructor", "__proto__", "toString", "method", "length");
  const name = fc.oneof(
    fc.string({ unit: "grapheme" }),
    near,
    inherited,
    fc.constant("noValueOnSuccess"),
  );
  fc.assert(
    fc.property(
      name.filter((text) => !known.includes(text)),
      fc.string({ unit: "grapheme" }),
      fc.constantFrom<KeyMethod>("GET", "PUT", "POST", "DELETE", "HEAD"),
      (unknown, value, method) => {
        const form = `${encodeURIComponent(unknown)}=${encodeURIComponent(value)}`;
        assert.deepEqual(parse(method, form), { ...PLAIN_GET, method });
        const among = parse(method, `value=a&${form}&dir=true`);
        assert.deepEqual(among, { ...PLAIN_GET, method, value: "a", dir: true });
      },
    ),
    { seed },
  );
});

const PAGE = join(import.meta.dirname, "../../../../docs/spec/http-api.md");
const BEGIN =
  "<!-- From libs/api-v2/src/keys/key-parameters.ts; REWRITE=1 in its test writes it anew. -->\n\n";
const END = "\n<!-- End of the table. -->\n";

/** The checks as the page shows them. */
function pageTable(): string {
  const rows: [parameter: string, code: number, cause: string][] = [];
  for (const name of KEY_PARAMETER_NAMES) {
    const { code, cause } = { code: undefined, cause: "", ...KEY_PARAMETERS[name] };
    const { words } = PARAMETER_KINDS[KEY_PARAMETERS[name].kind];
    if (code !== undefined) rows.push([`\`${name}\` ${words}`, code, cause]);
    for (const rule of KEY_PARAMETER_RULES) {
      if (rule.after === name) rows.push([rule.when, rule.code, rule.cause]);
    }
  }
  const cells = rows.map(([parameter, code, cause], at) => [
    String(at + 1),
    parameter,
    String(code),
    `\`${cause}\``,
  ]);
  return alignedTable([["#", "parameter", "error", "cause"], ...cells]);
}

function alignedTable([head = [], ...rows]: string[][]): string {
  const widths = head.map((_, column) =>
    Math.max(3, ...[head, ...rows].map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |\n`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |\n`;
  return line(head) + rule + rows.map(line).join("");
}

test("the page of the API shows the table as it is", () => {
  const page = readFileSync(PAGE, "utf8");
  const from = page.indexOf(BEGIN) + BEGIN.length;
  const to = page.indexOf(END, from);
  assert.ok(from >= BEGIN.length && to > from, "the page has lost the marks of the table");
  if (process.env["REWRITE"] === "1") {
    writeFileSync(PAGE, page.slice(0, from) + pageTable() + page.slice(to));
  }
  const shown = readFileSync(PAGE, "utf8");
  assert.equal(shown.slice(from, shown.indexOf(END, from)), pageTable());
});
