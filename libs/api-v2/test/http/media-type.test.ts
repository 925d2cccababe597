import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isJsonType, parseMediaType } from "../../src/http/media-type.ts";
import { RawConnection, type RawResponse } from "@etcd2/test-support/traces";
import { startFakeServer, type RunningFake } from "../fake-server.ts";

let running: RunningFake;
before(async () => {
  running = await startFakeServer();
});
after(() => running.close());

async function send(
  method: string,
  target: string,
  type: string | undefined,
  body: string,
): Promise<RawResponse> {
  const connection = await RawConnection.open(running.baseUrl);
  const headers = type === undefined ? {} : { "Content-Type": type };
  const response = await connection.exchange({ method, target, headers, body });
  connection.close();
  return response;
}

const JSON_TYPES = [
  "application/json",
  "application/json; charset=utf-8",
  "application/json;charset=UTF-8",
  "application/json ; charset=utf-8",
  "application/json;",
  'application/json; profile="a;b"; charset=utf-8',
  "Application/JSON",
  "APPLICATION/JSON; Charset=utf-8",
];
const OTHER_TYPES = [
  "text/plain",
  "text/json",
  "application/jsonx",
  "application/json, text/plain",
  "application / json",
  "text/plain; a=application/json",
  "application/x-www-form-urlencoded",
  ";application/json",
];

test("JSON is JSON in any case, with any parameters, and nothing else is", () => {
  for (const type of JSON_TYPES) assert.ok(isJsonType(type), type);
  for (const type of ["", ...OTHER_TYPES]) assert.ok(!isJsonType(type), type);
});

test("the members API takes JSON however its type is written", async () => {
  for (const [i, type] of JSON_TYPES.entries()) {
    const url = `http://127.0.0.1:${String(i + 1)}`;
    running.server.membership.started = running.server.membership.list().length;
    const body = `{"peerURLs":["${url}"]}`;
    const added = await send("POST", "/v2/members", type, body);
    assert.equal(added.status, 201, `${type}: ${added.body}`);
    const { id } = JSON.parse(added.body) as { id: string };
    running.server.membership.started = running.server.membership.list().length;
    const changed = await send("PUT", `/v2/members/${id}`, type, body.replace("127.", "128."));
    assert.equal(changed.status, 204, `${type}: ${changed.body}`);
  }
  const count = running.server.membership.list().length;
  for (const type of [undefined, ...OTHER_TYPES]) {
    const refused = await send("POST", "/v2/members", type, '{"peerURLs":["http://127.0.0.1:99"]}');
    assert.equal(refused.status, 415, String(type));
    const message = `Bad Content-Type ${type ?? ""}, accept application/json`;
    assert.deepEqual(JSON.parse(refused.body), { message });
  }
  assert.equal(running.server.membership.list().length, count);
});

test("the other JSON endpoints read JSON whatever its type", async () => {
  for (const type of [undefined, "text/plain", ...JSON_TYPES]) {
    const body = '{"role":"r"}';
    const added = await send("PUT", "/v2/auth/roles/r", type, body);
    assert.ok([200, 201].includes(added.status), `${String(type)}: ${added.body}`);
    await send("DELETE", "/v2/auth/roles/r", type, "");
    const level = await send("PUT", "/config/local/log", type, '{"Level":"INFO"}');
    assert.equal(level.status, 204, String(type));
  }
});

test("a form is a form in any case, with any parameters", async () => {
  const form = "application/x-www-form-urlencoded";
  const types = [form, `${form}; charset=utf-8`, `${form};charset="UTF-8"`, `${form} ; a=b;c=d`];
  for (const [i, type] of [...types, form.toUpperCase(), `${form};`].entries()) {
    assert.deepEqual(parseMediaType(type), { isForm: true, problem: undefined }, type);
    const value = `v${String(i)}`;
    const put = await send("PUT", "/v2/keys/form", type, `value=${value}`);
    assert.match(put.body, new RegExp(`"value":"${value}"`), type);
  }
});
