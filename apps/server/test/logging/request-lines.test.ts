import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { createTextLogging } from "../../src/logging/logger.ts";
import type { LogLevel } from "@etcd2/observability";
import { withRequestLines } from "../../src/logging/request-lines.ts";
import { createTransportLog } from "../../src/logging/transport-log.ts";

async function serve(level: LogLevel, path: string): Promise<{ log: string; served: number }> {
  let log = "";
  let served = 0;
  const sink = {
    write: (text: string) => (log += text),
    flush: () => undefined,
    close: () => undefined,
  };
  const logging = createTextLogging({ sink, format: "text", useColor: false, level });
  const handler = withRequestLines((_request, response) => {
    served += 1;
    response.end();
  }, logging.logger("etcdhttp"));
  const server = createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const call = request({ host: "127.0.0.1", port, method: "PUT", path }).end();
  const [response] = (await once(call, "response")) as [IncomingMessage];
  response.resume();
  await once(response, "end");
  server.close();
  return { log, served };
}

describe("the line of a request", () => {
  it("is written at level debug, without the query", async () => {
    const { log, served } = await serve("debug", "/v2/keys/a?value=secret");
    assert.match(log, / D \| etcdhttp: \[PUT\] \/v2\/keys\/a remote:127\.0\.0\.1:\d+\n$/);
    assert.equal(served, 1);
  });

  it("shows no password of a target that is a whole URL", async () => {
    const { log } = await serve("debug", "http://u:secret@h/version");
    assert.match(log, /\[PUT\] \/version remote/);
  });

  it("is not written at any other level", async () => {
    assert.deepEqual(await serve("info", "/v2/keys/a"), { log: "", served: 1 });
  });
});

function told(message: string, url: string, reason: string): string {
  let log = "";
  const sink = {
    write: (text: string) => (log += text),
    flush: () => undefined,
    close: () => undefined,
  };
  const logging = createTextLogging({ sink, format: "text", useColor: false, level: "info" });
  createTransportLog(logging).warning(message, { url, reason });
  return log.replace(/^.* \| rafthttp: /, "").trimEnd();
}

describe("what the transport has to say", () => {
  it("names the handshake when an https peer hangs up, and leaves plain http alone", () => {
    const reason = "read ECONNRESET (2026-01-01T00:00:00.000Z)";
    assert.match(
      told("cannot reach peer", "https://h:2380", reason),
      /^cannot reach peer at https:\/\/h:2380: read ECONNRESET: it closed the connection at the TLS/,
    );
    assert.equal(
      told("cannot reach peer", "http://h:2380", reason),
      "cannot reach peer at http://h:2380: read ECONNRESET",
    );
  });

  it("says of a server without the service what that means", () => {
    const reason = "The server does not implement the method /raft.v1.RaftService/Stream";
    assert.equal(
      told("cannot reach peer", "http://h:1", reason),
      "cannot reach peer at http://h:1: it is still starting, or no member of this kind",
    );
  });
});
