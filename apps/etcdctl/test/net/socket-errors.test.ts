import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { describeFault } from "../../src/net/socket-errors.ts";
import { ownCertificateText } from "../../src/net/tls-files.ts";

const testCa = new URL("../../../../tools/test-ca.ts", import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), "socket-errors-"));

before(() => {
  execFileSync(process.execPath, [testCa, root, "client-anna"]);
});
after(() => {
  rmSync(root, { recursive: true });
});

function fault(code: string, syscall = "read"): Error {
  return Object.assign(new Error(code), { code, syscall });
}

describe("a failed handshake", () => {
  it("with a certificate that is not for servers says so", () => {
    assert.equal(
      describeFault(fault("INVALID_PURPOSE"), "h", 2379).message,
      "x509: certificate specifies an incompatible key usage (it is not meant for servers)",
    );
  });

  it("that ends without a word names the certificate the server was shown, and its validity", async () => {
    const cert = readFileSync(join(root, "client-anna.pem"));
    const settings = { ca: undefined, cert, key: undefined };
    const shown = await ownCertificateText(settings);
    assert.match(
      shown,
      /^the client certificate CN=client-anna.* \(issued by .*, valid until \d{4}/,
    );
    assert.match(await ownCertificateText(settings, new Date("2999-01-01")), /, expired on \d{4}-/);
    assert.match(await ownCertificateText(settings, new Date(0)), /, not valid before \d{4}-/);
    assert.equal(await ownCertificateText({ ...settings, cert: undefined }), "");
    const told = describeFault(fault("ECONNRESET"), "h", 2379, shown).message;
    assert.equal(told, `EOF: the server hung up, perhaps because it does not accept ${shown}`);
    const plain = describeFault(fault("ECONNRESET"), "127.0.0.1", 2379).message;
    assert.equal(plain, "read tcp 127.0.0.1:2379: connection reset by peer");
  });
});
