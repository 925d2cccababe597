/** Takes the answers on a connection apart, as far as their framing goes. */

export interface Answer {
  /** Version and status, as in "1.1 200". */
  readonly status: string;
  readonly head: string;
  readonly body: string;
}

/** The answers in a byte string; those to HEAD must have no body, or the next answer behind. */
export function answersIn(text: string): Answer[] {
  const answers: Answer[] = [];
  let rest = text;
  while (rest !== "") {
    const end = rest.indexOf("\r\n\r\n");
    const head = rest.slice(0, end);
    const [, version, status] = /^HTTP\/(1\.[01]) (\d{3})/.exec(head) ?? [];
    if (end < 0 || version === undefined || status === undefined) {
      throw new Error(`no answer: ${JSON.stringify(rest.slice(0, 200))}`);
    }
    rest = rest.slice(end + 4);
    const [body, used] = bodyOf(head, status, rest);
    rest = rest.slice(used);
    answers.push({ status: `${version} ${status}`, head, body });
  }
  return answers;
}

export function statusesOf(text: string): string[] {
  return answersIn(text).map(({ status }) => status);
}

/** The body, and how many bytes it takes on the wire. */
function bodyOf(head: string, status: string, rest: string): [string, number] {
  if (status === "100" || status === "204" || rest.startsWith("HTTP/1.")) return ["", 0];
  const length = /\r\nContent-Length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined) return [rest.slice(0, Number(length)), Number(length)];
  if (!/\r\nTransfer-Encoding: chunked/i.test(head)) return [rest, rest.length];
  let body = "";
  let at = 0;
  for (;;) {
    const line = rest.indexOf("\r\n", at);
    const size = parseInt(rest.slice(at, line), 16);
    if (line < 0 || size === 0 || Number.isNaN(size))
      return [body, line < 0 ? rest.length : line + 4];
    body += rest.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
  }
}
