/**
 * Makes certificates for tests and trials: an authority and, signed by it, certificates for
 * servers, peers and clients. Owns nothing but files in one directory; no certificate it makes
 * belongs into production.
 */
import { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";

import type * as X509Module from "@peculiar/x509";
import type { X509CertificateGenerator } from "@peculiar/x509";

type X509 = typeof X509Module;
type Extensions = NonNullable<
  Parameters<typeof X509CertificateGenerator.createSelfSigned>[0]["extensions"]
>;

const usage = `usage: node tools/test-ca.ts [--hosts a,b] [--from N] [--days N] DIRECTORY [NAME...]

Makes ca.pem with ca-key.pem in DIRECTORY unless they are there, and NAME.pem with NAME-key.pem
for each NAME (default: server peer client). Certificates are for localhost, 127.0.0.1, ::1 and
the given hosts; a name that begins with "client" is for clients only and is its common name.
Negative days (--days=-1) make certificates that have expired, --from 2 ones that are not valid
before two days from now.
`;

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 24 * 60 * 60 * 1000;

/** @peculiar/x509 loads a container that asks for this part of the metadata reflection API. */
async function loadX509(): Promise<X509> {
  const stores = new WeakMap<object, Map<unknown, unknown>>();
  const get = (key: unknown, target: object): unknown => stores.get(target)?.get(key);
  const define = (key: unknown, value: unknown, target: object): void => {
    stores.set(target, (stores.get(target) ?? new Map<unknown, unknown>()).set(key, value));
  };
  if (!("getMetadata" in Reflect)) {
    Object.assign(Reflect, { getMetadata: get, getOwnMetadata: get, defineMetadata: define });
  }
  return import("@peculiar/x509");
}

/** What to make. */
export interface TestCaOptions {
  readonly directory: string;
  readonly names: readonly string[];
  /** In addition to this machine's own. */
  readonly hosts: readonly string[];
  /** Validity from now; negative for certificates that have expired. */
  readonly days: number;
  /** Days from now until certificates become valid; a day before their end, or yesterday, when left out. */
  readonly fromDays?: number | undefined;
}

class TestCa {
  readonly #x509: X509;
  readonly #options: TestCaOptions;

  constructor(x509: X509, options: TestCaOptions) {
    this.#x509 = x509;
    this.#options = options;
  }

  async make(): Promise<void> {
    const { directory, names } = this.#options;
    mkdirSync(directory, { recursive: true });
    if (!existsSync(join(directory, "ca.pem"))) await this.#makeAuthority();
    for (const name of names) await this.#makeLeaf(name);
  }

  async #makeAuthority(): Promise<void> {
    const x509 = this.#x509;
    const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: "CN=etcd2 test CA",
      keys,
      notBefore: new Date(Date.now() - 3650 * dayMs),
      notAfter: new Date(Date.now() + 3650 * dayMs),
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    await this.#write("ca", certificate.toString("pem"), keys.privateKey);
  }

  async #makeLeaf(name: string): Promise<void> {
    const x509 = this.#x509;
    const { directory, days } = this.#options;
    const { fromDays = -(Math.max(0, -days) + 1) } = this.#options;
    const authority = new x509.X509Certificate(readFileSync(join(directory, "ca.pem"), "utf8"));
    const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: authority.subject,
      publicKey: keys.publicKey,
      signingKey: await this.#authorityKey(),
      notBefore: new Date(Date.now() + fromDays * dayMs),
      notAfter: new Date(Date.now() + days * dayMs),
      signingAlgorithm: algorithm,
      extensions: [
        ...this.#uses(name),
        await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
      ],
    });
    await this.#write(name, certificate.toString("pem"), keys.privateKey);
  }

  #uses(name: string): Extensions {
    const x509 = this.#x509;
    const isClient = name.startsWith("client");
    const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
    const hosts = ["localhost", "127.0.0.1", "::1", ...this.#options.hosts];
    const extensions: Extensions = [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(isClient ? [clientAuth] : [serverAuth, clientAuth]),
    ];
    if (!isClient) {
      extensions.push(
        new x509.SubjectAlternativeNameExtension(
          hosts.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value })),
        ),
      );
    }
    return extensions;
  }

  async #authorityKey(): Promise<CryptoKey> {
    const text = readFileSync(join(this.#options.directory, "ca-key.pem"), "utf8");
    const der = Buffer.from(text.replace(/-----[^-]+-----|\s/g, ""), "base64");
    return crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
  }

  async #write(name: string, certificate: string, key: CryptoKey): Promise<void> {
    const { directory } = this.#options;
    const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", key));
    const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
    const pem = `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
    writeFileSync(join(directory, `${name}-key.pem`), pem, { mode: 0o600 });
    writeFileSync(join(directory, `${name}.pem`), `${certificate}\n`);
  }
}

/** Makes the authority, unless it is there, and one certificate per name. */
export async function makeTestCertificates(options: TestCaOptions): Promise<void> {
  await new TestCa(await loadX509(), options).make();
}

function describe(path: string): string {
  const { subjectAltName, validTo } = new X509Certificate(readFileSync(path));
  return `${path}  ${subjectAltName ?? "no names: for clients"}  valid to ${validTo}`;
}

/** The command; returns the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...argv],
      options: {
        hosts: { type: "string" },
        from: { type: "string" },
        days: { type: "string" },
        help: { type: "boolean" },
      },
      allowPositionals: true,
    });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return 2;
  }
  const [directory, ...given] = parsed.positionals;
  if (parsed.values.help === true) {
    process.stdout.write(usage);
    return 0;
  }
  const days = Number(parsed.values.days ?? "365");
  const fromDays = parsed.values.from === undefined ? undefined : Number(parsed.values.from);
  const names = given.length === 0 ? ["server", "peer", "client"] : given;
  const bad = names.find((name) => !/^[\w.-]+$/.test(name) || name === "ca");
  if (directory === undefined || !Number.isFinite(days + (fromDays ?? 0)) || bad !== undefined) {
    process.stderr.write(bad === undefined ? usage : `not a name for a certificate: ${bad}\n`);
    return 2;
  }
  const hosts = (parsed.values.hosts ?? "").split(",").filter((host) => host !== "");
  await makeTestCertificates({ directory, names, hosts, days, fromDays });
  for (const name of names) process.stdout.write(`${describe(join(directory, `${name}.pem`))}\n`);
  return 0;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
