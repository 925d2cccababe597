import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EtcdError } from "@etcd2/store";
import { FormValues } from "../../src/keys/form-values.ts";
import { parseMediaType } from "../../src/http/media-type.ts";
import type { KeyMethod } from "../../src/keys/key-parameters.ts";
import { parseKeyRequest, type KeyRequest } from "../../src/keys/parse-key-request.ts";
import { toWriteCommand } from "../../src/keys/write-command.ts";
import { seed } from "../seed.ts";

function parse(method: KeyMethod, ...forms: string[]): KeyRequest | EtcdError {
  const given = new FormValues();
  for (const form of forms) assert.equal(given.add(form), undefined);
  return parseKeyRequest(method, given);
}

function refused(method: KeyMethod, form: string): [number, string] {
  const result = parse(method, form);
  assert.ok(result instanceof EtcdError, `${form} was accepted`);
  assert.equal(result.index, 0);
  return [result.code, result.cause];
}

function accepted(method: KeyMethod, ...forms: string[]): KeyRequest {
  const result = parse(method, ...forms);
  if (result instanceof EtcdError) assert.fail(`refused: ${result.cause}`);
  return result;
}

/** The table of checks, in order: a bad form for each, and what it is answered with. */
const CHECKS: [form: string, code: number, cause: string][] = [
  ["prevIndex=x", 203, 'invalid value for "prevIndex"'],
  ["waitIndex=-1", 203, 'invalid value for "waitIndex"'],
  ["recursive=yes", 209, 'invalid value for "recursive"'],
  ["sorted=", 209, 'invalid value for "sorted"'],
  ["wait=tRUE", 209, 'invalid value for "wait"'],
  ["dir=2", 209, 'invalid value for "dir"'],
  ["quorum=on", 209, 'invalid value for "quorum"'],
  ["stream", 209, 'invalid value for "stream"'],
  ["wait=true", 209, '"wait" can only be used with GET requests'],
  ["prevValue=", 201, '"prevValue" cannot be empty'],
  ["ttl=1.5", 202, 'invalid value for "ttl"'],
  ["prevExist=x", 209, "invalid value for prevExist"],
  ["refresh=x", 209, "invalid value for refresh"],
  ["refresh=true&value=v&ttl=1", 211, "A value was provided on a refresh"],
  ["refresh=true", 212, "No TTL value set"],
];

const namesOf = (form: string): string[] => [...new URLSearchParams(form).keys()];

test("each check has its code and cause", () => {
  for (const [form, code, cause] of CHECKS) assert.deepEqual(refused("PUT", form), [code, cause]);
});

test("when several values are bad the first check of the table answers", () => {
  for (const [at, [form, code, cause]] of CHECKS.entries()) {
    for (const [later] of CHECKS.slice(at + 1)) {
      if (namesOf(form).some((name) => namesOf(later).includes(name))) continue;
      assert.deepEqual(refused("PUT", `${later}&${form}`), [code, cause], `${form} with ${later}`);
    }
  }
});

test("every method runs every check", () => {
  assert.deepEqual(refused("GET", "refresh=true")[0], 212);
  assert.deepEqual(refused("DELETE", "ttl=x")[0], 202);
  assert.deepEqual(refused("HEAD", "wait=1")[1], '"wait" can only be used with GET requests');
  assert.equal(accepted("GET", "wait=1&stream=T").wait, true);
});

test("the first value given counts, the body before the query", () => {
  const request = accepted("PUT", "value=b1&value=b2&ttl=", "value=q&ttl=5&dir=t");
  assert.equal(request.value, "b1");
  assert.equal(request.ttl, undefined);
  assert.equal(request.dir, true);
});

