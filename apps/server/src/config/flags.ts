/**
 * Owns the rules by which a flag's text becomes a value: the reading of an argument list in the
 * manner of Go programs, the checking of each value, and where a value came from. The flags
 * themselves are in flag-table.ts, the environment in env.ts; what values mean together is
 * config.ts's business.
 */
import type { FlagSpec } from "./flag-spec.ts";
import type { FlagName } from "./flag-table.ts";
import { flagTable } from "./flag-table.ts";
import type { LogLevel } from "@etcd2/observability";
import { nearestFlag } from "./nearest-flag.ts";
import type { AddressPort, CollectorAddress, SocketUrl } from "./urls.ts";
import { parseAddressPort, parseCollector, parseSocketUrls } from "./urls.ts";

/** Something the server should log once its logger stands. */
export interface Notice {
  readonly level: LogLevel;
  /** Log package: "flags", "etcdmain" ... */
  readonly pkg: string;
  readonly message: string;
}

/** Where a value came from; a later one never replaces an earlier one. */
export type FlagSource = "flag" | "environment" | "file";

const specs: ReadonlyMap<string, FlagSpec> = new Map(flagTable.map((spec) => [spec.name, spec]));

const trueTexts = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const falseTexts = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** Whether the flag stands alone and takes a value only after "=". */
export function isSwitch(spec: FlagSpec): boolean {
  return spec.kind === "switch" || spec.kind === "ignored" || spec.kind === "noopSwitch";
}

/** A whole number as Go reads it: decimal, 0x, 0b, 0o or a leading 0 for octal. */
function parseCount(text: string): number | "parse error" | "value out of range" {
  const digits = /^0[0-7]+$/.test(text) ? `0o${text.slice(1)}` : text;
  if (!/^(?:[0-9]+|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)$/.test(digits)) return "parse error";
  const value = Number(digits);
  if (Number.isNaN(value)) return "parse error";
  return Number.isSafeInteger(value) ? value : "value out of range";
}

function countProblem(spec: FlagSpec, text: string): string | undefined {
  const value = parseCount(text);
  if (typeof value === "string") return value;
  if (value < (spec.min ?? 0) || value > (spec.max ?? Number.MAX_SAFE_INTEGER)) {
    return `must be between ${String(spec.min ?? 0)} and ${String(spec.max ?? "2^53")}`;
  }
  return undefined;
}

function choiceProblem({ choices = [] }: FlagSpec): string {
  const named = choices.filter((choice) => choice !== "");
  return `invalid value, must be ${named.slice(0, -1).join(", ")} or ${named.at(-1) ?? ""}`;
}

/** Why the text is no value for the flag; undefined when it is one. */
function problem(spec: FlagSpec, text: string): string | undefined {
  switch (spec.kind) {
    case "text":
    case "noop":
    case "ignored":
      return undefined;
    case "switch":
    case "noopSwitch":
      return trueTexts.has(text) || falseTexts.has(text) ? undefined : "parse error";
    case "count":
      return countProblem(spec, text);
    case "choice":
      return spec.choices?.includes(text) === true ? undefined : choiceProblem(spec);
    case "urls": {
      const parsed = parseSocketUrls(text);
      return parsed.ok ? undefined : parsed.error;
    }
    case "address": {
      const parsed = parseAddressPort(text);
      return parsed.ok ? undefined : parsed.error;
    }
    case "collector": {
      const parsed = parseCollector(text);
      return parsed.ok ? undefined : parsed.error;
    }
    case "unsupported":
      return `flag "-${spec.name}" is no longer supported.`;
    case "refused":
      if (text === "" || text === spec.default) return undefined;
      return "not supported by this server, and ignoring it would weaken its security";
  }
}

/** All flags with the values given so far. */
export class FlagSet {
  readonly #given = new Map<string, { readonly text: string; readonly source: FlagSource }>();
  readonly notices: Notice[] = [];

  /** Takes a value; the result says why it is refused, and is undefined when it was taken. */
  set(spec: FlagSpec, text: string, source: FlagSource): string | undefined {
    const reason = problem(spec, text);
    if (reason !== undefined) return reason;
    this.#note(spec);
    const target = spec.aliasOf ?? spec.name;
    const known = this.#given.get(target);
    if (known === undefined || known.source === source) this.#given.set(target, { text, source });
    return undefined;
  }

