/** Messages that are well formed and absurd: refused before they break what holds a member up. */
import assert from "node:assert/strict";
import test from "node:test";
import { TERM_LEAP_MAX } from "../../../src/core/roles/validate-message.ts";
import type { Message } from "../../../src/core/model/types.ts";
import { accepted, append, follower, heartbeat, leader } from "../given.ts";
import { confState, entry, logOf, type Host } from "../host.ts";

const HUGE = Number.MAX_SAFE_INTEGER;

function refused(host: Host, message: Message): string {
  const reason = host.raw.validateMessage(message);
  assert.notEqual(reason, undefined, JSON.stringify(message));
  return reason ?? "";
}

function passes(host: Host, message: Message): void {
  assert.equal(host.raw.validateMessage(message), undefined, JSON.stringify(message));
}

test("a term that no cluster reaches neither deposes a leader nor moves a follower", () => {
  for (const host of [leader(), follower()]) {
    const { term } = host.raw;
    assert.match(refused(host, heartbeat(host, HUGE)), /cannot follow term/);
    refused(host, { ...append(host, [], 0), term: HUGE });
    refused(host, { ...accepted(host, "2", 0), term: HUGE });
    const vote = { from: "2", to: "1", term: HUGE, lastIndex: HUGE, lastTerm: HUGE, force: true };
    refused(host, { type: "vote", ...vote });
    refused(host, { type: "preVote", ...vote });
    refused(host, { type: "timeoutNow", from: "2", to: "1", term: HUGE });
    passes(host, heartbeat(host, term + 1));
    passes(host, heartbeat(host, term + TERM_LEAP_MAX));
  }
});

test("a commit beyond the log is refused, not believed and not fatal", () => {
  const host = follower({ entries: logOf([1, 1]) });
  assert.match(refused(host, { ...heartbeat(host), commit: 3 }), /was the log lost/);
  passes(host, { ...heartbeat(host), commit: 2 });
  // An append says how far it reaches, which bounds its commit.
  const far = { ...append(host, [], 2, HUGE), prevTerm: 1 };
  passes(host, far);
  host.feed(far);
  assert.equal(host.raw.committed, 2);
});

test("entries that contradict committed ones are refused, repeats of them are not", () => {
  const host = follower({ entries: logOf([1, 1, 1]) });
  host.feed({ ...append(host, [], 3, 2), prevTerm: 1 });
  assert.equal(host.raw.committed, 2);
  const forged = {
    ...append(host, [], 1),
    term: 2,
    prevIndex: 1,
    prevTerm: 1,
    entries: [entry(2, 2)],
  };
  assert.match(refused(host, forged), /entry 2 contradicts one committed up to 2/);
  passes(host, { ...forged, prevTerm: 1, entries: [entry(1, 2), entry(2, 3)] });
  passes(host, { ...forged, prevIndex: HUGE - 5, entries: [entry(2, HUGE - 4)] });
});

test("an entry that contradicts a committed one is named, whichever way the leader shows it", () => {
  const host = follower({ entries: logOf([1, 1, 1]) });
  host.feed({ ...append(host, [], 3, 2), prevTerm: 1 });
  const contradicted = (message: Message): unknown => {
    const entry = host.raw.contradictedBy(message);
    if (entry !== undefined) refused(host, message);
    return entry;
  };
  const later = { ...append(host, [], 0), term: 5 };
  const second = { index: 2, term: 1 };
  const overwriting = { ...later, prevIndex: 1, prevTerm: 1, entries: [entry(5, 2)] };
  assert.deepEqual(contradicted(overwriting), second);
  assert.deepEqual(contradicted({ ...later, prevIndex: 2, prevTerm: 4 }), second);
  const snapshot = { index: 2, term: 4, confState: confState(["1", "2", "3"]) };
  const { from, to } = later;
  assert.deepEqual(contradicted({ type: "snapshot", from, to, term: 5, snapshot }), second);

  assert.equal(contradicted({ ...overwriting, term: 0 }), undefined);
  assert.equal(contradicted({ ...later, prevIndex: 2, prevTerm: 1 }), undefined);
  assert.equal(contradicted({ ...later, prevIndex: 3, prevTerm: 4 }), undefined);
  assert.deepEqual(
    [1, 2, 3].map((index) => host.raw.committedTerm(index)),
    [1, 1, 0],
  );
});

test("a leader refuses what it never sent and whoever claims its term", () => {
  const host = leader();
  const { lastIndex } = host.raw;
  assert.match(refused(host, accepted(host, "2", lastIndex + 1)), /the log ends at/);
  passes(host, accepted(host, "2", lastIndex));
  assert.match(refused(host, heartbeat(host)), /1 leads term/);
  refused(host, append(host, [], lastIndex));
  const answer = { type: "heartbeatResponse", from: "2", to: "1", term: host.raw.term } as const;
  assert.match(refused(host, { ...answer, context: "1e300" }), /read round/);
  refused(host, { ...answer, context: "Infinity" });
  passes(host, { ...answer, context: "" });
  passes(host, { ...answer, context: "not a number" });
});

test("a follower obeys one leader a term", () => {
  const host = follower();
  const { term } = host.raw;
  assert.match(refused(host, heartbeat(host, term, "3")), /2 leads term/);
  refused(host, { type: "timeoutNow", from: "3", to: "1", term });
  refused(host, { type: "readIndexResponse", from: "3", to: "1", term, context: "", index: HUGE });
  passes(host, { type: "timeoutNow", from: "2", to: "1", term });
});

test("entries the host cannot apply enter no log", () => {
  const validateEntry = ({ data }: { data: Uint8Array }): string | undefined =>
    data[0] === 0x21 ? "it shouts" : undefined;
  const lead = leader({ validateEntry });
  const { term } = lead.raw;
  const entries = [entry(0, 0, "fine"), entry(0, 0, "!")];
  const proposal = { type: "propose", from: "2", to: "1", term, entries } as const;
  assert.equal(refused(lead, proposal), "it shouts");
  passes(lead, { ...proposal, entries: entries.slice(0, 1) });
  const host = follower({ validateEntry });
  assert.equal(
    refused(host, { ...append(host, [], 0), entries: [entry(host.raw.term, 1, "!")] }),
    "it shouts",
  );
});
