/** The forms in which a value can be looked at. Pure. */

/** A character that stands for bytes which are not UTF-8: such a value may not be what it seems. */
const REPLACEMENT = "\ufffd";

export function mayBeBinary(value: string): boolean {
  return value.includes(REPLACEMENT);
}

/** The text of bytes; undefined when they are not UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

const ROW_BYTES = 16;

/** Longer values are shown in part. */
const HEX_BYTES_MAX = 65_536;

/** Offset, bytes in hexadecimal, and what is printable of them, sixteen to a line. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  const end = Math.min(bytes.length, HEX_BYTES_MAX);
  for (let at = 0; at < end; at += ROW_BYTES) {
    const row = [...bytes.subarray(at, Math.min(end, at + ROW_BYTES))];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const plain = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "."));
    const offset = at.toString(16).padStart(8, "0");
    lines.push(`${offset}  ${hex.padEnd(ROW_BYTES * 3 - 1)}  ${plain.join("")}`);
  }
  if (end < bytes.length) lines.push(`… ${bytes.length - end}`);
  return lines.join("\n");
}

export type Form = "plain" | "json" | "yaml";

/** The value in that form, or why it has none. */
export async function formatted(value: string, form: Form): Promise<string | { problem: string }> {
  if (form === "plain") return value;
  try {
    if (form === "json") return JSON.stringify(JSON.parse(value), undefined, 2);
    const { parseAllDocuments } = await import("yaml");
    const documents = parseAllDocuments(value);
    if (!Array.isArray(documents)) return "";
    for (const { errors } of documents) {
      const [error] = errors;
      if (error !== undefined) return { problem: error.message };
    }
    return documents.map((document) => document.toString()).join("");
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}
