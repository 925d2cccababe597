/**
 * From the values given to a checked keys request: the checks of key-parameters.ts in their order. Does
 * not know where values come from or what is done with the request.
 */
import { EtcdError, type ByteString, type ErrorCode } from "@etcd2/store";
import type { FormValues } from "./form-values.ts";
import {
  BAD,
  canonicalDigits,
  KEY_PARAMETER_NAMES,
  KEY_PARAMETER_RULES,
  KEY_PARAMETERS,
  PARAMETER_KINDS,
  type KeyMethod,
  type KeyParameterRule,
  type KeyParameterValues,
} from "./key-parameters.ts";

/** A keys request whose parameters are valid. */
export interface KeyRequest extends KeyParameterValues {
  readonly method: KeyMethod;
  /** prevIndex as given, in canonical decimal; only for a number that was clamped. */
  readonly prevIndexText: string | undefined;
}

/** The check of one parameter, and what follows it. */
interface Check {
  readonly name: string;
  readonly parse: (text: ByteString) => unknown;
  readonly code: ErrorCode;
  readonly cause: string;
  /** undefined for none. */
  readonly rules: readonly KeyParameterRule[] | undefined;
}

const CHECKS: readonly Check[] = KEY_PARAMETER_NAMES.map((name) => {
  const parameter = KEY_PARAMETERS[name];
  const { code, cause } = { code: 209, cause: "", ...parameter } as const;
  const rules = KEY_PARAMETER_RULES.filter(({ after }) => after === name);
  const { parse } = PARAMETER_KINDS[parameter.kind];
  return { name, parse, code, cause, rules: rules.length === 0 ? undefined : rules };
});

const PREV_INDEX_SLOT = KEY_PARAMETER_NAMES.indexOf("prevIndex");

const NOT_GIVEN = Object.fromEntries(
  KEY_PARAMETER_NAMES.map((name) => [name, PARAMETER_KINDS[KEY_PARAMETERS[name].kind].notGiven]),
) as unknown as KeyParameterValues;

/** The request of a GET without any parameter. */
export const PLAIN_GET: KeyRequest = { method: "GET", prevIndexText: undefined, ...NOT_GIVEN };

/** A malformed request: index 0. */
export function badRequest(code: ErrorCode, cause: ByteString): EtcdError {
  return new EtcdError(code, cause, 0);
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Checks all parameters, whether or not the method uses them. */
export function parseKeyRequest(method: KeyMethod, given: FormValues): KeyRequest | EtcdError {
  const request: Writable<KeyRequest> = { ...PLAIN_GET };
  request.method = method;
  const { values } = given;
  for (let slot = 0; slot < CHECKS.length; slot++) {
    const check = CHECKS[slot];
    if (check === undefined) break;
    const text = values[slot];
    if (text !== undefined) {
      const value = check.parse(text);
      if (value === BAD) return badRequest(check.code, check.cause);
      (request as unknown as Record<string, unknown>)[check.name] = value;
    }
    if (check.rules === undefined) continue;
    for (const rule of check.rules) {
      if (rule.fails(request, method)) return badRequest(rule.code, rule.cause);
    }
  }
  if (request.prevIndex === Number.MAX_SAFE_INTEGER) {
    request.prevIndexText = canonicalDigits(values[PREV_INDEX_SLOT] ?? "");
  }
  return request;
}
