import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AuthRefusal,
  changeRole,
  changeUser,
  readRole,
  readUser,
  roleAllows,
  roleText,
  userText,
  withRootRole,
  type AuthRole,
  type AuthUser,
} from "../../src/auth/auth-documents.ts";
import { parseBasicAuth } from "../../src/auth/basic-auth.ts";
import { JsonDecodeError, JsonDocument } from "../../src/json/json-document.ts";

const document = (text: string): JsonDocument => JsonDocument.parse(text, "ignored");

function role(read: string[], write: string[], name = "r"): AuthRole {
  return { role: name, permissions: { read, write }, grant: undefined, revoke: undefined };
}

test("documents are decoded like etcd 2.3.8's decoder does it", () => {
  const user = readUser(document('{"USER":"eve","Password":"x","unknown":[1]} trailing'));
  assert.deepEqual(user, { user: "eve", password: "x", roles: null, grant: [], revoke: [] });
  assert.equal(readUser(document("null")).user, "");
  assert.equal(readUser(document('{"user":"a","User":"b"}')).user, "b");
  assert.deepEqual(readUser(document('{"roles":["a",null],"user":null}')).roles, ["a", ""]);
  assert.equal(readUser(document('{"user":"\\u00e9\\u2028"}')).user, "\xc3\xa9\xe2\x80\xa8");
  assert.equal(readUser(document('{"__proto__":{"user":"x"},"u\\u017fer":"y"}')).user, "y");
});

test("field names are the same in any case, by the folding of Unicode", () => {
  assert.deepEqual(readUser(document('{"revo\\u212ae":["a"]}')).revoke, ["a"]);
});

test("repeated fields: the last text or list counts, objects are merged, each is checked", () => {
  assert.equal(readUser(document('{"user":"a","user":"b"}')).user, "b");
  assert.equal(readUser(document('{"user":"a","user":null}')).user, "a");
  assert.deepEqual(readUser(document('{"roles":["a"],"roles":["b"]}')).roles, ["b"]);
  assert.equal(readUser(document('{"roles":["a"],"roles":null}')).roles, null);
  assert.throws(() => readUser(document('{"user":5,"user":"a"}')), JsonDecodeError);
  const kv = '{"kv":{"read":["/\\"}"]}, "KV" : {"write" :["/w"]} }';
  const text = `{"permissions" : ${kv}, "permissions":{"kv":{"read":["/r"]}}, "grant":{}, "x":1}`;
  const read = readRole(document(text));
  assert.deepEqual(read.permissions, { read: ["/r"], write: ["/w"] });
  assert.deepEqual(read.grant, { read: null, write: null });
  const many = `{"permissions":{${'"kv":{"read":[]},'.repeat(50_000)}"kv":{"read":["/last"]}}}`;
  assert.deepEqual(readRole(document(many)).permissions.read, ["/last"]);
});

test("malformed bodies are refused", () => {
  const bad = [
    "",
    "{",
    "[]",
    "5",
    '"x"',
    "bad",
    '{"user":5}',
    '{"roles":"a"}',
    '{"roles":[1]}',
    "}",
  ];
  for (const text of bad) assert.throws(() => readUser(document(text)), JsonDecodeError, text);
  for (const text of [
    '{"permissions":[]}',
    '{"permissions":{"kv":{"read":"/a"}}}',
    '{"grant":1}',
  ]) {
    assert.throws(() => readRole(document(text)), JsonDecodeError, text);
  }
});

test("text after a document matters where it is read as a whole", () => {
  assert.throws(() => JsonDocument.parse("{} x", "refused"), JsonDecodeError);
  assert.throws(() => JsonDocument.parse('{"a":"}', "refused"), /unexpected end of JSON input/);
  assert.doesNotThrow(() => JsonDocument.parse(' {"a":"}"} \n', "refused"));
  assert.doesNotThrow(() => JsonDocument.parse('{"a":[{}]}{', "ignored"));
  assert.equal(JsonDocument.parse('{"a":"\\"}"} x', "ignored").string("a"), '"}');
});

test("texts are those etcd 2.3.8 stores and shows", () => {
  const user: AuthUser = { user: "ann", password: "$2a$hash", roles: null };
  assert.equal(userText(user), '{"user":"ann","password":"$2a$hash","roles":null}');
  assert.equal(userText({ ...user, password: "", roles: [] }), '{"user":"ann","roles":[]}');
  const text =
    '{"role":"r4","permissions":{"kv":{"read":null,"write":["/\\u003c"]}},"grant":{"kv":{"read":[],"write":null}}}';
  assert.equal(roleText(readRole(document(text))), text);
});

test("the user root always has the role root", () => {
  const root: AuthUser = { user: "root", password: "", roles: null };
  assert.deepEqual(withRootRole(root).roles, ["root"]);
  assert.deepEqual(withRootRole({ ...root, roles: ["root", "a"] }).roles, ["root", "a"]);
  assert.equal(withRootRole({ ...root, user: "Root" }).roles, null);
});

