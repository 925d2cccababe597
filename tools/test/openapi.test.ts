/**
 * docs/api/openapi.yaml is a valid OpenAPI 3.1 document, and what was recorded of the original server is as
 * it says: addresses, methods, statuses, headers and bodies.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parse } from "yaml";
import { loadTraces, type TraceStep } from "@etcd2/test-support/traces";

const root = join(import.meta.dirname, "..", "..");

interface Reference {
  readonly $ref?: string;
}
interface Answer extends Reference {
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}
interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Reference[];
  readonly responses: Readonly<Record<string, Answer>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: object;
}

const text = readFileSync(join(root, "docs", "api", "openapi.yaml"), "utf8");
const document = parse(text) as Document;
const ajv = new Ajv2020({ strict: false, allErrors: false });
addFormats.default(ajv);
ajv.addSchema(document, "openapi");

/** What a reference leads to; the thing itself when it is none. */
function resolved<T extends Reference>(value: T): T {
  const { $ref } = value;
  if ($ref === undefined) return value;
  let found: unknown = document;
  for (const part of $ref.slice(2).split("/")) found = (found as Record<string, unknown>)[part];
  assert.ok(found !== undefined, $ref);
  return found as T;
}

const validators = new Map<object, ValidateFunction>();

function validatorOf(schema: object): ValidateFunction {
  const known = validators.get(schema);
  if (known !== undefined) return known;
  const absolute = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/')) as object;
  const made = ajv.compile(absolute);
  validators.set(schema, made);
  return made;
}

/** The template of paths that a target belongs to: the one with the fewest variables. */
function templateOf(target: string): string | undefined {
  const [path = ""] = target.split("?");
  // The subtree of the keys is one address, and collections take a slash at their end.
  const clean = /^\/v2\/(?:keys|members|auth\/(?:users|roles))\/$/.test(path)
    ? path.slice(0, -1)
    : path;
  if (clean.startsWith("/v2/keys/")) return "/v2/keys/{key}";
  return Object.keys(document.paths)
    .filter((template) => new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(clean))
    .sort((a, b) => a.split("{").length - b.split("{").length)[0];
}

/** A recorded body with something in place of each placeholder. */
function filled(body: string): string {
  return body.replaceAll(/\$\{([^}]*)\}/g, (_, expression: string) => {
    if (expression === "time") return "2026-12-01T10:00:00Z";
    if (/^(?:p|hex|str|line)$/.test(expression)) return expression === "p" ? "/p" : "a1";
    const repeated = /^rep:(.*):(\d+)$/s.exec(expression);
    if (repeated !== null) return (repeated[1] ?? "").repeat(Number(repeated[2]));
    return /\|0/.test(expression) ? "00000000000000000007" : "7";
  });
}

/** Recorded curiosities that nobody should build on: a broken escape, and an id that POST overlooks. */
const curiosities = ["/v2/members/%zz", "/v2/members/anything"];

/** Why a recorded step is not as the document says; undefined when it is, or when it is about neither. */
function complaint(step: TraceStep): string | undefined {
  const { method = "", expect } = step;
  const target = filled(step.target ?? "");
  const status = expect?.status;
  if (expect === undefined || status === undefined || target === "" || method === "OPTIONS") return;
  if (curiosities.includes(target)) return;
  const template = templateOf(target);
  // Neither an address nor a method of the API: the server says so, and the document is silent.
  if (template === undefined)
    return status === 404 || status === 301 || status === 400 || status === 405
      ? undefined
      : "no such path";
  const operation = document.paths[template]?.[method.toLowerCase()];
  if (operation === undefined)
    return status === 405 || status === 404 ? undefined : "no such method";
  const found = operation.responses[String(status)];
  if (found === undefined) return `${operation.operationId} has no ${String(status)}`;
  const { headers = {}, content = {} } = resolved(found);
  for (const name of Object.keys(expect.headers ?? {})) {
    const isOwn = /^x-(?:etcd|raft)/i.test(name);
    if (
      isOwn &&
      template.startsWith("/v2/keys") &&
      method !== "HEAD" &&
      !(name in headers) &&
      status < 300
    )
      return `${operation.operationId} ${String(status)} has no ${name}`;
  }
  if (method === "HEAD" || expect.body === undefined || expect.body === "") return;
  const type = expect.headers?.["Content-Type"]?.split(";")[0] ?? "application/json";
  const media = content[type] ?? content["application/json"];
  if (media === undefined) return status === 301 ? undefined : `no ${type} for ${String(status)}`;
  const body = filled(expect.body);
  let value: unknown = body;
  if (type === "application/json") {
    if (/\$\{/.test(body)) return;
    value = JSON.parse(body.trimEnd().split("\n")[0] ?? "");
  }
  const validate = validatorOf(media.schema);
  return validate(value) ? undefined : `${ajv.errorsText(validate.errors)}: ${body}`;
}

test("the document is valid OpenAPI 3.1", async () => {
  const { valid, errors } = await new Validator().validate(text);
  assert.ok(valid, JSON.stringify(errors));
});

test("every recorded request and answer is as the document says", () => {
  const complaints: string[] = [];
  const met = new Set<string>();
  let count = 0;
  for (const { scenarios } of loadTraces(
    join(root, "libs", "api-v2", "test", "fixtures", "http-traces"),
  )) {
    for (const { name, setup = [], steps, cleanup = [] } of scenarios) {
      for (const step of [...setup, ...steps, ...cleanup]) {
        const reason = complaint(step);
        const { method = "" } = step;
        const target = filled(step.target ?? "");
        if (reason !== undefined) complaints.push(`${name}: ${method} ${target}: ${reason}`);
        const template = templateOf(target);
        if (template === undefined) continue;
        count += 1;
        met.add(`${method.toLowerCase()} ${template}`);
      }
    }
  }
  assert.deepEqual(complaints, []);
  assert.ok(count > 1000, String(count));
  // What the original does not have, and what was not recorded of it.
  const unmet = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations)
      .filter((method) => method !== "parameters" && !met.has(`${method} ${path}`))
      .map((method) => `${method} ${path}`),
  );
  assert.ok(unmet.length <= 8, unmet.join(", "));
});

test("an answer that is not as the document says is found", () => {
  const step = {
    method: "GET",
    target: "/v2/keys/a",
    expect: { status: 200, body: '{"action":"got"}' },
  };
  assert.match(complaint(step) ?? "", /action|node/);
  assert.match(complaint({ ...step, expect: { status: 418 } }) ?? "", /has no 418/);
  assert.match(
    complaint({ ...step, target: "/v3/keys", expect: { status: 200 } }) ?? "",
    /no such path/,
  );
});
