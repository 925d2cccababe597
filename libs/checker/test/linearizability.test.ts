import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Operation } from "../src/linearizability.ts";
import { checkHistory, checkPartition } from "../src/linearizability.ts";
import { parseJepsenLog } from "../src/jepsen-log.ts";
import type { RegisterInput, RegisterOutput } from "../src/register.ts";
import { registerModel } from "../src/register.ts";

const fixtures = join(import.meta.dirname, "fixtures", "jepsen-histories");

type Op = Operation<RegisterInput, RegisterOutput>;
const write = (value: string, call: number, end: number): Op => ({
  input: { kind: "write", value },
  output: { kind: "done" },
  call,
  return: end,
});
const read = (value: string | undefined, call: number, end: number): Op => ({
  input: { kind: "read" },
  output: { kind: "read", value },
  call,
  return: end,
});

describe("the linearizability checker", () => {
  it("agrees with every known verdict of the recorded histories", () => {
    const verdicts = JSON.parse(readFileSync(join(fixtures, "verdicts.json"), "utf8")) as Record<
      string,
      boolean
    >;
    assert.equal(Object.keys(verdicts).length, 102);
    for (const [file, verdict] of Object.entries(verdicts)) {
      const operations = parseJepsenLog(readFileSync(join(fixtures, file), "utf8"));
      assert.equal(checkPartition(operations, registerModel), verdict, file);
    }
  });

  it("refuses a read that goes back in time", () => {
    assert.equal(
      checkPartition([write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)], registerModel),
      false,
    );
  });

  it("lets concurrent operations take effect in either order", () => {
    const history = [write("a", 0, 1), write("b", 2, 6), read("a", 3, 4), read("b", 7, 8)];
    assert.equal(checkPartition(history, registerModel), true);
  });

  it("lets a write of unknown outcome take effect late, or never", () => {
    const unknown: Op = {
      input: { kind: "write", value: "b" },
      output: undefined,
      call: 2,
      return: 3,
    };
    const late = [write("a", 0, 1), unknown, read("a", 4, 5), read("b", 6, 7)];
    assert.equal(checkPartition(late, registerModel), true);
    const never = [write("a", 0, 1), unknown, read("a", 4, 5)];
    assert.equal(checkPartition(never, registerModel), true);
    const undone = [write("a", 0, 1), unknown, read("b", 4, 5), read("a", 6, 7)];
    assert.equal(checkPartition(undone, registerModel), false);
  });

  it("judges each key by itself and names the bad ones", () => {
    const keyed = (key: string, operations: readonly Op[]) =>
      operations.map((operation) => ({ ...operation, input: { key, ...operation.input } }));
    const history = [
      ...keyed("good", [write("a", 0, 1), read("a", 2, 3)]),
      ...keyed("bad", [write("a", 0, 1), read(undefined, 2, 3)]),
    ];
    assert.deepEqual(
      checkHistory(
        history,
        registerModel,
        (input) => (input as RegisterInput & { key: string }).key,
      ),
      ["bad"],
    );
  });
});