test("grants come before revocations, and roles come back sorted", () => {
  const old: AuthUser = { user: "ann", password: "h", roles: ["z", "a"] };
  const change = { user: "ann", password: "", roles: null };
  const changed = changeUser(old, { ...change, grant: ["c", "b"], revoke: ["z", "c"] }, "h");
  assert.deepEqual(changed.roles, ["a", "b"]);
  const duplicate = { ...change, grant: ["a"], revoke: [] };
  assert.throws(
    () => changeUser(old, duplicate, "h"),
    new AuthRefusal(409, "auth: Granting duplicate role a for user ann"),
  );
  const missing = { ...change, grant: [], revoke: ["b"] };
  assert.throws(
    () => changeUser(old, missing, "h"),
    new AuthRefusal(409, "auth: Revoking ungranted role b for user ann"),
  );
});

test("permissions are granted and revoked by list", () => {
  const old = role(["/b"], ["/w"]);
  const grant = changeRole(old, { ...role([], []), grant: { read: ["/a*"], write: null } });
  assert.deepEqual(grant.permissions, { read: ["/a*", "/b"], write: ["/w"] });
  const revoke = changeRole(old, { ...role([], []), revoke: { read: ["/none"], write: ["/w"] } });
  assert.deepEqual(revoke.permissions, { read: ["/b"], write: [] });
  const duplicate = { ...role([], []), grant: { read: [], write: ["/w"] } };
  assert.throws(
    () => changeRole(old, duplicate),
    new AuthRefusal(409, "auth: Granting duplicate write permission /w"),
  );
});

test("patterns match by prefix only with a final star", () => {
  const cases: [pattern: string, key: string, plain: boolean, recursive: boolean][] = [
    ["/a", "/a", true, false],
    ["/a", "/a/", false, false],
    ["/a/*", "/a", false, false],
    ["/a/*", "/a/", true, true],
    ["/a*", "/ab/c", true, true],
    ["*", "", true, true],
    ["/a*b", "/axb", false, false],
    ["", "", false, false],
  ];
  for (const [pattern, key, plain, recursive] of cases) {
    assert.equal(roleAllows(role([pattern], []), key, false, false), plain, `${pattern} ${key}`);
    assert.equal(roleAllows(role([], [pattern]), key, true, true), recursive, `${pattern} ${key}`);
    assert.equal(roleAllows(role([pattern], []), key, true, false), false);
  }
  assert.equal(roleAllows(role([], [], "root"), "/x", true, true), true);
});

test("basic credentials are parsed as strictly as etcd 2.3.8 does", () => {
  const encode = (text: string): string => Buffer.from(text, "latin1").toString("base64");
  assert.deepEqual(parseBasicAuth(`Basic ${encode("ann:p:w\xff")}`), {
    user: "ann",
    password: "p:w\xff",
  });
  assert.deepEqual(parseBasicAuth(`bAsIc ${encode(":")}`), { user: "", password: "" });
  const bad = [
    "",
    "Basic",
    "Basic ",
    "Bearer abc",
    "Basic ###",
    `Basic  ${encode("a:b")}`,
    `Basic ${encode("ab")}`,
    "Basic YTpi=",
    "Basic YTpiYw",
    "Basic YTpi\n",
  ];
  for (const header of bad) assert.equal(parseBasicAuth(header), undefined, header);
});

test("a body has a bounded number of values, a stored document is read however long", () => {
  const many = (count: number): string => Array.from({ length: count }, (_, i) => `"${i}"`).join();
  const roles = (count: number): string => `{"user":"u","roles":[${many(count)}]}`;
  assert.equal(JsonDocument.parseBody(roles(9_000), "refused").strings("roles")?.length, 9_000);
  assert.equal(JsonDocument.parse(roles(20_000), "refused").strings("roles")?.length, 20_000);
  const fields = Array.from({ length: 11_000 }, (_, i) => `"f${i}":1`).join();
  const nested = `{"x":${"[".repeat(11_000)}${"]".repeat(11_000)}}`;
  for (const text of [roles(11_000), `{${fields}}`, nested, "[".repeat(20_000)]) {
    assert.throws(() => JsonDocument.parseBody(text, "ignored"), /json: more than 10000 values/);
  }
  // Commas and brackets within a text are no values.
  const text = `{"user":"${",[{".repeat(20_000)}"}`;
  assert.equal(JsonDocument.parseBody(text, "refused").string("user").length, 60_000);
});

test("grants end at a bound; a role that is larger already can be reduced", () => {
  const names = (count: number, prefix = "/"): string[] =>
    Array.from({ length: count }, (_, i) => `${prefix}${i}`);
  const role = (read: string[]): AuthRole => ({
    role: "r",
    permissions: { read, write: null },
    grant: undefined,
    revoke: undefined,
  });
  const grant = (read: string[]): AuthRole => ({ ...role([]), grant: { read, write: null } });
  const revoke = (read: string[]): AuthRole => ({ ...role([]), revoke: { read, write: null } });
  assert.equal(changeRole(role(names(9_999)), grant(["/new"])).permissions.read?.length, 10_000);
  assert.throws(() => changeRole(role(names(10_000)), grant(["/new"])), /More than 10000 read/);
  assert.equal(changeRole(role(names(12_000)), revoke(["/7"])).permissions.read?.length, 11_999);
  const user = { user: "u", password: "", roles: names(10_000, "r") };
  const more = { ...user, roles: null, grant: ["new"], revoke: [] };
  assert.throws(() => changeUser(user, more, ""), /More than 10000 roles/);
});
