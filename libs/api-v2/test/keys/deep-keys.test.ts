/** What clients are told of keys with more levels than new ones may have. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KEY_LEVELS_MAX, writeCommand } from "@etcd2/store";
import { RawConnection, type RawResponse } from "@etcd2/test-support/traces";
import { startFakeServer, type RunningFake } from "../fake-server.ts";

const FORM = { "Content-Type": "application/x-www-form-urlencoded" };

async function ask(
  { baseUrl }: RunningFake,
  method: string,
  target: string,
  body?: string,
): Promise<RawResponse> {
  const connection = await RawConnection.open(baseUrl);
  const headers = body === undefined ? {} : FORM;
  const response = await connection.exchange({ method, target, headers, body });
  connection.close();
  return response;
}

function deep(levels: number): string {
  return "/a".repeat(levels);
}

const REFUSAL = {
  errorCode: 209,
  message: "Invalid field",
  cause: `key has ${KEY_LEVELS_MAX + 1} levels, of which ${KEY_LEVELS_MAX} are allowed`,
  index: 0,
};

describe("a key with more levels than are allowed", () => {
  it("is refused with 400 and error 209 by whatever would make it, and nothing changes", async () => {
    const running = await startFakeServer();
    const tooDeep = `/v2/keys${deep(KEY_LEVELS_MAX + 1)}`;
    const before = running.server.reader.etcdIndex;
    for (const [method, target, body] of [
      ["PUT", tooDeep, "value=x"],
      ["PUT", `${tooDeep}?dir=true`, undefined],
      ["PUT", `${tooDeep}?prevExist=false`, "value=x"],
      ["PUT", `${tooDeep}?ttl=5`, "value=x"],
      ["POST", `/v2/keys${deep(KEY_LEVELS_MAX)}`, "value=x"],
      ["GET", `${tooDeep}?wait=true`, undefined],
    ] as const) {
      const { status, body: text } = await ask(running, method, target, body);
      assert.equal(status, 400, `${method} ${target.slice(-30)}`);
      assert.deepEqual(JSON.parse(text), REFUSAL);
    }
    assert.equal(running.server.reader.etcdIndex, before);
    await running.close();
  });

  it("is missing like any other for what makes nothing", async () => {
    const running = await startFakeServer();
    const tooDeep = `/v2/keys${deep(20_000)}`;
    for (const [method, target] of [
      ["GET", tooDeep],
      ["HEAD", tooDeep],
      ["DELETE", tooDeep],
      ["PUT", `${tooDeep}?prevExist=true&value=x`],
      ["PUT", `${tooDeep}?prevValue=y&value=x`],
    ] as const) {
      assert.equal((await ask(running, method, target)).status, 404, method);
    }
    await running.close();
  });

  it("is made with as many levels as are allowed", async () => {
    const running = await startFakeServer();
    const target = `/v2/keys${deep(KEY_LEVELS_MAX)}`;
    assert.equal((await ask(running, "PUT", target, "value=x")).status, 201);
    assert.equal((await ask(running, "GET", target)).status, 200);
    await running.close();
  });

  it("is served whole where it exists already", async () => {
    const running = await startFakeServer();
    const path = deep(KEY_LEVELS_MAX + 500);
    running.server.apply(writeCommand({ action: "set", path: `/1${path}`, value: "old" }));
    assert.equal((await ask(running, "GET", `/v2/keys${path}`)).status, 200);
    assert.equal((await ask(running, "PUT", `/v2/keys${path}`, "value=new")).status, 200);
    const listing = await ask(running, "GET", "/v2/keys/a?recursive=true");
    assert.match(listing.body, /"value":"new"/);
    const gone = await ask(running, "DELETE", "/v2/keys/a?recursive=true");
    assert.equal(gone.status, 200);
    assert.equal((await ask(running, "GET", "/v2/keys/a")).status, 404);
    await running.close();
  });
});
