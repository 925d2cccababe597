/**
 * The template language of the traces: variables, concrete placeholders for requests, patterns
 * for expectations. Texts are byte strings. Knows no HTTP.
 */

/** A difference between a trace and the server. */
export class TraceMismatch extends Error {
  override readonly name = "TraceMismatch";
}

const PLACEHOLDER = /\$\{([^}]*)\}/g;

const PATTERNS: Readonly<Record<string, RegExp>> = {
  uint: /\d+/y,
  int: /-?\d+/y,
  num: /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y,
  hex: /[0-9a-f]{1,16}/y,
  time: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z/y,
  str: /(?:[^"\\]|\\.)*/y,
  line: /[^\n]*/y,
};

/** The variables of one run. */
export class TraceVariables {
  readonly #values = new Map<string, unknown>();

  set(name: string, value: unknown): void {
    this.#values.set(name, value);
  }

  get(name: string): unknown {
    return this.#values.get(name);
  }

  /** Replaces all placeholders. @throws TraceMismatch for one that stands for no text. */
  expand(template: string): string {
    return template.replace(PLACEHOLDER, (placeholder, expression: string) => {
      const text = this.#concrete(expression);
      if (text === undefined) throw new TraceMismatch(`cannot expand ${placeholder}`);
      return text;
    });
  }

  /** @throws TraceMismatch at the first difference. */
  match(template: string, actual: string): void {
    let at = 0;
    let copied = 0;
    for (const found of template.matchAll(PLACEHOLDER)) {
      at = literal(template.slice(copied, found.index), actual, at);
      copied = found.index + found[0].length;
      at = this.#placeholder(found[1] ?? "", actual, at);
    }
    at = literal(template.slice(copied), actual, at);
    if (at < actual.length) {
      throw new TraceMismatch(`unexpected text after the end: ${excerpt(actual, at)}`);
    }
  }

  #placeholder(expression: string, actual: string, at: number): number {
    const text = this.#concrete(expression);
    if (text !== undefined) return literal(text, actual, at);
    const isTtl = expression.startsWith("ttl:");
    const pattern = PATTERNS[isTtl ? "int" : expression];
    if (pattern === undefined) throw new TraceMismatch(`unknown placeholder ${expression}`);
    pattern.lastIndex = at;
    const found = pattern.exec(actual)?.[0];
    const isClose = !isTtl || Math.abs(Number(found) - Number(expression.slice(4))) <= 1;
    if (found === undefined || !isClose) {
      throw new TraceMismatch(`at ${at}: expected \${${expression}}, got ${excerpt(actual, at)}`);
    }
    return at + found.length;
  }

  /** Text of a placeholder that stands for one, undefined for patterns. */
  #concrete(expression: string): string | undefined {
    const repeated = /^rep:(.*):(\d+)$/s.exec(expression);
    if (repeated !== null) return (repeated[1] ?? "").repeat(Number(repeated[2]));
    const parsed = /^([A-Za-z_][\w.]*)([+-]\d+)?(?:\|0(\d+))?$/.exec(expression);
    if (parsed === null) return undefined;
    const [, path = "", offset, width] = parsed;
    let value = this.#lookup(path);
    if (value === undefined) return undefined;
    if (offset !== undefined) value = Number(value) + Number(offset);
    if (width !== undefined) return String(value).padStart(Number(width), "0");
    return typeof value === "string" ? value : JSON.stringify(value);
  }

  #lookup(path: string): unknown {
    if (this.#values.has(path)) return this.#values.get(path);
    const [name = "", ...fields] = path.split(".");
    let value = this.#values.get(name);
    for (const field of fields) {
      if (typeof value !== "object" || value === null) return undefined;
      value = (value as Record<string, unknown>)[field];
    }
    return value;
  }
}

function literal(wanted: string, actual: string, at: number): number {
  if (actual.startsWith(wanted, at)) return at + wanted.length;
  let same = 0;
  while (same < wanted.length && actual[at + same] === wanted[same]) same++;
  const expected = excerpt(wanted, same);
  throw new TraceMismatch(
    `at ${at + same}: expected ${expected}, got ${excerpt(actual, at + same)}`,
  );
}

/** A piece of text around a position, for messages. */
export function excerpt(text: string, at: number): string {
  return JSON.stringify(text.slice(Math.max(0, at - 20), at + 80));
}
