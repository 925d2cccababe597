/** Small parts that several views share. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { say } from "../state/words.ts";

/** Pages that came over plain http from another machine have no clipboard but the old one. */
async function toClipboard(text: string): Promise<void> {
  if (isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- there is no other way here
  document.execCommand("copy");
  field.remove();
}

function CopySign(): JSX.Element {
  return (
    <svg class="sign" viewBox="0 0 16 16" aria-hidden="true">
      <rect x="5" y="5" width="9" height="9" rx="1.5" />
      <path d="M11 2.5H3.5a1 1 0 0 0-1 1V11" />
    </svg>
  );
}

export interface CopyProps {
  /** What is copied, for people. */
  readonly what: string;
  readonly text: string;
  /** A sign in place of words, where there are many of these. */
  readonly isShort?: boolean;
}

/** Copies a text, and says so for a moment. */
export function Copy({ what, text, isShort = false }: CopyProps): JSX.Element {
  const isDone = useSignal(false);
  const label = say("copy", what);
  return (
    <button
      type="button"
      title={text}
      aria-label={isShort ? label : undefined}
      onClick={() =>
        void toClipboard(text).then(() => {
          isDone.value = true;
          setTimeout(() => (isDone.value = false), 1500);
        })
      }
    >
      {isDone.value ? "✓" : isShort ? <CopySign /> : label}
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
