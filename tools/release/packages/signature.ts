/**
 * Writes SHA256SUMS over the files of a release and signs it apart (`SHA256SUMS.sig`, `.minisig` or
 * `.asc`) when a key is given. Which tool signs depends on which key is given.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The variables that give a key: a PEM file, a minisign secret key without password, a key of gpg. */
export interface SigningKeys {
  readonly openssl?: string | undefined;
  readonly minisign?: string | undefined;
  readonly gpg?: string | undefined;
}

/** Reads ETCD2_SIGN_OPENSSL, ETCD2_SIGN_MINISIGN and ETCD2_SIGN_GPG. */
export function keysOf(env: Readonly<Record<string, string | undefined>>): SigningKeys {
  return {
    openssl: env["ETCD2_SIGN_OPENSSL"],
    minisign: env["ETCD2_SIGN_MINISIGN"],
    gpg: env["ETCD2_SIGN_GPG"],
  };
}

/** @returns the names of the files it made. */
export function sign(directory: string, names: readonly string[], keys: SigningKeys): string[] {
  const sums = join(directory, "SHA256SUMS");
  for (const ending of ["sig", "minisig", "asc"]) rmSync(`${sums}.${ending}`, { force: true });
  const lines = [...names].sort().map((name) => {
    const digest = createHash("sha256").update(readFileSync(join(directory, name)));
    return `${digest.digest("hex")}  ${name}\n`;
  });
  writeFileSync(sums, lines.join(""));
  const made = ["SHA256SUMS"];
  const run = (ending: string, command: string, words: readonly string[]): void => {
    execFileSync(command, words, { stdio: ["ignore", "ignore", "inherit"] });
    made.push(`SHA256SUMS.${ending}`);
  };
  if (keys.openssl !== undefined) {
    const to = ["-out", `${sums}.sig`, sums];
    run("sig", "openssl", ["dgst", "-sha256", "-sign", keys.openssl, ...to]);
  }
  if (keys.minisign !== undefined) {
    run("minisig", "minisign", ["-S", "-W", "-s", keys.minisign, "-m", sums]);
  }
  if (keys.gpg !== undefined) {
    const words = ["--batch", "--yes", "--local-user", keys.gpg, "--armor", "--detach-sign", sums];
    run("asc", "gpg", words);
  }
  return made;
}
