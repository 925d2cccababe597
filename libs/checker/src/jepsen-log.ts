/** Reads recorded Jepsen logs of one register: a line an event, tab-separated. */
import type { Operation } from "./linearizability.ts";
import type { RegisterInput, RegisterOutput } from "./register.ts";

const LINE = /^INFO\s+jepsen\.util - (\d+)\t:(invoke|ok|fail|info)\t:(read|write|cas)\t(.*)$/;

function inputOf(what: string, value: string): RegisterInput {
  if (what === "read") return { kind: "read" };
  if (what === "write") return { kind: "write", value };
  const [from, to] = value.replace(/[[\]]/g, "").split(" ");
  return { kind: "cas", from: from ?? "", to: to ?? "" };
}

export function parseJepsenLog(text: string): Operation<RegisterInput, RegisterOutput>[] {
  const open = new Map<string, { input: RegisterInput; call: number }>();
  const operations: Operation<RegisterInput, RegisterOutput>[] = [];
  for (const [time, line] of text.split("\n").entries()) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, process = "", event = "", what = "", value = ""] = match;
    if (event === "invoke") {
      open.set(process, { input: inputOf(what, value), call: time });
      continue;
    }
    const started = open.get(process);
    // The end of an operation whose outcome was unknown already.
    if (started === undefined) continue;
    open.delete(process);
    const { input, call } = started;
    if (event === "info") {
      operations.push({ input, output: undefined, call, return: time });
    } else if (event === "fail") {
      if (input.kind === "cas")
        operations.push({ input, output: { kind: "refused" }, call, return: time });
    } else if (input.kind === "read") {
      const output: RegisterOutput = { kind: "read", value: value === "nil" ? undefined : value };
      operations.push({ input, output, call, return: time });
    } else {
      operations.push({ input, output: { kind: "done" }, call, return: time });
    }
  }
  for (const { input, call } of open.values()) {
    operations.push({ input, output: undefined, call, return: Number.POSITIVE_INFINITY });
  }
  return operations;
}
