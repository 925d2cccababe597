import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { certificateMisfits } from "../../src/tls/certificate-fit.ts";

const testCa = new URL("../../../../tools/test-ca.ts", import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), "certificate-fit-"));

before(() => {
  execFileSync(process.execPath, [testCa, root, "server", "peer", "client"]);
});
after(() => {
  rmSync(root, { recursive: true });
});

function misfits(name: string, side: "client" | "peer", hosts: readonly string[]) {
  const pem = readFileSync(join(root, `${name}.pem`), "utf8");
  return certificateMisfits({ path: `${name}.pem`, pem }, { side, hosts });
}

describe("a certificate", () => {
  it("that covers what is advertised and may be used so is not remarked on", () => {
    assert.deepEqual(misfits("peer", "peer", ["localhost", "127.0.0.1", "::1"]), []);
    assert.deepEqual(misfits("server", "client", ["localhost"]), []);
  });

  it("that lacks an advertised host is told with the names it has and those it lacks", () => {
    const [line, ...more] = misfits("server", "client", [
      "localhost",
      "infra0.example",
      "10.1.2.3",
    ]);
    assert.deepEqual(more, []);
    assert.match(
      line ?? "",
      /^the client certificate server\.pem is valid for .*localhost.*, not for infra0\.example, 10\.1\.2\.3, which/,
    );
  });

  it("that is not meant for its use is told", () => {
    for (const side of ["client", "peer"] as const) {
      const [line, ...more] = misfits("client", side, []);
      assert.deepEqual(more, []);
      assert.match(line ?? "", /client\.pem is not meant for servers \(extended key usage\)/);
    }
  });
});
