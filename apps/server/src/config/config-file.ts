/**
 * Owns the YAML configuration file: flag names as keys, as in etcd 3.x, with its two nested
 * sections for TLS. It yields texts; flags.ts checks them like any other value.
 */
import type { FlagSet } from "./flags.ts";
import { findFlag } from "./flags.ts";
import { nearestFlag } from "./nearest-flag.ts";
import { messageOf } from "../base/message-of.ts";

/** Sections of etcd 3.x files whose keys are flags under a prefix. */
const sections: Readonly<Record<string, string>> = {
  "client-transport-security": "",
  "peer-transport-security": "peer-",
};

/** Keys inside the sections that are named otherwise than the flag. */
const renamed: Readonly<Record<string, string>> = {
  "allowed-cn": "cert-allowed-cn",
  "allowed-hostname": "cert-allowed-hostname",
};

function reasonOf(error: unknown): string {
  const text = messageOf(error);
  const line = text.split("\n", 1)[0] ?? text;
  // Of a system call's failure the reason alone: what was done to which file is said around it.
  return line.replace(/:$/, "").replace(/^E[A-Z]+: (.*), [a-z]+(?: '.*')?$/, "$1");
}

function textOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((part) => typeof part === "string"))
    return value.join(",");
  return undefined;
}

/** YAML 1.1 has more words for true and false, and etcd 3.x reads them. */
function switchText(text: string | undefined): string | undefined {
  if (text !== undefined && /^(?:y|yes|on)$/i.test(text)) return "true";
  if (text !== undefined && /^(?:n|no|off)$/i.test(text)) return "false";
  return text;
}

function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function setFromFile(flags: FlagSet, name: string, value: unknown): string | undefined {
  const spec = findFlag(name);
  if (spec === undefined || name === "config-file" || name === "version") {
    const nearest = nearestFlag(name);
    return `unknown key "${name}"${nearest === undefined || nearest === name ? "" : `; did you mean "${nearest}"?`}`;
  }
  const text = spec.kind === "switch" ? switchText(textOf(value)) : textOf(value);
  if (text === undefined) return `key "${name}" must be a single value or a list of values`;
  if (text === "" || flags.isShadowed(spec, "file")) return undefined;
  const reason = flags.set(spec, text, "file");
  return reason === undefined
    ? undefined
    : `invalid value ${JSON.stringify(text)} for ${name}: ${reason}`;
}

function applySection(
  flags: FlagSet,
  { name: title, prefix }: { readonly name: string; readonly prefix: string },
  section: unknown,
): string | undefined {
  if (textOf(section) === "") return undefined;
  if (!isSection(section)) return `section "${title}" must be a map of flag names to values`;
  for (const [key, value] of Object.entries(section)) {
    const name = renamed[key] ?? key;
    const flag = name.startsWith(prefix) ? name : prefix + name;
    const problem = setFromFile(flags, flag, value);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/**
 * Gives every flag that was set neither on the command line nor by a variable its value from the
 * file. The YAML reader is loaded only here: most starts have no file.
 * @returns one clear error naming the file, or undefined.
 */
export async function applyConfigFile(
  path: string,
  readFile: (path: string) => string,
  flags: FlagSet,
): Promise<string | undefined> {
  const { parse } = await import("yaml");
  let root: unknown;
  try {
    // The failsafe schema leaves every scalar as it is written, so `name: 007` stays "007"; only
    // null and ~ are no texts, as in every YAML reader.
    root = parse(readFile(path), { schema: "failsafe", customTags: ["null"] });
  } catch (error) {
    return `cannot read configuration file ${path}: ${reasonOf(error)}`;
  }
  if (root === null || root === undefined || root === "") return undefined;
  if (!isSection(root)) return `configuration file ${path}: must be a map of flag names to values`;
  for (const [key, value] of Object.entries(root)) {
    const prefix = sections[key];
    const problem =
      prefix === undefined
        ? setFromFile(flags, key, value)
        : applySection(flags, { name: key, prefix }, value);
    if (problem !== undefined) return `configuration file ${path}: ${problem}`;
  }
  return undefined;
}
