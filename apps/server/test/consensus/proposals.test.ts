import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeCommand, EtcdError, writeCommand } from "@etcd2/store";
import type { Command } from "@etcd2/store";
import fc from "fast-check";
import { ProposalTable } from "../../src/consensus/proposals.ts";
import type { Pending } from "../../src/consensus/proposals.ts";

const SESSION = 2 ** 40 + 7;

function commandAt(path: string): Command {
  return writeCommand({ action: "set", path, value: "v" });
}

type Answers = Map<number, string>;

function propose(
  table: ProposalTable<string>,
  answers: Answers,
  deadline = 0,
  term = 1,
): Pending<string> {
  const id = table.nextId();
  const command = commandAt(`/k${id.sequence}`);
  const pending: Pending<string> = {
    sequence: id.sequence,
    data: encodeCommand(id, command),
    command,
    settle: (result) => {
      assert.ok(!answers.has(id.sequence), "a request is answered once");
      answers.set(id.sequence, result instanceof EtcdError ? result.cause : result);
    },
    startedAt: 0,
    deadline,
    term,
  };
  table.add(pending);
  return pending;
}

describe("the table of proposals", () => {
  it("finds requests by their bytes, whatever order they end in and however long one waits", () => {
    const steps = fc.array(
      fc.oneof(
        { weight: 3, arbitrary: fc.record({ add: fc.integer({ min: 1, max: 40 }) }) },
        { weight: 2, arbitrary: fc.record({ settle: fc.nat(200) }) },
        { weight: 1, arbitrary: fc.record({ skipIds: fc.integer({ min: 1, max: 600 }) }) },
      ),
      { maxLength: 120 },
    );
    fc.assert(
      fc.property(steps, (script) => {
        const table = new ProposalTable<string>(SESSION, 10_000);
        const answers: Answers = new Map();
        const waiting: Pending<string>[] = [];
        for (const step of script) {
          if ("add" in step) {
            for (let i = 0; i < step.add; i += 1) waiting.push(propose(table, answers));
          } else if ("skipIds" in step) {
            for (let i = 0; i < step.skipIds; i += 1) table.nextId();
          } else {
            const [pending] = waiting.splice(step.settle % (waiting.length + 1), 1);
            if (pending === undefined) continue;
            table.settle(pending, "done");
            table.settle(pending, "again");
            assert.equal(answers.get(pending.sequence), "done");
            assert.equal(table.byData(pending.data), undefined);
          }
          assert.equal(table.size, waiting.length);
        }
        for (const pending of waiting) {
          assert.equal(table.byData(Uint8Array.from(pending.data)), pending);
        }
        table.failAll("stopped");
        assert.equal(table.size, 0);
        for (const { sequence } of waiting) assert.equal(answers.get(sequence), "stopped");
      }),
    );
  });

  it("ends those whose time is up, oldest first, and only those", () => {
    const table = new ProposalTable<string>(SESSION, 10);
    const answers: Answers = new Map();
    const first = propose(table, answers, 10);
    const second = propose(table, answers, 20);
    propose(table, answers, 30);
    const expired = table.expire(20, (pending) => `late ${pending.sequence}`);
    assert.deepEqual(expired, [first, second]);
    assert.deepEqual([...answers.values()], ["late 1", "late 2"]);
    assert.equal(table.size, 1);
  });

  it("hands over once per term what earlier leaders were given", () => {
    const table = new ProposalTable<string>(SESSION, 10);
    const answers: Answers = new Map();
    const old = propose(table, answers, 0, 2);
    const fresh = propose(table, answers, 0, 3);
    assert.deepEqual(table.takeOlderThan(3, 3), [old.data]);
    assert.deepEqual(table.takeOlderThan(3, 3), []);
    table.loseTrack();
    assert.deepEqual(table.takeOlderThan(9, 9), []);
    assert.equal(table.byData(fresh.data), fresh);
  });

  it("hands over to the present leader once, though a member that catches up applies terms between", () => {
    const table = new ProposalTable<string>(SESSION, 10);
    const { data } = propose(table, new Map(), 0, 3);
    assert.deepEqual(table.takeOlderThan(4, 6), [data]);
    assert.deepEqual(table.takeOlderThan(5, 6), []);
    assert.deepEqual(table.takeOlderThan(6, 6), []);
    assert.deepEqual(table.takeOlderThan(7, 7), [data]);
  });

  it("does not take another process's bytes, nor bytes that are no command, for its own", () => {
    const table = new ProposalTable<string>(SESSION, 10);
    propose(table, new Map());
    const foreign = encodeCommand({ session: SESSION + 1, sequence: 1 }, commandAt("/k1"));
    assert.equal(table.byData(foreign), undefined);
    assert.equal(table.byData(Buffer.from("no command")), undefined);
    assert.equal(table.byData(new Uint8Array(0)), undefined);
  });

  it("is full at its limit", () => {
    const table = new ProposalTable<string>(SESSION, 2);
    const first = propose(table, new Map());
    assert.equal(table.isFull, false);
    propose(table, new Map());
    assert.equal(table.isFull, true);
    table.settle(first, "done");
    assert.equal(table.isFull, false);
  });
});
