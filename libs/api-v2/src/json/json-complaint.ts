/**
 * What is wrong with a text that is no JSON, in the words of Go's JSON decoder, which etcd
 * 2.3.8 uses: clients show them to people, and the runtime's words name its own inner workings. Only looked at when the
 * runtime has refused the text.
 */

type State = (character: string) => string | undefined;

/** Finds the first fault; undefined when there is none. `text` has one character per byte. */
export function jsonComplaint(text: string): string | undefined {
  const scanner = new Scanner();
  for (const character of text) {
    const fault = scanner.step(character);
    if (fault !== undefined) return `invalid character ${quoted(character)} ${fault}`;
  }
  // A number ends where the text does; etcd 2.3.8 looks at a blank there too.
  const fault = scanner.step(" ");
  if (fault !== undefined) return `invalid character ' ' ${fault}`;
  return scanner.isDone ? undefined : "unexpected end of JSON input";
}

function quoted(character: string): string {
  if (character === "'") return "'\\''";
  if (character === '"') return "'\"'";
  const code = character.charCodeAt(0);
  const short = { 7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r" }[code];
  if (short !== undefined) return `'${short}'`;
  if (character === "\\") return "'\\\\'";
  if (code < 0x20 || code === 0x7f) return `'\\x${code.toString(16).padStart(2, "0")}'`;
  return code >= 0x80 && code < 0xa0 ? `'\\u00${code.toString(16)}'` : `'${character}'`;
}

const isBlank = (c: string): boolean => c === " " || c === "\t" || c === "\r" || c === "\n";
const isDigit = (c: string): boolean => c >= "0" && c <= "9";

/** Takes one character after another; each state says what is wrong with one, if anything is. */
class Scanner {
  /** What is open: an object before the colon of a field, after it, or an array. */
  readonly #open: ("key" | "field" | "array")[] = [];
  #state: State;

  constructor() {
    this.#state = this.#value;
  }

  get isDone(): boolean {
    return this.#state === this.#end && this.#open.length === 0;
  }

  step(character: string): string | undefined {
    return this.#state(character);
  }

  readonly #value: State = (c) => {
    if (isBlank(c)) return undefined;
    if (c === "{") {
      this.#open.push("key");
      this.#state = this.#firstKey;
    } else if (c === "[") {
      this.#open.push("array");
      this.#state = this.#firstElement;
    } else if (c === '"') this.#state = this.#string;
    else if (c === "-") this.#state = this.#minus;
    else if (c === "0") this.#state = this.#zero;
    else if (isDigit(c)) this.#state = this.#digits;
    else {
      const word = { t: "true", f: "false", n: "null" }[c];
      if (word === undefined) return "looking for beginning of value";
      this.#state = this.#literal(word, 1);
    }
    return undefined;
  };

  readonly #firstElement: State = (c) => {
    if (c !== "]") return this.#value(c);
    this.#close();
    return undefined;
  };

  readonly #firstKey: State = (c) => {
    if (c !== "}") return this.#key(c);
    this.#close();
    return undefined;
  };

  readonly #key: State = (c) => {
    if (isBlank(c)) return undefined;
    if (c !== '"') return "looking for beginning of object key string";
    this.#state = this.#string;
    return undefined;
  };

  /** Behind a complete value or key. */
  readonly #end: State = (c) => {
    if (isBlank(c)) return undefined;
    const inside = this.#open.at(-1);
    if (inside === undefined) return "after top-level value";
    if (inside === "key") {
      if (c !== ":") return "after object key";
      this.#open[this.#open.length - 1] = "field";
      this.#state = this.#value;
    } else if (inside === "field") {
      if (c === "}") this.#close();
      else if (c === ",") {
        this.#open[this.#open.length - 1] = "key";
        this.#state = this.#key;
      } else return "after object key:value pair";
    } else if (c === "]") this.#close();
    else if (c === ",") this.#state = this.#value;
    else return "after array element";
    return undefined;
  };

  #close(): void {
    this.#open.pop();
    this.#state = this.#end;
  }

  readonly #string: State = (c) => {
    if (c === '"') this.#state = this.#end;
    else if (c === "\\") this.#state = this.#escape;
    else if (c < " ") return "in string literal";
    return undefined;
  };

  readonly #escape: State = (c) => {
    if (c === "u") this.#state = this.#hex(4);
    else if ('bfnrt\\/"'.includes(c)) this.#state = this.#string;
    else return "in string escape code";
    return undefined;
  };

  #hex(left: number): State {
    return (c) => {
      if (!/[0-9a-fA-F]/.test(c)) return "in \\u hexadecimal character escape";
      this.#state = left === 1 ? this.#string : this.#hex(left - 1);
      return undefined;
    };
  }

  #literal(word: string, at: number): State {
    return (c) => {
      const wanted = word.charAt(at);
      if (c !== wanted) return `in literal ${word} (expecting '${wanted}')`;
      this.#state = at + 1 === word.length ? this.#end : this.#literal(word, at + 1);
      return undefined;
    };
  }

  readonly #minus: State = (c) => {
    if (!isDigit(c)) return "in numeric literal";
    this.#state = c === "0" ? this.#zero : this.#digits;
    return undefined;
  };

  readonly #digits: State = (c) => (isDigit(c) ? undefined : this.#zero(c));

  readonly #zero: State = (c) => {
    if (c === ".") this.#state = this.#point;
    else return this.#fraction(c);
    return undefined;
  };

  readonly #point: State = (c) => {
    if (!isDigit(c)) return "after decimal point in numeric literal";
    this.#state = this.#decimals;
    return undefined;
  };

  readonly #decimals: State = (c) => (isDigit(c) ? undefined : this.#fraction(c));

  /** Where an exponent may follow, or the number be over. */
  readonly #fraction: State = (c) => {
    if (c === "e" || c === "E") {
      this.#state = this.#exponent;
      return undefined;
    }
    this.#state = this.#end;
    return this.#end(c);
  };

  readonly #exponent: State = (c) => {
    if (c !== "+" && c !== "-") return this.#sign(c);
    this.#state = this.#sign;
    return undefined;
  };

  readonly #sign: State = (c) => {
    if (!isDigit(c)) return "in exponent of numeric literal";
    this.#state = this.#power;
    return undefined;
  };

  readonly #power: State = (c) => {
    if (isDigit(c)) return undefined;
    this.#state = this.#end;
    return this.#end(c);
  };
}