test("forms decode blanks, bytes and odd pairs", () => {
  assert.equal(accepted("PUT", "value=a+b%2B%ff").value, "a b+\xff");
  assert.equal(accepted("PUT", "&&value=x&&").value, "x");
  assert.equal(accepted("PUT", "=x&value=a=b").value, "a=b");
  assert.equal(accepted("PUT", "Value=x").value, "");
  assert.equal(accepted("PUT", "%76alue=x").value, "x");
});

test("bad pairs are named as etcd 2.3.8 names them", () => {
  const cases: [string, string][] = [
    ["value=%zz", 'invalid URL escape "%zz"'],
    ["value=%", 'invalid URL escape "%"'],
    ["%4", 'invalid URL escape "%4"'],
    ["a=%%a", 'invalid URL escape "%%a"'],
    ['a=%"\n', 'invalid URL escape "%\\"\\n"'],
    ["a=%\xc3\xa9\xc3", 'invalid URL escape "%\xc3\xa9"'],
    ["a=%\xc2\xad", 'invalid URL escape "%\\u00ad"'],
    ["a=%\xff\x00", 'invalid URL escape "%\\xff\\x00"'],
    ["a=1;b=2", "invalid semicolon separator in query"],
  ];
  for (const [form, cause] of cases) assert.equal(new FormValues().add(form), cause, form);
});

test("numbers are unsigned decimals of 64 bit", () => {
  for (const good of ["0", "007", "18446744073709551615", "0".repeat(40) + "5"]) {
    accepted("PUT", `prevIndex=${good}&ttl=${good}`);
  }
  for (const bad of [
    "18446744073709551616",
    "+1",
    " 1",
    "1_0",
    "0x1",
    "1e3",
    "99999999999999999999999",
  ]) {
    assert.equal(refused("PUT", `prevIndex=${encodeURIComponent(bad)}`)[0], 203, bad);
    assert.equal(refused("PUT", `ttl=${encodeURIComponent(bad)}`)[0], 202, bad);
  }
});

test("a number beyond the safe integers is clamped and its text kept", () => {
  const request = accepted("PUT", "prevIndex=0018446744073709551615");
  assert.equal(request.prevIndex, Number.MAX_SAFE_INTEGER);
  assert.equal(request.prevIndexText, "18446744073709551615");
  assert.equal(accepted("PUT", "prevIndex=9007199254740990").prevIndexText, undefined);
  assert.equal(accepted("GET", "wait=1&waitIndex=9999999999999999999").waitIndex, 2 ** 53 - 1);
});

test("any digits are read as their value", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 66n) - 1n }), fc.nat(5), (value, zeros) => {
      const form = `prevIndex=${"0".repeat(zeros)}${String(value)}`;
      const result = parse("PUT", form);
      if (value >= 1n << 64n) assert.ok(result instanceof EtcdError);
      else if (result instanceof EtcdError) assert.fail(result.cause);
      else if (value < BigInt(Number.MAX_SAFE_INTEGER))
        assert.equal(result.prevIndex, Number(value));
      else assert.equal(result.prevIndexText, String(value));
    }),
    { seed },
  );
});

test("method and conditions decide the operation", () => {
  const cases: [KeyMethod, string, string][] = [
    ["PUT", "", "set"],
    ["PUT", "prevIndex=0", "set"],
    ["PUT", "prevExist=false&prevValue=x&prevIndex=3", "create"],
    ["PUT", "prevExist=true", "update"],
    ["PUT", "prevExist=true&prevIndex=0", "update"],
    ["PUT", "prevExist=true&prevIndex=1", "compareAndSwap"],
    ["PUT", "prevValue=x", "compareAndSwap"],
    ["POST", "prevExist=true&prevValue=x", "createInOrder"],
    ["DELETE", "prevExist=false", "delete"],
    ["DELETE", "prevIndex=4", "compareAndDelete"],
    ["DELETE", "prevValue=4", "compareAndDelete"],
  ];
  for (const [method, form, action] of cases) {
    assert.equal(
      toWriteCommand(accepted(method, form), "/1/a", 0).action,
      action,
      `${method} ${form}`,
    );
  }
  assert.equal(toWriteCommand(accepted("DELETE", "recursive=true"), "/1/a", 0).dir, true);
  assert.equal(toWriteCommand(accepted("DELETE", "value=x"), "/1/a", 0).value, "");
  const post = toWriteCommand(accepted("POST", "refresh=true&ttl=1&prevValue=x"), "/1/a", 0);
  assert.deepEqual([post.refresh, post.prevValue], [false, ""]);
});

