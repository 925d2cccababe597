/** What is made from the archive of a release: the layout of packages, their scripts, manual pages, signatures. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { licenceOf } from "../release/licences.ts";
import { escape, manualPage, roffOf } from "../release/manual-page.ts";
import { debScripts, rpmScripts } from "../release/packages/scripts.ts";
import { sign } from "../release/packages/signature.ts";
import { layOut, unitOf } from "../release/packages/system-tree.ts";
import { embeddedLibraries } from "../release/stage.ts";

const root = join(import.meta.dirname, "..", "..");
const directory = mkdtempSync(join(tmpdir(), "etcd2-packages-test-"));
after(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** A folder like that of an archive, with small files for the programs. */
function archive(): string {
  const folder = join(directory, "archive");
  if (existsSync(folder)) return folder;
  for (const name of ["completions", "man", "docs", "deploy"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  execFileSync("cp", ["-r", join(root, "deploy/systemd"), join(folder, "deploy")]);
  const names = ["etcd", "etcdctl", "etcd-migrate", "etcd2-runtime", "etcd2-libatomic.so.1"];
  for (const name of names) writeFileSync(join(folder, name), name, { mode: 0o755 });
  for (const name of ["README.md", "LICENSE", "THIRD-PARTY-NOTICES.txt"]) {
    writeFileSync(join(folder, name), name);
  }
  writeFileSync(join(folder, "completions/etcdctl.bash"), "complete");
  writeFileSync(join(folder, "completions/etcd.zsh"), "#compdef etcd");
  writeFileSync(join(folder, "man/etcd.1"), ".TH ETCD 1\n");
  return folder;
}

test("a package puts programs, unit, user, settings, pages and completions where systems look", () => {
  const tree = join(directory, "tree");
  mkdirSync(tree);
  layOut(archive(), tree);
  for (const name of ["etcd", "etcdctl", "etcd-migrate"]) {
    assert.equal(readlinkSync(join(tree, "usr/bin", name)), `../lib/etcd2/${name}`);
    assert.equal(readFileSync(join(tree, "usr/bin", name), "utf8"), name);
  }
  assert.ok(existsSync(join(tree, "usr/lib/etcd2/etcd2-runtime")));
  assert.ok(existsSync(join(tree, "usr/lib/etcd2/etcd2-libatomic.so.1")));
  const read = (path: string): string => readFileSync(join(tree, path), "utf8");
  assert.match(read("usr/lib/systemd/system/etcd2.service"), /^ExecStart=\/usr\/bin\/etcd /m);
  assert.match(read("usr/lib/sysusers.d/etcd2.conf"), /^u etcd /m);
  assert.match(read("usr/lib/tmpfiles.d/etcd2.conf"), /^d \/var\/lib\/etcd 0700 etcd etcd/m);
  assert.equal(statSync(join(tree, "etc/default/etcd")).mode & 0o777, 0o640);
  assert.equal(read("usr/share/bash-completion/completions/etcdctl"), "complete");
  assert.equal(read("usr/share/zsh/vendor-completions/_etcd"), "#compdef etcd");
  const page = readFileSync(join(tree, "usr/share/man/man1/etcd.1.gz"));
  assert.equal(gunzipSync(page).toString(), ".TH ETCD 1\n");
});

test("a unit that no longer has what is changed for packages is an error", () => {
  assert.throws(() => unitOf("[Service]\nExecStart=/elsewhere/etcd\n"), /does not have/);
});

test("the scripts of packages are shell, and only a purge removes data", () => {
  const scripts = { ...debScripts, ...rpmScripts };
  for (const [name, text] of Object.entries(scripts)) {
    const file = join(directory, name);
    writeFileSync(file, text);
    execFileSync("sh", ["-n", file]);
    if (name !== "postrm") assert.doesNotMatch(text, /rm -rf/);
  }
  assert.match(
    debScripts["postrm"] ?? "",
    /if \[ "\$1" = purge \]; then\n {2}rm -rf \/var\/lib\/etcd\n/,
  );
});

test("manual pages have every row of a help text, and no line of text is taken for a request", () => {
  const help = "member flags:\n\n\t--name 'default'\n\t\tname of this member\n\n   ls\t\tlist it\n";
  assert.deepEqual(roffOf(help), [
    ...[".SS member flags", ".PP", ".TP", ".B \\-\\-name 'default'", "name of this member"],
    ...[".PP", ".TP", ".B ls", "list it"],
  ]);
  assert.equal(escape(".hidden\\n"), "\\&.hidden\\en");
  const text = manualPage({
    ...{ program: "etcd", summary: "a server", version: "1.2.3", epochSeconds: 0 },
    ...{ synopsis: "[flags]", help: [{ title: "usage", text: help }], seeAlso: ["etcdctl"] },
  });
  assert.match(text, /^\.TH ETCD 1 "1970-01-01" "etcd2 1\.2\.3" "etcd2"\n/);
  assert.match(text, /^\.BR etcdctl \(1\)$/m);
});

test("there is a licence text for every library inside the storage engine", () => {
  for (const { name } of embeddedLibraries(root)) assert.match(licenceOf(name), /Copyright/);
  assert.throws(() => licenceOf("unheard-of"), /no licence text/);
});

test("the list of checksums is signed apart by the key that is given, and the signature holds", () => {
  const folder = join(directory, "signed");
  mkdirSync(folder);
  writeFileSync(join(folder, "b"), "b");
  writeFileSync(join(folder, "a"), "a");
  assert.deepEqual(sign(folder, ["b", "a"], {}), ["SHA256SUMS"]);
  const check = ["--check", "--strict", "--quiet", "SHA256SUMS"];
  execFileSync("sha256sum", check, { cwd: folder });
  const key = join(directory, "key.pem");
  const quiet = { stdio: "ignore" } as const;
  execFileSync("openssl", ["genpkey", "-algorithm", "RSA", "-out", key], quiet);
  execFileSync("openssl", ["pkey", "-in", key, "-pubout", "-out", `${key}.pub`], quiet);
  assert.deepEqual(sign(folder, ["a", "b"], { openssl: key }), ["SHA256SUMS", "SHA256SUMS.sig"]);
  const verify = (): void => {
    const words = ["-verify", `${key}.pub`, "-signature", "SHA256SUMS.sig", "SHA256SUMS"];
    execFileSync("openssl", ["dgst", "-sha256", ...words], { cwd: folder, ...quiet });
  };
  verify();
  writeFileSync(join(folder, "SHA256SUMS"), "other");
  assert.throws(verify);
});
