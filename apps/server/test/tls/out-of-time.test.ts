/** A member whose own certificates have expired or are not valid yet, as a real process. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort, until } from "@etcd2/test-support";
import { ask, ServerProcess } from "../single-member/server-process.ts";

const testCa = new URL("../../../../tools/test-ca.ts", import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), "etcd2-out-of-time-"));

before(() => {
  execFileSync(process.execPath, [testCa, "--days=-1", root, "expired"]);
  execFileSync(process.execPath, [testCa, "--from=2", root, "early"]);
});
after(() => {
  rmSync(root, { recursive: true, force: true });
});

/** What a client hears that takes every certificate. */
function askBlindly(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(url, { agent: false, rejectUnauthorized: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (body += part));
      response.on("end", () => {
        resolve(body);
      });
    });
    call.on("error", reject);
    call.end();
  });
}

describe("a member with a certificate out of its time", () => {
  for (const [name, words, left] of [
    ["expired", "expired at", /^etcd2_tls_certificate_left_seconds\{side="client"\} -\d+$/m],
    ["early", "is not valid before", /^etcd2_tls_certificate_left_seconds\{side="peer"\} \d+$/m],
  ] as const) {
    it(`starts and serves http and https when it ${words} some day`, async () => {
      const secure = `https://127.0.0.1:${await freePort()}`;
      const pair = (side: string): string[] => [
        ...[`--${side}cert-file`, join(root, `${name}.pem`)],
        ...[`--${side}key-file`, join(root, `${name}-key.pem`)],
      ];
      const server = await ServerProcess.start([
        ...pair(""),
        ...pair("peer-"),
        ...["--listen-peer-urls", `https://127.0.0.1:${await freePort()}`],
        ...["--listen-metrics-urls", secure],
      ]);
      try {
        const metrics = await askBlindly(`${secure}/metrics`);
        assert.match(metrics, left);
        assert.equal((await ask("PUT", `${server.clientUrl}/v2/keys/a`, "value=1")).status, 201);
        for (const side of ["client", "peer"]) {
          const line = ` E | etcdmain: the ${side} certificate ${join(root, name)}.pem ${words}`;
          await until(`the ${side} certificate is named`, () => server.log.includes(line));
        }
      } finally {
        await server.dispose();
      }
    });
  }

  it("says that an authority has expired, which refuses everybody", async () => {
    const port = await freePort();
    const server = await ServerProcess.start([
      ...["--cert-file", join(root, "early.pem"), "--key-file", join(root, "early-key.pem")],
      ...["--trusted-ca-file", join(root, "expired.pem"), "--client-cert-auth"],
      ...["--listen-metrics-urls", `https://127.0.0.1:${port}`],
    ]);
    try {
      const line = ` E | etcdmain: the authority of client certificates ${join(root, "expired.pem")} expired at`;
      await until("the authority is named", () => server.log.includes(line));
      assert.equal((await ask("PUT", `${server.clientUrl}/v2/keys/a`, "value=1")).status, 201);
    } finally {
      await server.dispose();
    }
  });
});
