/** Calls of the v3 client: fail-over, what is repeated, deadlines, tokens. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { AuthenticateResponseSchema } from "@etcd2/proto/v3/cluster";
import { PutResponseSchema, RangeResponseSchema } from "@etcd2/proto/v3/kv";
import * as methods from "../../src/client/methods.ts";
import { V3Client } from "../../src/client/v3-client.ts";
import { V3Error } from "../../src/client/v3-error.ts";
import { GrpcServer, type ScriptedCall } from "../support/grpc-server.ts";

const RANGE = toBinary(RangeResponseSchema, create(RangeResponseSchema, { count: 7n }));
const PUT = toBinary(PutResponseSchema, create(PutResponseSchema, {}));
const KEY = Buffer.from("k");

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function serve(onCall: (call: ScriptedCall) => void): Promise<GrpcServer> {
  const server = await GrpcServer.start(onCall);
  cleanUps.push(() => server.close());
  return server;
}

function client(options: ConstructorParameters<typeof V3Client>[0]): V3Client {
  const made = new V3Client(options);
  cleanUps.push(() => {
    made.close();
  });
  return made;
}

/** An endpoint where nobody listens. */
async function deadEndpoint(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

function isError(code: string, mayHaveHappened: boolean): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof V3Error);
    assert.deepEqual([error.code, error.mayHaveHappened], [code, mayHaveHappened], error.message);
    return true;
  };
}

test("a call goes to the next endpoint when the first is dead, and stays there", async () => {
  const server = await serve((call) => {
    call.answer(RANGE);
  });
  const v3 = client({ endpoints: [await deadEndpoint(), server.endpoint] });
  const answer = await v3.call(methods.range, { key: KEY });
  assert.equal(answer.count, 7n);
  assert.equal(v3.endpoint, server.endpoint);
});

test("a write is repeated when it was refused unseen, and not when it may have happened", async () => {
  let refused = 0;
  const first = await serve(({ stream }) => {
    refused += 1;
    // 7 is REFUSED_STREAM, 2 INTERNAL_ERROR.
    stream.close(refused === 1 ? 7 : 2);
  });
  const second = await serve((call) => {
    call.answer(PUT);
  });
  const v3 = client({ endpoints: [first.endpoint, second.endpoint] });
  await v3.call(methods.put, { key: KEY });
  assert.equal(second.calls.length, 1);
  v3.switchEndpoint();
  await assert.rejects(v3.call(methods.put, { key: KEY }), isError("unavailable", true));
  assert.equal(second.calls.length, 1);
});

test("a read is repeated elsewhere after a broken answer", async () => {
  const first = await serve(({ stream }) => {
    stream.session?.destroy();
  });
  const second = await serve((call) => {
    call.answer(RANGE);
  });
  const v3 = client({ endpoints: [first.endpoint, second.endpoint] });
  assert.equal((await v3.call(methods.range, { key: KEY })).count, 7n);
});

test("without any endpoint the error says so and that nothing happened", async () => {
  const v3 = client({ endpoints: [await deadEndpoint(), await deadEndpoint()] });
  await assert.rejects(v3.call(methods.put, { key: KEY }), isError("unavailable", false));
});

test("a call that is not answered in time ends and the next goes elsewhere", async () => {
  const silent = await serve(() => undefined);
  const second = await serve((call) => {
    call.answer(RANGE);
  });
  const v3 = client({ endpoints: [silent.endpoint, second.endpoint], timeoutMs: 200 });
  await assert.rejects(v3.call(methods.range, { key: KEY }), isError("deadlineExceeded", true));
  assert.equal(v3.endpoint, second.endpoint);
  v3.switchEndpoint();
  const controller = new AbortController();
  const aborted = v3.call(
    methods.range,
    { key: KEY },
    { signal: controller.signal, timeoutMs: 60_000 },
  );
  controller.abort();
  await assert.rejects(aborted, isError("cancelled", true));
});

test("a status of the server becomes a typed error with its message", async () => {
  const server = await serve((call) => {
    call.refuse(11, "etcdserver: mvcc: required revision has been compacted");
  });
  const v3 = client({ endpoints: [server.endpoint] });
  await assert.rejects(v3.call(methods.range, { key: KEY }), (error) => {
    assert.ok(error instanceof V3Error && error.isCompacted);
    assert.equal(error.message, "etcdserver: mvcc: required revision has been compacted");
    return isError("outOfRange", false)(error);
  });
});

test("a token is asked for once, sent with every call, and renewed when it is not known", async () => {
  let issued = 0;
  let valid = "";
  const server = await serve((call) => {
    if (call.path === methods.authenticate.path) {
      issued += 1;
      valid = `token-${issued}`;
      const answer = create(AuthenticateResponseSchema, { token: valid });
      call.answer(toBinary(AuthenticateResponseSchema, answer));
    } else if (call.token === valid) {
      call.answer(RANGE);
    } else {
      call.refuse(16, "etcdserver: invalid auth token");
    }
  });
  const credentials = { user: "root", password: "secret" };
  const v3 = client({ endpoints: [server.endpoint], credentials });
  await Promise.all([1, 2, 3].map(() => v3.call(methods.range, { key: KEY })));
  assert.equal(issued, 1);
  valid = "forgotten";
  await v3.call(methods.range, { key: KEY });
  assert.equal(issued, 2);
});
