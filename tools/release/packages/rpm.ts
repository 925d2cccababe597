/** Makes the rpm from a laid-out tree with rpmbuild, which Debian has too. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, lstatSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rpmScripts } from "./scripts.ts";
import { SETTINGS } from "./system-tree.ts";

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64" };

function fileList(tree: string): string {
  const names = readdirSync(tree, { recursive: true, encoding: "utf8" });
  const files = names.filter((name) => !lstatSync(join(tree, name)).isDirectory()).sort();
  return files
    .map((name) => {
      const path = `/${name}`;
      if (path === SETTINGS) return `%config(noreplace) %attr(0640,root,root) "${path}"`;
      return `"${path}"`;
    })
    .join("\n");
}

function spec(version: string, tree: string): string {
  const scripts = Object.entries(rpmScripts).map(([name, text]) => `%${name}\n${text}`);
  return `Name: etcd2
Version: ${version}
Release: 1
Summary: Key-value store with the etcd v2 API
License: Apache-2.0
Requires: libc.so.6(GLIBC_2.34)(64bit), libstdc++.so.6()(64bit), shadow-utils
Conflicts: etcd
AutoReqProv: no
%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none

%description
The server etcd, the client etcdctl and the migration tool etcd-migrate, compatible with etcd 2.3.8. After the
installation, look at /etc/default/etcd and start the member: systemctl enable --now etcd2

%install
cp -a "${tree}/." "%{buildroot}/"

%files
${fileList(tree)}

${scripts.join("\n")}`;
}

export interface RpmOptions {
  readonly tree: string;
  readonly version: string;
  readonly arch: string;
  readonly epochSeconds: number;
  /** An empty folder for rpmbuild. */
  readonly work: string;
  /** Where the package goes. */
  readonly directory: string;
}

/** @returns the name of the package in its folder; undefined where there is no rpmbuild. */
export function makeRpm(options: RpmOptions): string | undefined {
  const { tree, version, arch, epochSeconds, work, directory } = options;
  const architecture = ARCHITECTURES[arch];
  if (architecture === undefined) throw new Error(`rpm has no name for ${arch}`);
  try {
    execFileSync("rpmbuild", ["--version"], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  mkdirSync(work, { recursive: true });
  const file = join(work, "etcd2.spec");
  writeFileSync(file, spec(version, tree));
  const defines = [
    `_topdir ${work}`,
    `_rpmdir ${work}`,
    "_buildhost localhost",
    "use_source_date_epoch_as_buildtime 1",
    "clamp_mtime_to_source_date_epoch 1",
    "_binary_payload w6.gzdio",
  ];
  const words = ["-bb", "--quiet", "--target", architecture];
  for (const define of defines) words.push("--define", define);
  execFileSync("rpmbuild", [...words, file], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds) },
  });
  const name = `etcd2-${version}-1.${architecture}.rpm`;
  copyFileSync(join(work, architecture, name), join(directory, name));
  return name;
}
