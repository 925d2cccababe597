/**
 * Owns the JSON schema of the configuration file, made from the table of flags: what an editor or a check
 * before the start can know of a file. The server itself reads files by config-file.ts.
 */
import type { FlagSpec } from "./flag-spec.ts";
import { flagTable } from "./flag-table.ts";

/** A JSON schema, as far as it is used here. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** What a file may not hold: the name of the file itself, and what ends the program. */
const notInFiles = new Set(["config-file", "version"]);

/** The keys of the sections for TLS that etcd 3.x has, under which flags they are. */
const sections: Readonly<Record<string, string>> = {
  "client-transport-security": "",
  "peer-transport-security": "peer-",
};
const sectionKeys = ["cert-file", "key-file", "client-cert-auth", "trusted-ca-file", "auto-tls"];

const SWITCH =
  "^(?:1|t|T|true|TRUE|True|0|f|F|false|FALSE|False|[yY]|[yY][eE][sS]|[oO][nN]|[nN]|[nN][oO]|[oO][fF][fF])$";

function typeOf(flag: FlagSpec): JsonSchema {
  const { kind, choices, min = 0, max } = flag;
  if (choices !== undefined) {
    // YAML takes `on` and `off` for words, and other readers for true and false.
    return choices.includes("off") ? { enum: [...choices, true, false] } : { enum: choices };
  }
  switch (kind) {
    case "switch":
    case "ignored":
    case "noopSwitch":
      return { anyOf: [{ type: "boolean" }, { type: "string", pattern: SWITCH }] };
    case "count":
      return {
        anyOf: [
          { type: "integer", minimum: min, ...(max === undefined ? {} : { maximum: max }) },
          { type: "string", pattern: "^[0-9]+$" },
        ],
      };
    case "noop":
      return {};
    case "text":
    case "choice":
    case "urls":
    case "address":
    case "collector":
    case "unsupported":
    case "refused":
      return {
        anyOf: [
          { type: ["string", "number", "boolean", "null"] },
          { type: "array", items: { type: "string" } },
        ],
      };
  }
}

function propertyOf(flag: FlagSpec): JsonSchema {
  const isOld = flag.group === "deprecated" || flag.group === "foreign";
  return {
    ...typeOf(flag),
    ...(flag.help === "" ? {} : { description: flag.help }),
    ...(flag.default === "" ? {} : { default: flag.default }),
    ...(isOld ? { deprecated: true } : {}),
  };
}

/** The schema: one key for each flag that a file may hold, and the sections for TLS. */
export function configSchema(): JsonSchema {
  const usable = flagTable.filter(
    ({ name, kind }) => !notInFiles.has(name) && kind !== "refused" && kind !== "unsupported",
  );
  const properties: Record<string, JsonSchema> = {};
  for (const flag of usable) properties[flag.name] = propertyOf(flag);
  for (const [section, prefix] of Object.entries(sections)) {
    const keys: Record<string, JsonSchema> = {};
    for (const key of sectionKeys) {
      const property = properties[prefix + key];
      if (property !== undefined) keys[key] = property;
    }
    properties[section] = { type: ["object", "null"], properties: keys };
  }
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Configuration file of etcd2",
    type: ["object", "null"],
    properties,
    additionalProperties: false,
  };
}
