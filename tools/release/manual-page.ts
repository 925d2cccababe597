/**
 * Turns help texts, which the programs print from their tables of flags and commands, into pages for
 * man(1). Knows three shapes: a heading with a colon at its end, a row of a name and what it means, and
 * running text. Pure.
 */

export interface HelpText {
  /** A heading of the page, such as `OPTIONS` or `etcdctl member add`. */
  readonly title: string;
  readonly text: string;
}

export interface ManualPage {
  readonly program: string;
  readonly summary: string;
  readonly version: string;
  /** Seconds since 1970. */
  readonly epochSeconds: number;
  readonly synopsis: string;
  readonly help: readonly HelpText[];
  /** Names of the other programs. */
  readonly seeAlso: readonly string[];
}

/** Text as roff shows it: signs of its own, hyphens that can be copied, no line that is a request. */
export function escape(text: string): string {
  const shown = text.replaceAll("\\", "\\e").replaceAll("-", "\\-");
  return /^[.']/.test(shown) ? `\\&${shown}` : shown;
}

const HEADING = /^(\S.*):$/;
/** A name, then tabs or at least two blanks, then the meaning; or a flag alone, with the meaning below. */
const ROW = /^(\s+)(\S.*?)(?:\t+| {2,})(\S.*)$/;
const FLAG = /^(\s+)(--?\w.*)$/;

const widthOf = (indent: string): number => indent.replaceAll("\t", "        ").length;

/** The lines of a help text as roff. */
export function roffOf(text: string): readonly string[] {
  const lines: string[] = [];
  let rowIndent: number | undefined;
  for (const line of text.split("\n").map((raw) => raw.trimEnd())) {
    const indent = widthOf(/^\s*/.exec(line)?.[0] ?? "");
    const heading = HEADING.exec(line)?.[1];
    if (line === "") {
      rowIndent = undefined;
      if (lines.at(-1) !== ".PP") lines.push(".PP");
    } else if (heading !== undefined) {
      rowIndent = undefined;
      lines.push(`.SS ${escape(heading)}`);
    } else if (rowIndent !== undefined && indent > rowIndent) {
      lines.push(escape(line.trim()));
    } else {
      const [, , name, meaning] = ROW.exec(line) ?? FLAG.exec(line) ?? [];
      rowIndent = name === undefined ? undefined : indent;
      if (name === undefined) lines.push(escape(line.trim()));
      else
        lines.push(
          ".TP",
          `.B ${escape(name)}`,
          ...(meaning === undefined ? [] : [escape(meaning)]),
        );
    }
  }
  while (lines.at(-1) === ".PP") lines.pop();
  return lines;
}

/** The whole page, as a file of section 1. */
export function manualPage(page: ManualPage): string {
  const date = new Date(page.epochSeconds * 1000).toISOString().slice(0, 10);
  const others = page.seeAlso.map((name) => `.BR ${escape(name)} (1)`);
  const sections = page.help.flatMap(({ title, text }) => [
    `.SH ${escape(title.toUpperCase())}`,
    ...roffOf(text),
  ]);
  return [
    `.TH ${page.program.toUpperCase()} 1 "${date}" "etcd2 ${page.version}" "etcd2"`,
    ...[".SH NAME", `${escape(page.program)} \\- ${escape(page.summary)}`],
    ...[".SH SYNOPSIS", `.B ${escape(page.program)}`, escape(page.synopsis)],
    ...sections,
    ...[".SH SEE ALSO", others.join(",\n"), ".PP"],
    ...["The pages in /usr/share/doc/etcd2, or docs of the archive.", ""],
  ].join("\n");
}
