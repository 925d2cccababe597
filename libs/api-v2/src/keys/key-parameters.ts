/**
 * The parameters of a keys request, in the order in which they are checked: the one table from which
 * collecting, checking, the type of a request and the table in http-api.md §2 follow. Whoever adds
 * a parameter adds an entry here and uses it where requests are carried out.
 */
import type { ByteString, ErrorCode } from "@etcd2/store";

/** Methods of the keys API. */
export type KeyMethod = "GET" | "HEAD" | "PUT" | "POST" | "DELETE";

/** What a parameter of each kind is read as. */
interface ValueOf {
  /** An unsigned decimal of 64 bit, clamped to the largest safe integer, which no index reaches; 0 if not given. */
  index: number;
  /** False if not given. */
  flag: boolean;
  /** undefined if not given. */
  choice: boolean | undefined;
  /** Any bytes but none; "" if not given. */
  condition: ByteString;
  /** Decimal digits as given; undefined if not given or empty, which is permanent. */
  seconds: string | undefined;
  /** Any bytes; "" if not given. */
  text: ByteString;
}

/** What a parameter may hold. */
export type ParameterKind = keyof ValueOf;

/** A parameter, and how a bad value is refused; no value of the kind "text" is bad. */
type Parameter =
  | { readonly kind: "text" }
  | {
      readonly kind: Exclude<ParameterKind, "text">;
      readonly code: ErrorCode;
      readonly cause: string;
    };

/** The parameters by name. The order is that of the checks, and part of the API. */
export const KEY_PARAMETERS = {
  prevIndex: { kind: "index", code: 203, cause: 'invalid value for "prevIndex"' },
  waitIndex: { kind: "index", code: 203, cause: 'invalid value for "waitIndex"' },
  recursive: { kind: "flag", code: 209, cause: 'invalid value for "recursive"' },
  // Listings are always in the order of the names: checked, and of no further effect.
  sorted: { kind: "flag", code: 209, cause: 'invalid value for "sorted"' },
  wait: { kind: "flag", code: 209, cause: 'invalid value for "wait"' },
  dir: { kind: "flag", code: 209, cause: 'invalid value for "dir"' },
  quorum: { kind: "flag", code: 209, cause: 'invalid value for "quorum"' },
  stream: { kind: "flag", code: 209, cause: 'invalid value for "stream"' },
  prevValue: { kind: "condition", code: 201, cause: '"prevValue" cannot be empty' },
  ttl: { kind: "seconds", code: 202, cause: 'invalid value for "ttl"' },
  prevExist: { kind: "choice", code: 209, cause: "invalid value for prevExist" },
  refresh: { kind: "flag", code: 209, cause: "invalid value for refresh" },
  value: { kind: "text" },
} as const satisfies Readonly<Record<string, Parameter>>;

/** The name of a parameter. */
export type KeyParameterName = keyof typeof KEY_PARAMETERS;

/** The names in the order of the checks. */
export const KEY_PARAMETER_NAMES = Object.keys(KEY_PARAMETERS) as readonly KeyParameterName[];

/** The values of all parameters. */
export type KeyParameterValues = {
  readonly [Name in KeyParameterName]: ValueOf[(typeof KEY_PARAMETERS)[Name]["kind"]];
};

/** A check that concerns more than the value of one parameter. */
export interface KeyParameterRule {
  /** The parameter whose check this one follows. */
  readonly after: KeyParameterName;
  /** When it fails, in the words of the page. */
  readonly when: string;
  readonly fails: (values: KeyParameterValues, method: KeyMethod) => boolean;
  readonly code: ErrorCode;
  readonly cause: string;
}

/** The checks over several parameters; those after the same one in the order given. */
export const KEY_PARAMETER_RULES: readonly KeyParameterRule[] = [
  {
    after: "stream",
    when: "`wait` true and method not GET (HEAD too)",
    fails: ({ wait }, method) => wait && method !== "GET",
    code: 209,
    cause: '"wait" can only be used with GET requests',
  },
  {
    after: "value",
    when: "`refresh` true and non-empty `value`",
    fails: ({ refresh, value }) => refresh && value !== "",
    code: 211,
    cause: "A value was provided on a refresh",
  },
  {
    after: "value",
    when: "`refresh` true and no (or empty) `ttl`",
    fails: ({ refresh, ttl }) => refresh && ttl === undefined,
    code: 212,
    cause: "No TTL value set",
  },
];

/** What parsing a value gives where it is bad. */
export const BAD = Symbol("bad value");

/** How the values of a kind are read. */
interface KindRules<Kind extends ParameterKind> {
  /** What the page calls it. */
  readonly words: string;
  readonly notGiven: ValueOf[Kind];
  readonly parse: (text: ByteString) => ValueOf[Kind] | typeof BAD;
}

/** The kinds of parameters. */
export const PARAMETER_KINDS: { readonly [Kind in ParameterKind]: KindRules<Kind> } = {
  index: { words: "number", notGiven: 0, parse: parseUint },
  flag: { words: "bool", notGiven: false, parse: parseBoolean },
  choice: { words: "bool", notGiven: undefined, parse: parseBoolean },
  condition: {
    words: "given and empty",
    notGiven: "",
    parse: (text) => (text === "" ? BAD : text),
  },
  seconds: {
    words: "number; empty = not given",
    notGiven: undefined,
    parse: (text) => (text === "" ? undefined : parseUint(text) === BAD ? BAD : text),
  },
  text: { words: "anything", notGiven: "", parse: (text) => text },
};

/** Digits that certainly fit a safe integer. */
const SAFE_DIGITS = 15;
const UINT64_MAX = (1n << 64n) - 1n;

/** Unsigned decimal of 64 bit, clamped to safe integers. */
function parseUint(text: ByteString): number | typeof BAD {
  if (text === "") return BAD;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x30 || code > 0x39) return BAD;
  }
  if (text.length <= SAFE_DIGITS) return Number(text);
  const digits = canonicalDigits(text);
  if (digits.length > 20) return BAD;
  const exact = BigInt(digits);
  if (exact > UINT64_MAX) return BAD;
  return Math.min(Number(exact), Number.MAX_SAFE_INTEGER);
}

/** Decimal digits without leading zeros. */
export function canonicalDigits(digits: string): string {
  let at = 0;
  while (at < digits.length - 1 && digits.charCodeAt(at) === 0x30) at++;
  return digits.slice(at);
}

/** One of the twelve accepted forms. */
function parseBoolean(text: ByteString): boolean | typeof BAD {
  switch (text) {
    case "0":
    case "f":
    case "F":
    case "false":
    case "FALSE":
    case "False":
      return false;
    case "1":
    case "t":
    case "T":
    case "true":
    case "TRUE":
    case "True":
      return true;
    default:
      return BAD;
  }
}
