/** Makes the package `etcd2` for `npm install -g ./etcd2-VERSION.tgz`, from the folder of an archive. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PROGRAMS } from "./system-tree.ts";

export interface NpmOptions {
  /** The folder of the archive. */
  readonly archive: string;
  readonly version: string;
  readonly arch: string;
  /** An empty folder. */
  readonly work: string;
  /** Where the package goes. */
  readonly directory: string;
}

/** @returns the name of the package in its folder. */
export function makeNpmPackage({ archive, version, arch, work, directory }: NpmOptions): string {
  const folder = join(work, "package");
  mkdirSync(join(folder, "bin"), { recursive: true });
  for (const name of readdirSync(archive).filter((name) => /^etcd[^.]*(\.so\..*)?$/.test(name))) {
    cpSync(join(archive, name), join(folder, "bin", name));
  }
  const pages = ["README.md", "README-etcdctl.md", "LICENSE", "THIRD-PARTY-NOTICES.txt"];
  for (const name of pages) cpSync(join(archive, name), join(folder, name));
  const manifest = {
    name: "etcd2",
    version,
    description: "The etcd v2 system: server, command line client and migration tool",
    license: "Apache-2.0",
    os: ["linux"],
    cpu: [arch],
    bin: Object.fromEntries(PROGRAMS.map((program) => [program, `bin/${program}`])),
    files: ["bin", ...pages],
  };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  const words = ["pack", "--silent", "--ignore-scripts", "--pack-destination", directory, folder];
  const said = execFileSync("npm", words, { encoding: "utf8", cwd: work });
  const name = said.trim().split("\n").at(-1) ?? "";
  if (name !== `etcd2-${version}.tgz`) throw new Error(`npm pack made ${name}`);
  return name;
}
