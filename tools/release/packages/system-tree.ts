/**
 * Lays out what a release puts on a machine by a package: programs below /usr/lib/etcd2 with links in
 * /usr/bin, the unit, its user and directory, settings, pages, manual pages and completions. The deb and
 * the rpm differ in their outside only.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";

/** Names of the three programs. */
export const PROGRAMS = ["etcd", "etcdctl", "etcd-migrate"] as const;

/** The one file of a package that belongs to the operator. */
export const SETTINGS = "/etc/default/etcd";

/** Where shells look for completions: [shell, folder, file of a program]. */
const COMPLETIONS = [
  ["bash", "usr/share/bash-completion/completions", (program: string) => program],
  ["zsh", "usr/share/zsh/vendor-completions", (program: string) => `_${program}`],
  ["fish", "usr/share/fish/vendor_completions.d", (program: string) => `${program}.fish`],
] as const;

function put(file: string, text: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { mode });
}

/** The unit under the name of the package; the other name remains an alias. */
export function unitOf(text: string): string {
  const changes: readonly (readonly [string, string])[] = [
    ["ExecStart=/opt/etcd2/etcd ", "ExecStart=/usr/bin/etcd "],
    ["file:///opt/etcd2/README.md", "file:///usr/share/doc/etcd2/README.md man:etcd(1)"],
    ["Alias=etcd2.service", "Alias=etcd.service"],
  ];
  return changes.reduce((unit, [from, to]) => {
    if (!unit.includes(from)) throw new Error(`the unit does not have "${from}" any more`);
    return unit.replace(from, to);
  }, text);
}

/**
 * Fills the empty folder `target` from the folder of an archive.
 * @throws Error when the archive lacks something.
 */
export function layOut(archive: string, target: string): void {
  const home = join(target, "usr/lib/etcd2");
  mkdirSync(home, { recursive: true });
  mkdirSync(join(target, "usr/bin"), { recursive: true });
  for (const name of readdirSync(archive).filter((name) => /^etcd[^.]*(\.so\..*)?$/.test(name))) {
    cpSync(join(archive, name), join(home, name));
  }
  for (const program of PROGRAMS) {
    if (!existsSync(join(home, program))) throw new Error(`the archive has no ${program}`);
    symlinkSync(`../lib/etcd2/${program}`, join(target, "usr/bin", program));
  }
  const systemd = join(archive, "deploy/systemd");
  const read = (name: string): string => readFileSync(join(systemd, name), "utf8");
  put(join(target, "usr/lib/systemd/system/etcd2.service"), unitOf(read("etcd.service")));
  put(join(target, "usr/lib/sysusers.d/etcd2.conf"), read("etcd.sysusers.conf"));
  put(join(target, "usr/lib/tmpfiles.d/etcd2.conf"), read("etcd.tmpfiles.conf"));
  // It may hold secrets; systemd reads it as root.
  put(join(target, SETTINGS), read("etcd.default"), 0o640);
  layOutPages(archive, target);
  for (const [shell, folder, fileOf] of COMPLETIONS) {
    for (const program of PROGRAMS) {
      const script = join(archive, "completions", `${program}.${shell}`);
      if (existsSync(script)) put(join(target, folder, fileOf(program)), readFileSync(script));
    }
  }
}

function layOutPages(archive: string, target: string): void {
  const doc = join(target, "usr/share/doc/etcd2");
  mkdirSync(doc, { recursive: true });
  const pages = readdirSync(archive).filter((name) => /\.(md|txt)$|^LICENSE$/.test(name));
  for (const name of pages) cpSync(join(archive, name), join(doc, name));
  for (const folder of ["docs", "deploy"]) {
    cpSync(join(archive, folder), join(doc, folder), { recursive: true });
  }
  put(
    join(doc, "copyright"),
    `${readFileSync(join(archive, "LICENSE"), "utf8")}\n${readFileSync(join(archive, "THIRD-PARTY-NOTICES.txt"), "utf8")}`,
  );
  const manual = join(archive, "man");
  if (!existsSync(manual)) return;
  for (const name of readdirSync(manual)) {
    const section = name.slice(name.lastIndexOf(".") + 1);
    // Level 9 and no time of day: the same page gives the same file.
    const packed = gzipSync(readFileSync(join(manual, name)), { level: 9 });
    put(join(target, `usr/share/man/man${section}`, `${name}.gz`), packed);
  }
}
