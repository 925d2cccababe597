/** Unpacks the fixtures: a gzip-compressed tar of plain files and folders, nothing more. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";

const BLOCK = 512;

export function untar(archive: string, target: string): void {
  const bytes = gunzipSync(readFileSync(archive));
  for (let at = 0; at + BLOCK <= bytes.length;) {
    const header = bytes.subarray(at, at + BLOCK);
    const text = (from: number, length: number): string =>
      header.toString("latin1", from, from + length).replace(/\0.*$/s, "");
    const name = text(0, 100);
    if (name === "") break;
    const size = Number.parseInt(text(124, 12).trim() || "0", 8);
    const path = join(target, text(345, 155), name);
    const type = text(156, 1);
    if (type === "5") mkdirSync(path, { recursive: true });
    else if (type === "0" || type === "") {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bytes.subarray(at + BLOCK, at + BLOCK + size));
    } else throw new Error(`${archive}: entry ${name} has the unexpected type ${type}`);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
}