test("expirations are the sum in wrapping 64 bit nanoseconds", () => {
  const nowMs = 1_700_000_000_123;
  const at = (ttl: string): number | undefined =>
    toWriteCommand(accepted("PUT", `ttl=${ttl}`), "/1/a", nowMs).expirationMs;
  assert.equal(at(""), undefined);
  assert.equal(at("0"), nowMs);
  assert.equal(at("100"), nowMs + 100_000);
  assert.equal(at("1000000000"), nowMs + 1e12);
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (ttl) => {
      const wrapped = BigInt.asIntN(64, BigInt(nowMs) * 1_000_000n + ttl * 1_000_000_000n);
      assert.equal(at(String(ttl)), Number(wrapped / 1_000_000n));
    }),
    { seed },
  );
  const past = toWriteCommand(accepted("PUT", "ttl=9223372036"), "/1/a", nowMs);
  assert.ok((past.expirationMs ?? 0) < 0);
  assert.equal(past.ttlMs, (past.expirationMs ?? 0) - nowMs);
  assert.equal(at("18446744073709551615"), nowMs - 1000);
});

test("content types are judged as strictly as etcd 2.3.8 does", () => {
  const form = "application/x-www-form-urlencoded";
  const cases: [string | undefined, boolean, string | undefined][] = [
    [undefined, false, undefined],
    ["", false, undefined],
    [form, true, undefined],
    [form.toUpperCase(), true, undefined],
    [`${form}; charset=utf-8`, true, undefined],
    [`${form}; charset="ut\\"f"; x=y;`, true, undefined],
    ["text/plain", false, undefined],
    ["text", false, undefined],
    ["multipart/form-data; boundary=B", false, undefined],
    [";;", false, "mime: no media type"],
    ["/", false, "mime: no media type"],
    ["bogus/", false, "mime: expected token after slash"],
    ["a b/c", false, "mime: expected slash after first token"],
    ["a/b c", false, "mime: unexpected content after media subtype"],
    [`${form}; charset`, true, "mime: invalid media parameter"],
    [`${form}; =x`, true, "mime: invalid media parameter"],
    [`${form}; a=b; A=c`, false, "mime: duplicate parameter name"],
    [`${form}; a=b; a=b`, false, "mime: duplicate parameter name"],
  ];
  for (const [header, isForm, problem] of cases) {
    assert.deepEqual(parseMediaType(header), { isForm, problem }, header ?? "none");
  }
});

test("the life is the TTL whatever the wall clock shows, and no expiration is before 2000", () => {
  const year2000 = Date.UTC(2000, 0, 1);
  for (const wallMs of [-1e12, -1, 0, 5, year2000, 1_700_000_000_123, 7_000_000_000_000]) {
    for (const [seconds, form] of [
      [5, "ttl=5"],
      [600, "ttl=600&prevExist=true"],
      [0, "ttl=0"],
      [7, "ttl=7&refresh=true&prevExist=true"],
      [8, "ttl=8&prevValue=x"],
      [9, "ttl=9&dir=true"],
      [2_000_000_000, "ttl=2000000000"],
    ] as const) {
      const { expirationMs, ttlMs } = toWriteCommand(accepted("PUT", form), "/1/a", wallMs);
      assert.equal(ttlMs, seconds * 1000, `${form} at ${wallMs}`);
      assert.equal(expirationMs, Math.max(wallMs, year2000) + seconds * 1000);
    }
  }
});
