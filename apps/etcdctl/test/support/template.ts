/**
 * Templates of transcripts: texts with `{{NAME}}` tokens that stand for known values, patterns, or
 * values remembered from an earlier match.
 */

const patterns: Readonly<Record<string, string>> = {
  n: "\\d+",
  hex: "[0-9a-f]{1,16}",
  any: "[^\\n]*?",
  word: "\\S+?",
  text: "[^]*?",
  time: "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(?:\\.\\d+)?(?:Z|[+-]\\d\\d:\\d\\d)",
  logts: "\\d{4}[-/]\\d\\d[-/]\\d\\d \\d\\d:\\d\\d:\\d\\d(?:\\.\\d+)?(?: [A-Z] \\|)?",
  ARGV0: "\\S*etcdctl\\S*",
};

const token = /\{\{([^{}]+)\}\}/g;

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** The values of one file of transcripts. */
export class Templates {
  readonly #known: ReadonlyMap<string, string>;
  readonly #remembered = new Map<string, string>();

  constructor(known: Readonly<Record<string, string>>) {
    this.#known = new Map(Object.entries(known));
  }

  remember(name: string, value: string): void {
    this.#remembered.set(name, value);
  }

  /** Replaces every token by its value. @throws when one has none. */
  fill(template: string): string {
    return template.replace(token, (_all, name: string) => {
      const value = this.#known.get(name) ?? this.#remembered.get(name) ?? this.#computed(name);
      if (value === undefined) throw new Error(`unknown template variable {{${name}}}`);
      return value;
    });
  }

  /** Whether a text fits; on success the named parts are remembered. */
  fits(template: string, actual: string): boolean {
    const names: string[] = [];
    let source = "";
    let end = 0;
    for (const match of template.matchAll(token)) {
      source += literal(template.slice(end, match.index));
      end = match.index + match[0].length;
      source += this.#pattern(match[1] ?? "", names);
    }
    const found = new RegExp(`^${source}${literal(template.slice(end))}$`).exec(actual);
    if (found === null) return false;
    names.forEach((name, i) => this.#remembered.set(name, found[i + 1] ?? ""));
    return true;
  }

  /** `n:name+2` from a remembered number, `hex:name` from a remembered text. */
  #computed(name: string): string | undefined {
    const number = /^n:(\w+?)([+-]\d+)?$/.exec(name);
    const base = this.#remembered.get(number?.[1] ?? "");
    if (base !== undefined) return String(Number(base) + Number(number?.[2] ?? 0));
    const text = /^(?:hex|any|word|time):(\w+)$/.exec(name);
    return this.#remembered.get(text?.[1] ?? "");
  }

  #pattern(name: string, names: string[]): string {
    const value = this.#known.get(name) ?? this.#computed(name) ?? this.#remembered.get(name);
    if (value !== undefined) return literal(value);
    const ttl = /^ttl:(\d+)$/.exec(name);
    if (ttl !== null) {
      const first = Number(ttl[1]);
      const accepted = Array.from({ length: Math.min(first, 12) }, (_, i) => first - i);
      return `(?:${accepted.join("|")})`;
    }
    const named = /^(\w+):(\w+)$/.exec(name);
    const pattern = patterns[named?.[1] ?? name];
    if (pattern === undefined) throw new Error(`unknown template token {{${name}}}`);
    if (named === null) return pattern;
    names.push(named[2] ?? "");
    return `(${pattern})`;
  }
}
