/** Small parts that several views share. */
import type { ComponentChildren, JSX } from "preact";
import { say } from "../state/words.ts";

export function Copy({ what, text }: { what: string; text: string }): JSX.Element {
  return (
    <button title={text} onClick={() => void navigator.clipboard.writeText(text)}>
      {say("copy", what)}
    </button>
  );
}

export function Problem({ text }: { text: ComponentChildren }): JSX.Element | null {
  return text === undefined || text === "" ? null : (
    <p class="notice bad" role="alert">
      {text}
    </p>
  );
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function sizeText(bytes: number): string {
  let size = bytes;
  let unit = 0;
  for (; size >= 1024 && unit < UNITS.length - 1; unit += 1) size /= 1024;
  return `${unit === 0 ? size : size.toFixed(1)} ${UNITS[unit] ?? ""}`;
}

/** A word for the shell, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