  isSet(name: FlagName): boolean {
    return this.#given.has(name);
  }

  /** Whether the value was given by anything of a higher rank than the source. */
  isShadowed(spec: FlagSpec, source: FlagSource): boolean {
    const known = this.#given.get(spec.aliasOf ?? spec.name);
    return known !== undefined && known.source !== source;
  }

  text(name: FlagName): string {
    return this.#given.get(name)?.text ?? specs.get(name)?.default ?? "";
  }

  count(name: FlagName): number {
    const value = parseCount(this.text(name));
    return typeof value === "number" ? value : 0;
  }

  on(name: FlagName): boolean {
    return trueTexts.has(this.text(name));
  }

  urls(name: FlagName): readonly SocketUrl[] {
    const text = this.text(name);
    const parsed = parseSocketUrls(text);
    return text !== "" && parsed.ok ? parsed.value : [];
  }

  address(name: FlagName): AddressPort | undefined {
    const parsed = parseAddressPort(this.text(name));
    return parsed.ok ? parsed.value : undefined;
  }

  collector(name: FlagName): CollectorAddress {
    const parsed = parseCollector(this.text(name));
    return parsed.ok ? parsed.value : { scheme: "http", authority: this.text(name) };
  }

  #note(spec: FlagSpec): void {
    const message = noteText(spec);
    if (message === undefined || this.notices.some((notice) => notice.message === message)) return;
    this.notices.push({ level: "warning", pkg: "flags", message });
  }
}

function noteText(spec: FlagSpec): string | undefined {
  if (spec.kind === "ignored") return `flag "-${spec.name}" is no longer supported - ignoring.`;
  if (spec.kind === "noop" || spec.kind === "noopSwitch") {
    return `flag "-${spec.name}" of etcd 3.x has no effect here - ignoring.${hint(spec)}`;
  }
  if (spec.replacedBy !== undefined) {
    return `flag "-${spec.name}" is deprecated: use -${spec.replacedBy} instead.`;
  }
  return undefined;
}

function hint(spec: FlagSpec): string {
  return spec.help === "" ? "" : ` ${spec.help}`;
}

/** The flag of that name; undefined when there is none. */
export function findFlag(name: string): FlagSpec | undefined {
  return specs.get(name);
}

/** How an argument list ended: all read, help wanted, or one clear error. */
export type ArgvOutcome =
  | { readonly kind: "ok"; readonly words: readonly string[] }
  | { readonly kind: "help" }
  | { readonly kind: "error"; readonly message: string };

function badFlag(message: string): ArgvOutcome {
  return { kind: "error", message };
}

function badValue(spec: FlagSpec, text: string, reason: string): ArgvOutcome {
  const boolean = spec.kind === "switch" || spec.kind === "noopSwitch";
  const shown = JSON.stringify(text);
  return badFlag(
    boolean
      ? `invalid boolean value ${shown} for -${spec.name}: ${reason}`
      : `invalid value ${shown} for flag -${spec.name}: ${reason}`,
  );
}

/**
 * Reads an argument list: `-flag value`, `-flag=value`, one dash or two, switches only with `=`.
 * Reading stops at the first plain word or after `--`; what remains is handed back.
 */
export function parseArgv(argv: readonly string[], flags: FlagSet): ArgvOutcome {
  let at = 0;
  while (at < argv.length) {
    const arg = argv[at] ?? "";
    if (!arg.startsWith("-") || arg === "-") break;
    at++;
    if (arg === "--") break;
    const match = /^--?([^-=][^=]*)(?:=([^]*))?$/.exec(arg);
    if (match === null) return badFlag(`bad flag syntax: ${arg}`);
    const name = match[1] ?? "";
    const spec = specs.get(name);
    if (spec === undefined) {
      if (name === "h" || name === "help") return { kind: "help" };
      const nearest = nearestFlag(name);
      const hint = nearest === undefined ? "" : `\nDid you mean --${nearest}?`;
      return badFlag(`flag provided but not defined: -${name}${hint}`);
    }
    let text = match[2];
    if (text === undefined && isSwitch(spec)) text = "true";
    if (text === undefined) {
      text = argv[at++];
      if (text === undefined) return badFlag(`flag needs an argument: -${name}`);
    }
    const reason = flags.set(spec, text, "flag");
    if (reason !== undefined) return badValue(spec, text, reason);
  }
  return { kind: "ok", words: argv.slice(at) };
}
