/** A value as text, checked and laid out as JSON or YAML, or as bytes when it is no text. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { JSX } from "preact";
import { reasonOf, storedBytes } from "../state/api.ts";
import { type Form, formatted, hexDump, mayBeBinary, textOf } from "../state/value-forms.ts";
import { say } from "../state/words.ts";
import { Problem } from "./parts.tsx";

/** What is known of a value beyond the text that the API shows. */
export interface ValueFacts {
  /** Undefined while it is not known. */
  readonly bytes: number | undefined;
  /** Not UTF-8: what the API shows as text is not what is stored. */
  readonly isBinary: boolean;
}

export interface ValueProps {
  readonly path: string;
  readonly value: string;
  readonly found: (facts: ValueFacts) => void;
}

const FORMS: readonly Form[] = ["plain", "json", "yaml"];

export function ValueView({ path, value, found }: ValueProps): JSX.Element {
  const form = useSignal<Form>("plain");
  const shown = useSignal(value);
  const problem = useSignal("");
  const hex = useSignal<string | undefined>(undefined);
  useEffect(() => {
    form.value = "plain";
    hex.value = undefined;
    const bytes = new TextEncoder().encode(value);
    found({ bytes: bytes.length, isBinary: false });
    if (!mayBeBinary(value)) return;
    found({ bytes: undefined, isBinary: true });
    storedBytes(path).then(
      (stored) => {
        const isBinary = textOf(stored) === undefined;
        found({ bytes: stored.length, isBinary });
        if (isBinary) hex.value = hexDump(stored);
      },
      (error: unknown) => {
        problem.value = reasonOf(error);
      },
    );
  }, [path, value]);
  useEffect(() => {
    let isCurrent = true;
    void formatted(value, form.value).then((result) => {
      if (!isCurrent) return;
      shown.value = typeof result === "string" ? result : value;
      problem.value = typeof result === "string" ? "" : result.problem;
    });
    return () => {
      isCurrent = false;
    };
  }, [value, form.value]);
  if (hex.value !== undefined) {
    return (
      <>
        <p class="soft">{say("notText")}</p>
        <pre id="value" class="hex" tabIndex={0} aria-label={say("value")} role="group">
          {hex.value}
        </pre>
      </>
    );
  }
  return (
    <>
      <div class="row" role="group" aria-label={say("showAs")}>
        {FORMS.map((name) => (
          <button key={name} aria-pressed={form.value === name} onClick={() => (form.value = name)}>
            {name === "plain" ? say("plain") : name.toUpperCase()}
          </button>
        ))}
      </div>
      <Problem text={problem.value} />
      <pre id="value" tabIndex={0} aria-label={say("value")} role="group">
        {shown.value}
      </pre>
    </>
  );
}
