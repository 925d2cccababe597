/** Makes the Debian package from a laid-out tree with dpkg-deb. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { debScripts } from "./scripts.ts";
import { SETTINGS } from "./system-tree.ts";

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** Regular files of a tree in a fixed order, with their paths inside it. */
function filesOf(tree: string): readonly string[] {
  return readdirSync(tree, { recursive: true, encoding: "utf8" })
    .filter((name) => lstatSync(join(tree, name)).isFile())
    .sort();
}

function control(version: string, architecture: string, kibibytes: number): string {
  return `Package: etcd2
Version: ${version}
Architecture: ${architecture}
Maintainer: The etcd2 authors <etcd2@localhost>
Installed-Size: ${kibibytes}
Depends: libc6 (>= 2.34), libstdc++6, passwd
Conflicts: etcd, etcd-server, etcd-client
Provides: etcd-server, etcd-client
Section: net
Priority: optional
Description: key-value store with the etcd v2 API
 The server etcd, the client etcdctl and the migration tool etcd-migrate,
 compatible with etcd 2.3.8. After the installation, look at
 /etc/default/etcd and start the member: systemctl enable --now etcd2
`;
}

export interface DebOptions {
  /** Gets a folder DEBIAN. */
  readonly tree: string;
  readonly version: string;
  readonly arch: string;
  readonly epochSeconds: number;
  /** Where the package goes. */
  readonly directory: string;
}

/** @returns the name of the package in its folder. */
export function makeDeb({ tree, version, arch, epochSeconds, directory }: DebOptions): string {
  const architecture = ARCHITECTURES[arch];
  if (architecture === undefined) throw new Error(`Debian has no name for ${arch}`);
  const files = filesOf(tree);
  const bytes = files.reduce((sum, name) => sum + lstatSync(join(tree, name)).size, 0);
  const sums = files.map((name) => {
    const digest = createHash("md5")
      .update(readFileSync(join(tree, name)))
      .digest("hex");
    return `${digest}  ${name}\n`;
  });
  const meta = join(tree, "DEBIAN");
  mkdirSync(meta);
  writeFileSync(join(meta, "control"), control(version, architecture, Math.ceil(bytes / 1024)));
  writeFileSync(join(meta, "conffiles"), `${SETTINGS}\n`);
  writeFileSync(join(meta, "md5sums"), sums.join(""));
  for (const [name, text] of Object.entries(debScripts)) {
    writeFileSync(join(meta, name), text, { mode: 0o755 });
  }
  const name = `etcd2_${version}_${architecture}.deb`;
  // The same tree gives the same package.
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds) };
  const words = ["--root-owner-group", "-Zgzip", "-z6", "--build", tree, join(directory, name)];
  execFileSync("dpkg-deb", words, { stdio: ["ignore", "ignore", "inherit"], env });
  return name;
}
