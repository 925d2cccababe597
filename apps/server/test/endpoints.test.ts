/** Every way into a real server, on all its listeners, and who may use it with and without users. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { ChannelCredentials, Client, status as grpcStatus } from "@grpc/grpc-js";
import { ENDPOINT_RULES } from "@etcd2/api-v2";
import type { Caller } from "@etcd2/api-v2";
import { HelloSchema, StreamFrameSchema } from "@etcd2/proto/raft";
import { freePort } from "@etcd2/test-support";
import { ServerProcess } from "./single-member/server-process.ts";

const EXAMPLES: Readonly<Record<string, string>> = {
  "/v2/keys*": "/v2/keys/none",
  "/v2/members*": "/v2/members/0",
  "/v2/stats/*": "/v2/stats/self",
  "/v2/auth/*": "/v2/auth/users/none",
  "/v2/admin/*": "/v2/admin/snapshot",
  "/debug/pprof*": "/debug/pprof/cmdline",
};

const people: readonly (string | undefined)[] = [undefined, "ann", "root"];

function mayPass(caller: Caller, as: string | undefined): boolean {
  // Guests may do everything with keys here, and a user without roles nothing.
  if (caller === "roles") return as !== "ann";
  return caller === "anyone" || as === "root" || (caller === "user" && as !== undefined);
}

async function ask(url: string, method: string, as?: string, body?: string): Promise<number> {
  const headers = as === undefined ? {} : { Authorization: `Basic ${btoa(`${as}:${as}`)}` };
  const answer = await fetch(url, { method, headers, ...(body !== undefined && { body }) });
  await answer.arrayBuffer();
  return answer.status;
}

let server: ServerProcess;
let metricsUrl = "";
before(async () => {
  metricsUrl = `http://127.0.0.1:${await freePort()}`;
  server = await ServerProcess.start([
    ...["--auth-all-endpoints", "--enable-pprof", "--bcrypt-cost", "4"],
    ...["--listen-metrics-urls", metricsUrl],
  ]);
});
after(() => server.dispose());

/** Asks for everything in everybody's name; `isOn` says whether there are users. */
async function walk(isOn: boolean): Promise<void> {
  for (const { path, methods, caller, strict } of ENDPOINT_RULES) {
    const target = EXAMPLES[path] ?? path;
    for (const method of path === "/v2/auth/*" ? ["GET"] : methods) {
      for (const as of people) {
        const isIn = !isOn || mayPass(strict ?? caller, as);
        const status = await ask(server.clientUrl + target, method, as);
        assert.equal(status !== 401, isIn, `${method} ${target} as ${as ?? "nobody"}: ${status}`);
        const atMetrics = await ask(metricsUrl + target, method, as);
        const isThere = /^\/(?:metrics|health|livez|readyz)$/.test(path);
        const wanted = isThere ? status : 404;
        assert.equal(atMetrics, wanted, `${method} ${target} at the metrics port: ${atMetrics}`);
      }
    }
  }
}

describe("the client and metrics ports", () => {
  it("are open to everybody without users, and as the table says with them", async () => {
    await walk(false);
    const auth = `${server.clientUrl}/v2/auth`;
    for (const user of ["root", "ann"]) {
      const body = JSON.stringify({ user, password: user });
      assert.equal(await ask(`${auth}/users/${user}`, "PUT", undefined, body), 201);
    }
    assert.equal(await ask(`${auth}/enable`, "PUT"), 200);
    await walk(true);
  });
});

describe("the peer port", () => {
  let client: Client;
  before(() => {
    const peerUrl = server.flags[server.flags.indexOf("--listen-peer-urls") + 1] ?? "";
    client = new Client(new URL(peerUrl).host, ChannelCredentials.createInsecure());
  });
  after(() => {
    client.close();
  });

  const call = (path: string, message: Uint8Array): Promise<{ code: number; details: string }> =>
    new Promise((resolve) => {
      const same = (bytes: Buffer): Buffer => bytes;
      const stream = client.makeBidiStreamRequest<Buffer, Buffer>(path, same, same);
      stream.on("data", () => undefined);
      stream.on("error", () => undefined);
      stream.on("status", resolve);
      stream.write(Buffer.from(message));
      stream.end();
    });

  it("tells anybody about cluster and health, takes messages of its own cluster alone", async () => {
    const nothing = new Uint8Array(0);
    const info = await call("/raft.v1.RaftService/ClusterInfo", nothing);
    assert.equal(info.code, grpcStatus.OK);
    assert.equal((await call("/grpc.health.v1.Health/Check", nothing)).code, grpcStatus.OK);
    const value = create(HelloSchema, {
      clusterId: "00000000000000aa",
      from: "00000000000000bb",
      to: "00000000000000cc",
      serverVersion: "2.3.8",
      minClusterVersion: "2.3.0",
    });
    const hello = toBinary(
      StreamFrameSchema,
      create(StreamFrameSchema, { frame: { case: "hello", value } }),
    );
    const refused = await call("/raft.v1.RaftService/Stream", hello);
    assert.equal(refused.code, grpcStatus.FAILED_PRECONDITION);
    assert.match(refused.details, /cluster id mismatch/);
    const snapshot = await call("/raft.v1.RaftService/Snapshot", nothing);
    assert.equal(snapshot.code, grpcStatus.INVALID_ARGUMENT);
    for (const path of ["/v2/keys/a", "/raft", "/members", "/raft.v1.RaftService/Other"]) {
      assert.equal((await call(path, nothing)).code, grpcStatus.UNIMPLEMENTED, path);
    }
  });
});

describe("docs/operations/security.md", () => {
  it("has the table that is enforced", () => {
    const file = join(import.meta.dirname, "..", "..", "..", "docs", "operations", "security.md");
    const rows = readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("| `/"))
      .map((line) => line.split("|").map((cell) => cell.trim().replaceAll("`", "")))
      .map(([, path, methods, caller, strict]) => [path, methods, caller, strict]);
    const rules = ENDPOINT_RULES.map(({ path, methods, caller, strict }) => [
      path,
      methods.join(" "),
      caller,
      strict ?? caller,
    ]);
    assert.deepEqual(rows, rules);
  });
});
