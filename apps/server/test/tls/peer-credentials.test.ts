import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { isIP } from "node:net";
import { describe, it } from "node:test";
import { createPeerServer } from "@etcd2/raft";
import { Client } from "@grpc/grpc-js";
import type { TlsConfig } from "../../src/config/server-config.ts";
import { outgoingTls } from "../../src/tls/outgoing-tls.ts";
import type { OutgoingTls } from "../../src/tls/outgoing-tls.ts";
import { createPeerCredentials, createPeerTlsServer } from "../../src/tls/peer-credentials.ts";
import type { TlsSide } from "../../src/tls/tls-side.ts";
import { make, path, noTls, withPair, logger, makeSide } from "./tls-harness.ts";

describe("peer credentials", () => {
  const method = {
    path: "/test.Echo/Echo",
    requestStream: false,
    responseStream: false,
    requestSerialize: (data: Buffer) => data,
    requestDeserialize: (data: Buffer) => data,
    responseSerialize: (data: Buffer) => data,
    responseDeserialize: (data: Buffer) => data,
  } as const;

  /** One call from a peer with its own side to a server; "ok" or why not. */
  async function call(
    target: string,
    side: OutgoingTls | undefined,
    host = "127.0.0.1",
  ): Promise<string> {
    const outgoing = side ?? outgoingTls({ caFile: "", trustedCaFile: "" }, undefined);
    const client = new Client(target, createPeerCredentials(outgoing)("https"), {
      ...(isIP(host) === 0 && { "grpc.ssl_target_name_override": host }),
      "grpc.use_local_subchannel_pool": 1,
    });
    const answer = await new Promise<string>((resolve) => {
      const deadline = Date.now() + 20_000;
      const { path: name, requestSerialize, responseDeserialize } = method;
      client.makeUnaryRequest(
        name,
        requestSerialize,
        responseDeserialize,
        Buffer.from("x"),
        { deadline },
        (error) => {
          resolve(error === null ? "ok" : error.details);
        },
      );
    });
    client.close();
    return answer;
  }

  async function servePeers(
    config: TlsConfig,
    test: (target: string, side: TlsSide, lines: readonly string[]) => Promise<void>,
  ) {
    const { lines, log } = logger();
    const side = await makeSide(config, log);
    const server = await createPeerServer({
      addresses: ["https://127.0.0.1:0"],
      tls: createPeerTlsServer(side),
    });
    server.grpc.addService(
      { Echo: method },
      {
        Echo: (request: { request: Buffer }, done: (error: null, value: Buffer) => void) => {
          done(null, request.request);
        },
      },
    );
    try {
      await test(`127.0.0.1:${server.listeners[0]?.port ?? 0}`, side, lines);
    } finally {
      side.close();
      await server.close();
    }
  }

  const mutual = (name: string, ca = "ca") =>
    withPair(name, { trustedCaFile: path(`${ca}/ca.pem`), clientCertAuth: true });

  it("let members of one authority talk, and nobody else", async () => {
    await servePeers(mutual("ca/peer"), async (target, _side, lines) => {
      const good = await makeSide(mutual("ca/server"));
      assert.equal(await call(target, good), "ok");
      assert.deepEqual(lines, []);
      const foreign = await makeSide(mutual("other/client", "ca"));
      assert.notEqual(await call(target, foreign), "ok");
      const stranger = await makeSide(mutual("ca/server", "other"));
      assert.match(
        await call(target, stranger),
        /TLS with 127\.0\.0\.1: its certificate is signed by an authority that is not trusted here/,
      );
      assert.notEqual(await call(target, undefined), "ok");
      // The listening side tells too whom it refused.
      assert.match(
        lines.join(""),
        /refused a client connection from 127\.0\.0\.1: its certificate/,
      );
      for (const side of [good, foreign, stranger]) side.close();
    });
  });

  it("check members by address also without a certificate of their own", async () => {
    await servePeers(withPair("ca/peer", {}), async (target) => {
      const authority = { caFile: "", trustedCaFile: path("ca/ca.pem") };
      assert.equal(await call(target, outgoingTls(authority, undefined)), "ok");
      assert.match(
        await call(target, undefined),
        /TLS with 127\.0\.0\.1: its certificate is signed by an (?:unknown )?authority/,
      );
    });
    const missing = { caFile: "", trustedCaFile: path("ca/none.pem") };
    assert.throws(() => outgoingTls(missing, undefined), /cannot read CA file .*none\.pem/);
  });

  it("name what was found and wanted when the host is wrong", async () => {
    await servePeers(mutual("ca/peer"), async (target) => {
      const side = await makeSide(mutual("ca/server"));
      const answer = await call(target, side, "infra9.example");
      assert.match(
        answer,
        /its certificate is valid for localhost, 127\.0\.0\.1, [0:1]+, not for infra9\.example/,
      );
      side.close();
    });
  });

  it("take new certificates over on both sides", async () => {
    for (const end of ["server", "dialler"]) {
      copyFileSync(path("ca/peer.pem"), path(`${end}.pem`));
      copyFileSync(path("ca/peer-key.pem"), path(`${end}-key.pem`));
      copyFileSync(path("ca/ca.pem"), path(`${end}-ca.pem`));
    }
    make("next", "peer");
    const swap = (end: string) => {
      copyFileSync(path("next/peer.pem"), path(`${end}.pem`));
      copyFileSync(path("next/peer-key.pem"), path(`${end}-key.pem`));
      copyFileSync(path("next/ca.pem"), path(`${end}-ca.pem`));
    };
    const config = (end: string) =>
      withPair(end, { trustedCaFile: path(`${end}-ca.pem`), clientCertAuth: true });
    await servePeers(config("server"), async (target, server) => {
      const dialler = await makeSide(config("dialler"));
      assert.equal(await call(target, dialler), "ok");
      swap("server");
      await server.look();
      assert.notEqual(await call(target, dialler), "ok");
      swap("dialler");
      await dialler.look();
      assert.equal(await call(target, dialler), "ok");
      dialler.close();
    });
  });

  it("of peer-auto-tls encrypt without checking", async () => {
    await servePeers({ ...noTls, autoTls: true }, async (target) => {
      const side = await makeSide({ ...noTls, autoTls: true });
      assert.equal(await call(target, side, "any.example"), "ok");
      side.close();
    });
  });
});
