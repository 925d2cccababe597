/**
 * Owns the ETCD_* variables: which flag each stands for, and what is logged about their use. It
 * never reads the process environment itself.
 */
import { flagTable } from "./flag-table.ts";
import type { FlagSet } from "./flags.ts";
import { hideCredentials } from "./hide-credentials.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * A variable with the prefix that is no flag and means nothing here: scripts set it for etcd on
 * architectures that it does not support.
 */
const silent = new Set(["ETCD_UNSUPPORTED_ARCH"]);
const notFromEnvironment = new Set(["version"]);

/**
 * A value as the log may show it: images keep passwords in variables with the prefix too, and a URL
 * may hold one.
 */
function shown(variable: string, text: string): string {
  if (/PASS|SECRET|CREDENTIAL/.test(variable) && text !== "") return "***";
  return hideCredentials(text);
}

/** The variable that stands for a flag. */
export function variableOf(flagName: string): string {
  return `ETCD_${flagName.toUpperCase().replaceAll("-", "_")}`;
}

/**
 * Gives every flag that was not set on the command line the value of its variable.
 * @returns one clear error, or undefined.
 */
export function applyEnvironment(env: Environment, flags: FlagSet): string | undefined {
  const used = new Set<string>();
  const shadowed = new Set<string>();
  for (const spec of flagTable.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const variable = variableOf(spec.name);
    const text = env[variable] ?? "";
    if (text === "" || notFromEnvironment.has(spec.name)) continue;
    if (flags.isShadowed(spec, "environment")) {
      shadowed.add(variable);
      continue;
    }
    used.add(variable);
    const reason = flags.set(spec, text, "environment");
    if (reason !== undefined)
      return `invalid value ${JSON.stringify(text)} for ${variable}: ${reason}`;
    const message = `recognized and used environment variable ${variable}=${shown(variable, text)}`;
    flags.notices.push({ level: "info", pkg: "flags", message });
  }
  for (const [variable, text = ""] of Object.entries(env)) {
    if (used.has(variable) || silent.has(variable)) continue;
    if (shadowed.has(variable)) {
      const message = `recognized environment variable ${variable}, but unused: shadowed by corresponding flag `;
      flags.notices.push({ level: "info", pkg: "flags", message });
    } else if (variable.startsWith("ETCD_")) {
      const message = `unrecognized environment variable ${variable}=${shown(variable, text)}`;
      flags.notices.push({ level: "warning", pkg: "flags", message });
    }
  }
  return undefined;
}
