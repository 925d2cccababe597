/** What was and what is, line by line. */
import { diffLines } from "diff";
import type { JSX } from "preact";

/** Beyond this the two texts are shown one after the other: a comparison could take seconds. */
const COMPARED_CHARACTERS_MAX = 200_000;

/** Unchanged lines in a row that are shown; more are left out around the changes. */
const CONTEXT_LINES = 3;

interface Part {
  readonly mark: "−" | "+" | " ";
  readonly lines: readonly string[];
}

function linesOf(text: string): string[] {
  return text.replace(/\n$/, "").split("\n");
}

function partsOf(before: string, after: string): Part[] {
  if (before.length + after.length > COMPARED_CHARACTERS_MAX) {
    return [
      { mark: "−", lines: [before] },
      { mark: "+", lines: [after] },
    ];
  }
  // Whether the last line has an end is no difference that people look for.
  return diffLines(before, after, { stripTrailingCr: false, ignoreNewlineAtEof: true }).map(
    ({ added, removed, value }) => ({
      mark: added ? "+" : removed ? "−" : " ",
      lines: linesOf(value),
    }),
  );
}

function shortened(lines: readonly string[], isFirst: boolean, isLast: boolean): readonly string[] {
  const head = isFirst ? [] : lines.slice(0, CONTEXT_LINES);
  const tail = isLast ? [] : lines.slice(-CONTEXT_LINES);
  return lines.length <= head.length + tail.length + 1 ? lines : [...head, "…", ...tail];
}

/** An absent side, such as the value before a key existed, has no lines. */
export function Diff(props: {
  readonly before: string | undefined;
  readonly after: string | undefined;
}): JSX.Element {
  const { before, after } = props;
  const parts: readonly Part[] =
    before === undefined || after === undefined
      ? [
          ...(before === undefined ? [] : [{ mark: "−", lines: linesOf(before) } as const]),
          ...(after === undefined ? [] : [{ mark: "+", lines: linesOf(after) } as const]),
        ]
      : partsOf(before, after);
  return (
    <div class="diff">
      {parts.map(({ mark, lines }, at) => (
        <pre key={at} class={mark === "−" ? "old" : mark === "+" ? "new" : ""}>
          {(mark === " " ? shortened(lines, at === 0, at === parts.length - 1) : lines)
            .map((line) => `${mark} ${line}`)
            .join("\n")}
        </pre>
      ))}
    </div>
  );
}
