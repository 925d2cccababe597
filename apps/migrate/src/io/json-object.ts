/**
 * Typed access to small JSON documents of old servers: conf files, log commands, member records.
 * A missing member reads as the zero value, as Go's decoder has it; a wrong type is damage.
 */
import { FormatError } from "./format-error.ts";
import { toByteString } from "@etcd2/store";

export class JsonObject {
  readonly #members: Readonly<Record<string, unknown>>;

  private constructor(members: Readonly<Record<string, unknown>>) {
    this.#members = members;
  }

  /** @throws FormatError unless the text is one JSON object. */
  static parse(text: string): JsonObject {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new FormatError("unreadable JSON");
    }
    return JsonObject.of(value);
  }

  static of(value: unknown): JsonObject {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new FormatError("unreadable JSON: an object was expected");
    }
    return new JsonObject({ ...value });
  }

  text(name: string): string {
    const value = this.#members[name] ?? "";
    if (typeof value !== "string") throw wrongType(name);
    return value;
  }

  /** Text as UTF-8 bytes. */
  byteString(name: string): string {
    return toByteString(this.text(name));
  }

  /** A whole number from 0 within the safe range. */
  index(name: string): number {
    const value = this.#members[name] ?? 0;
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
      throw wrongType(name);
    }
    return value;
  }

  number(name: string): number {
    const value = this.#members[name] ?? 0;
    if (typeof value !== "number") throw wrongType(name);
    return value;
  }

  boolean(name: string): boolean {
    const value = this.#members[name] ?? false;
    if (typeof value !== "boolean") throw wrongType(name);
    return value;
  }

  texts(name: string): readonly string[] {
    return this.#list(name).map((item) => {
      if (typeof item !== "string") throw wrongType(name);
      return item;
    });
  }

  objects(name: string): readonly JsonObject[] {
    return this.#list(name).map((item) => JsonObject.of(item));
  }

  object(name: string): JsonObject {
    return JsonObject.of(this.#members[name] ?? {});
  }

  #list(name: string): readonly unknown[] {
    const value = this.#members[name] ?? [];
    if (!Array.isArray(value)) throw wrongType(name);
    return value;
  }
}

function wrongType(name: string): FormatError {
  return new FormatError(`unreadable JSON: "${name}" has the wrong type`);
}
