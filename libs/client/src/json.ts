/** JSON of answers, read field by field: what is missing or of another type has its zero value. */
import { ProtocolError } from "./errors.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws ProtocolError when the text is no JSON object. */
export function parseObject(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ProtocolError("the answer is not JSON", { cause: error });
  }
  if (!isObject(value)) throw new ProtocolError("the answer is not a JSON object");
  return value;
}

export function textOf(record: JsonObject, name: string): string {
  const value = record[name];
  return typeof value === "string" ? value : "";
}

export function numberOf(record: JsonObject, name: string): number {
  const value = record[name];
  return typeof value === "number" ? value : 0;
}

export function flagOf(record: JsonObject, name: string): boolean {
  return record[name] === true;
}

export function objectOf(record: JsonObject, name: string): JsonObject {
  const value = record[name];
  return isObject(value) ? value : {};
}

export function objectsOf(record: JsonObject, name: string): readonly JsonObject[] {
  const value = record[name];
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function textsOf(record: JsonObject, name: string): readonly string[] {
  const value = record[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
