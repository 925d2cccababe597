/** Endpoints as people name them: what is dialled, what requests call it, what a certificate must name. */
import assert from "node:assert/strict";
import dns from "node:dns";
import type { LookupAddress, LookupOptions } from "node:dns";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, mock, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { RangeResponseSchema } from "@etcd2/proto/v3/kv";
import { UrlError } from "@etcd2/net-url";
import { Connection, plainMessage } from "../../src/client/connection.ts";
import * as methods from "../../src/client/methods.ts";
import { V3Client } from "../../src/client/v3-client.ts";
import { GrpcServer } from "../support/grpc-server.ts";

const RANGE = toBinary(RangeResponseSchema, create(RangeResponseSchema, { count: 7n }));

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  mock.restoreAll();
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

type Answer = (error: null, found: string | LookupAddress[], family?: number) => void;

/** Every name is this machine; returns the names that were looked up. */
function resolveAllNames(): readonly string[] {
  const names: string[] = [];
  mock.method(dns, "lookup", (name: string, options: LookupOptions, answer: Answer) => {
    names.push(name);
    if (options.all === true) answer(null, [{ address: "127.0.0.1", family: 4 }]);
    else answer(null, "127.0.0.1", 4);
  });
  return names;
}

async function ask(host: string): Promise<{ authority: string; names: readonly string[] }> {
  let authority = "";
  const server = await GrpcServer.start((call) => {
    authority = call.authority;
    call.answer(RANGE);
  });
  cleanUps.push(() => server.close());
  const names = resolveAllNames();
  const port = server.endpoint.split(":").at(-1) ?? "";
  const client = new V3Client({ endpoints: [`http://${host}:${port}`] });
  cleanUps.push(() => {
    client.close();
  });
  const answer = await client.call(methods.range, { key: Buffer.from("k") });
  assert.equal(answer.count, 7n);
  assert.ok(authority.endsWith(`:${port}`), authority);
  return { authority: authority.slice(0, -port.length - 1), names };
}

for (const host of ["etcd.1", "etcd_3", "Etcd.Example", "etcd.1.", "0x7f.1"]) {
  test(`${host} is looked up and named as it stands`, async () => {
    assert.deepEqual(await ask(host), { authority: host, names: [host] });
  });
}

test("zeros before the numbers of an IPv4 address do not make them octal", async () => {
  assert.deepEqual(await ask("127.000.000.001"), { authority: "127.000.000.001", names: [] });
});

test("localhost is 127.0.0.1 without a look-up", async () => {
  assert.deepEqual(await ask("localhost"), { authority: "localhost", names: [] });
});

test("what is no URL is said to be none", async () => {
  const client = new V3Client({ endpoints: ["http://%41:1"] });
  await assert.rejects(client.call(methods.range, { key: Buffer.from("k") }), UrlError);
});

test("a server that takes the connection and says nothing is told from one that is not there", async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const sockets: Socket[] = [];
  silent.on("connection", (socket) => sockets.push(socket));
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const { port } = silent.address() as AddressInfo;
  const connection = new Connection({
    endpoint: `http://127.0.0.1:${port}`,
    connectTimeoutMs: 200,
  });
  await assert.rejects(
    connection.ready(),
    /: it took the connection and said nothing for 200 ms: it may be no etcd v3 server$/,
  );
});

test("a reason does not advise on the command line of the runtime", () => {
  const error = new Error(
    "unable to verify the first certificate; if the root CA is installed locally, try running Node.js with --use-system-ca",
  );
  assert.equal(plainMessage(error), "unable to verify the first certificate");
});
