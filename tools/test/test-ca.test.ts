import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import { main, makeTestCertificates } from "../test-ca.ts";

describe("the test authority", () => {
  const directory = mkdtempSync(join(tmpdir(), "test-ca-"));
  after(() => {
    rmSync(directory, { recursive: true });
  });
  const certificate = (name: string) =>
    new X509Certificate(readFileSync(join(directory, `${name}.pem`)));

  it("signs certificates for hosts and for clients", async () => {
    const names = ["infra0", "client-root"];
    await makeTestCertificates({ directory, names, hosts: ["etcd.example", "10.1.2.3"], days: 30 });
    const ca = certificate("ca");
    assert.equal(ca.ca, true);
    const infra = certificate("infra0");
    assert.ok(infra.verify(ca.publicKey));
    assert.ok(infra.checkIssued(ca));
    for (const host of ["localhost", "etcd.example"]) assert.equal(infra.checkHost(host), host);
    for (const ip of ["127.0.0.1", "::1", "10.1.2.3"])
      assert.notEqual(infra.checkIP(ip), undefined, ip);
    assert.equal(infra.checkHost("other.example"), undefined);
    const serverAuth = "1.3.6.1.5.5.7.3.1";
    assert.ok(infra.keyUsage.includes(serverAuth));
    const client = certificate("client-root");
    assert.equal(client.subject, "CN=client-root");
    assert.ok(!client.keyUsage.includes(serverAuth));
    assert.equal(statSync(join(directory, "infra0-key.pem")).mode & 0o777, 0o600);
  });

  it("adds to an authority that is there", async () => {
    const before = certificate("ca").fingerprint256;
    await makeTestCertificates({ directory, names: ["late"], hosts: [], days: -1 });
    assert.equal(certificate("ca").fingerprint256, before);
    assert.ok(certificate("late").verify(certificate("ca").publicKey));
    assert.ok(certificate("late").validToDate < new Date());
    assert.ok(certificate("late").validFromDate < certificate("late").validToDate);
  });

  it("refuses bad arguments with status 2", async () => {
    for (const args of [
      [],
      ["--nope", directory],
      ["--days=x", directory],
      [directory, "../x"],
      [directory, "ca"],
    ]) {
      assert.equal(await main(args), 2, args.join(" "));
    }
    assert.equal(await main(["--help"]), 0);
  });
});
