import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { copyFileSync, utimesSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { TlsConfig } from "../../src/config/server-config.ts";
import { parseConfig } from "../../src/config/config.ts";
import { selfSigned } from "../../src/tls/auto-tls.ts";
import { describeTlsError } from "../../src/tls/tls-error.ts";
import { loadTlsFiles } from "../../src/tls/tls-files.ts";
import { announceTls, createTlsSide } from "../../src/tls/tls-side.ts";
import { tlsWarnings } from "../../src/tls/tls-warnings.ts";
import {
  root,
  make,
  path,
  text,
  noTls,
  withPair,
  logger,
  makeSide,
  serve,
  logged,
  clientPair,
} from "./tls-harness.ts";

describe("certificate files", () => {
  const refusal = (config: TlsConfig) => {
    try {
      loadTlsFiles(config);
    } catch (error) {
      return error instanceof Error ? error.message.replaceAll(root, "") : assert.fail();
    }
    return assert.fail("the files were taken");
  };

  it("that are wrong are refused with one line that names them", () => {
    writeFileSync(path("empty.pem"), "");
    writeFileSync(
      path("damaged.pem"),
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    writeFileSync(
      path("locked-key.pem"),
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    const pair = withPair("ca/server");
    assert.equal(
      refusal(withPair("nowhere")),
      "cannot read certificate /nowhere.pem: no such file or directory",
    );
    assert.equal(
      refusal({ ...pair, keyFile: path("nokey") }),
      "cannot read private key /nokey: no such file or directory",
    );
    assert.equal(
      refusal({ ...pair, keyFile: path("ca") }),
      "cannot read private key /ca: is a directory",
    );
    assert.equal(
      refusal({ ...pair, certFile: path("empty.pem") }),
      "certificate /empty.pem holds no PEM certificate",
    );
    assert.match(
      refusal({ ...pair, certFile: path("damaged.pem") }),
      /^certificate \/damaged\.pem is damaged: [^\n]+$/,
    );
    assert.equal(
      refusal({ ...pair, keyFile: path("empty.pem") }),
      "/empty.pem holds no private key in PEM format",
    );
    assert.equal(
      refusal({ ...pair, keyFile: path("locked-key.pem") }),
      "private key /locked-key.pem is encrypted; a key without passphrase is needed",
    );
    assert.equal(
      refusal({ ...pair, keyFile: path("ca/peer-key.pem") }),
      "private key /ca/peer-key.pem does not belong to certificate /ca/server.pem",
    );
    assert.equal(
      refusal({ ...pair, trustedCaFile: path("nowhere") }),
      "cannot read CA file /nowhere: no such file or directory",
    );
    assert.equal(
      refusal({ ...pair, caFile: path("empty.pem") }),
      "CA file /empty.pem holds no PEM certificate",
    );
    assert.match(
      refusal({ ...pair, crlFile: path("empty.pem") }),
      /^cannot use certificate \/ca\/server\.pem: [^\n]+$/,
    );
  });

  it("that have expired or are not valid yet are read like others, a wrong key is not", () => {
    for (const name of ["ca/expired", "ca/early"]) {
      const { cert, notAfter, notBefore } = loadTlsFiles(withPair(name));
      assert.equal(cert, text(`${name}.pem`));
      assert.ok(notBefore < notAfter);
      assert.match(
        refusal({ ...withPair(name), keyFile: path("ca/peer-key.pem") }),
        /does not belong to certificate/,
      );
    }
  });
});

describe("a TLS listener", () => {
  it("serves clients that know its authority, from TLS 1.2 on", async () => {
    await serve(withPair("ca/server"), async (ask) => {
      assert.equal(await ask(), "hello");
      assert.equal(await ask({ minVersion: "TLSv1.2", maxVersion: "TLSv1.2" }), "hello");
      const old = {
        minVersion: "TLSv1",
        maxVersion: "TLSv1.1",
        ciphers: "DEFAULT@SECLEVEL=0",
      } as const;
      assert.notEqual(await ask(old), "hello");
      assert.equal(
        await ask({ ca: text("other/ca.pem") }),
        "its certificate is signed by an unknown authority",
      );
      assert.equal(
        await ask({ servername: "etcd.example" }),
        "its certificate is valid for localhost, 127.0.0.1, 0:0:0:0:0:0:0:1, not for etcd.example",
      );
    });
  });

  it("demands a known client certificate with client-cert-auth, and with the deprecated ca-file", async () => {
    const trusted = withPair("ca/server", {
      trustedCaFile: path("ca/ca.pem"),
      clientCertAuth: true,
    });
    for (const config of [trusted, withPair("ca/server", { caFile: path("ca/ca.pem") })]) {
      await serve(config, async (ask, _side, lines) => {
        assert.equal(await ask(clientPair()), "hello");
        assert.notEqual(await ask(), "hello");
        await logged(
          lines,
          "W | etcdmain: refused a client connection from 127.0.0.1: it presented no certificate\n",
        );
      });
    }
  });

  it("refuses client certificates of an unknown authority", async () => {
    const config = withPair("ca/server", {
      trustedCaFile: path("ca/ca.pem"),
      clientCertAuth: true,
    });
    await serve(config, async (ask, _side, lines) => {
      const foreign = { cert: text("other/client.pem"), key: text("other/client-key.pem") };
      assert.notEqual(await ask(foreign), "hello");
      await logged(
        lines,
        "refused a client connection from 127.0.0.1: its certificate is signed by an unknown authority\n",
      );
    });
  });

  it("demands none with trusted-ca-file alone", async () => {
    await serve(withPair("ca/server", { trustedCaFile: path("ca/ca.pem") }), async (ask) => {
      assert.equal(await ask(), "hello");
    });
  });

  it("takes new certificates over without a restart, and only good ones", async () => {
    copyFileSync(path("ca/server.pem"), path("live.pem"));
    copyFileSync(path("ca/server-key.pem"), path("live-key.pem"));
    make("second", "server");
    await serve(withPair("live"), async (ask, side, lines) => {
      const secondCa = { ca: text("second/ca.pem") };
      assert.equal(await ask(), "hello");
      assert.notEqual(await ask(secondCa), "hello");
      // Half of the new pair: the old one stays in use.
      copyFileSync(path("second/server.pem"), path("live.pem"));
      await side.look();
      await side.look();
      assert.equal(await ask(), "hello");
      const complaints = lines.filter((line) => line.includes("cannot reload client certificates"));
      assert.equal(complaints.length, 1);
      assert.match(
        complaints[0] ?? "",
        /the old ones stay in use: private key .* does not belong to certificate/,
      );
      copyFileSync(path("second/server-key.pem"), path("live-key.pem"));
      await side.look();
      assert.equal(await ask(secondCa), "hello");
      assert.notEqual(await ask(), "hello");
      assert.equal(
        lines.filter((line) => line.includes("N | etcdmain: client certificates were reloaded"))
          .length,
        1,
      );
      // Nothing has changed: nothing is said.
      await side.look();
      assert.equal(lines.filter((line) => line.includes("reloaded")).length, 1);
    });
  });

  it("takes a key that was half written when it looked, even one of the same time and size", async () => {
    const written = new Date("2026-01-01T00:00:00Z");
    const place = (name: string, content: string): void => {
      writeFileSync(path(name), content.padEnd(4000, "\n"));
      utimesSync(path(name), written, written);
    };
    place("slow.pem", text("ca/server.pem"));
    place("slow-key.pem", text("ca/server-key.pem"));
    await serve(withPair("slow"), async (ask, side) => {
      assert.equal(await ask(), "hello");
      make("third", "server");
      copyFileSync(path("third/server.pem"), path("slow.pem"));
      place("slow-key.pem", text("third/server-key.pem").slice(0, 100));
      await side.look();
      assert.equal(await ask(), "hello");
      place("slow-key.pem", text("third/server-key.pem"));
      await side.look();
      assert.equal(await ask({ ca: text("third/ca.pem") }), "hello");
    });
  });

  it("looks at its files by itself", async () => {
    copyFileSync(path("ca/server.pem"), path("poll.pem"));
    copyFileSync(path("ca/server-key.pem"), path("poll-key.pem"));
    const side = await createTlsSide({
      name: "client",
      config: withPair("poll"),
      log: logger().log,
      hosts: [],
      autoTlsDirectory: "",
      pollIntervalMs: 10,
    });
    assert.ok(side !== undefined);
    const reloaded = new Promise((resolve) => {
      side.onReload(resolve);
    });
    copyFileSync(path("ca/server2-key.pem"), path("poll-key.pem"));
    copyFileSync(path("ca/server2.pem"), path("poll.pem"));
    const keepAlive = setTimeout(() => undefined, 10_000);
    await reloaded;
    clearTimeout(keepAlive);
    side.close();
  });

  it("serves with a certificate out of its time, and says so loudly at once", async () => {
    const cases = [
      ["ca/expired", /E \| etcdmain: the client certificate \S+expired\.pem expired at \d{4}-/],
      [
        "ca/early",
        /E \| etcdmain: the client certificate \S+early\.pem is not valid before \d{4}-/,
      ],
    ] as const;
    for (const [name, line] of cases) {
      await serve(withPair(name), async (ask, side, lines) => {
        assert.equal(await ask({ rejectUnauthorized: false }), "hello");
        assert.match(await ask(), /has expired|not valid yet/);
        await side.look();
        assert.equal(lines.filter((said) => line.test(said)).length, 1);
        assert.match(lines.join(""), /clients that check it refuse it; replace the files in place/);
      });
    }
  });

  it("repeats every hour that its certificate has expired", async (context) => {
    await serve(withPair("ca/expired"), async (_ask, side, lines) => {
      const said = (): number => lines.filter((line) => line.includes("expired at")).length;
      const start = Date.now();
      context.mock.timers.enable({ apis: ["Date"], now: start });
      for (const [hours, times] of [
        [1, 2],
        [1, 2],
        [2, 3],
        [50, 4],
      ] as const) {
        context.mock.timers.setTime(start + hours * 3_600_000);
        await side.look();
        assert.equal(said(), times);
      }
    });
  });

  it("gives an expired certificate up for a new one, but no valid one for an expired one", async () => {
    const place = (name: string): void => {
      copyFileSync(path(`${name}.pem`), path("turn.pem"));
      copyFileSync(path(`${name}-key.pem`), path("turn-key.pem"));
    };
    place("ca/expired");
    await serve(withPair("turn"), async (ask, side, lines) => {
      // One that is no better is taken too: what is on disk is what counts.
      place("ca/early");
      await side.look();
      assert.match(await ask(), /not valid yet/);
      place("ca/server");
      await side.look();
      assert.equal(await ask(), "hello");
      place("ca/expired");
      await side.look();
      await side.look();
      assert.equal(await ask(), "hello");
      const complaints = lines.filter((line) => line.includes("the old ones stay in use"));
      assert.equal(complaints.length, 1);
      assert.match(complaints[0] ?? "", /certificate \S+turn\.pem expired at/);
    });
  });

  it("is warned of the end of its certificate", async () => {
    make("ca", "soon", "--days=5");
    const { lines, log } = logger();
    (await makeSide(withPair("ca/soon"), log)).close();
    assert.match(
      lines.join(""),
      /W \| etcdmain: the client certificate \S+soon\.pem expires at \d{4}-/,
    );
  });
});

describe("auto-tls", () => {
  it("makes a self-signed certificate once and keeps it while it fits", async () => {
    const directory = path("self");
    const options = { directory, hosts: ["10.0.0.7", "etcd.example", "0.0.0.0", ""], years: 1 };
    const first = await selfSigned(options);
    assert.equal(first.isNew, true);
    assert.equal(statSync(first.keyFile).mode & 0o777, 0o600);
    const certificate = new X509Certificate(readFileSync(first.certFile));
    assert.equal(certificate.checkHost("etcd.example"), "etcd.example");
    for (const ip of ["10.0.0.7", "127.0.0.1", "::1"])
      assert.notEqual(certificate.checkIP(ip), undefined);
    assert.equal((await selfSigned(options)).isNew, false);
    assert.equal((await selfSigned({ ...options, hosts: ["new.example"] })).isNew, true);
    const late = new Date(Date.now() + 360 * 24 * 3600 * 1000);
    assert.equal((await selfSigned({ ...options, hosts: ["new.example"], now: late })).isNew, true);
  });

  it("serves with it", async () => {
    await serve({ ...noTls, autoTls: true }, async (ask, side) => {
      assert.equal(side.isSelfSigned, true);
      assert.equal(await ask({ rejectUnauthorized: false }), "hello");
      assert.equal(await ask({ ca: text("auto/cert.pem") }), "hello");
      assert.equal(await ask(), "its certificate is self-signed and not trusted here");
    });
  });

  it("is not there unless asked for", async () => {
    const options = {
      name: "peer",
      log: logger().log,
      hosts: [],
      autoTlsDirectory: path("no"),
    } as const;
    assert.equal(await createTlsSide({ ...options, config: noTls }), undefined);
  });
});

describe("what is said about TLS", () => {
  it("describes failures of every kind in one line", () => {
    const failure = (code: string, message = "x") =>
      describeTlsError(Object.assign(new Error(message), { code }));
    assert.equal(failure("CERT_HAS_EXPIRED"), "its certificate has expired");
    assert.equal(failure("ERR_SSL_WRONG_VERSION_NUMBER"), "it does not speak TLS");
    assert.equal(
      failure(
        "ERR_SSL_X",
        "00A7:error:0A000417:SSL routines:ssl3_read_bytes:some odd alert:../deps/x.c:1:SSL alert\n",
      ),
      "some odd alert",
    );
    assert.equal(describeTlsError("text"), "text");
    const cert = { subject: { CN: "old-style" } };
    const host = Object.assign(new Error("x"), {
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
      host: "a",
      cert,
    });
    assert.equal(
      describeTlsError(host),
      "its certificate is valid for no name (only the subject old-style), not for a",
    );
  });

  it("announces the files and warns of settings without effect", async () => {
    assert.equal(
      announceTls("peer", {
        ...noTls,
        certFile: "c",
        keyFile: "k",
        trustedCaFile: "t",
        clientCertAuth: true,
      }),
      "peerTLS: cert = c, key = k, ca = , trusted-ca = t, client-cert-auth = true",
    );
    const warnings = async (args: string) => {
      const outcome = await parseConfig(args.split(" "), {}, () => "");
      return outcome.kind === "run" ? tlsWarnings(outcome.config) : assert.fail();
    };
    const listen = "--advertise-client-urls http://a:1 --listen-client-urls";
    assert.deepEqual(
      await warnings(`${listen} http://a:1 --cert-file c --key-file k --client-cert-auth`),
      [
        "The scheme of client url http://a:1 is http while client key/cert files are presented. Ignored client key/cert files.",
        "The scheme of client url http://a:1 is http while client cert auth (--client-cert-auth) is enabled. Ignored client cert auth for this url.",
      ],
    );
    assert.deepEqual(
      await warnings(`${listen} https://a:1 --cert-file c --key-file k --trusted-ca-file t`),
      ["--trusted-ca-file alone does not demand certificates of others: add --client-cert-auth"],
    );
    assert.deepEqual(
      await warnings(`${listen} https://a:1 --cert-file c --key-file k --client-cert-auth`),
      [
        "--client-cert-auth without --trusted-ca-file takes certificates of every authority this system trusts",
      ],
    );
    assert.deepEqual(await warnings(`${listen} https://a:1 --cert-file c --key-file k`), []);
    assert.deepEqual(await warnings(`${listen} http://a:1 --auto-tls`), [
      "--auto-tls has no effect: every client url to listen on is http, and only https is encrypted",
    ]);
  });
});
