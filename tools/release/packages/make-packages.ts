/** Makes every package of a release from the folder of its archive. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { makeDeb } from "./deb.ts";
import { makeNpmPackage } from "./npm-package.ts";
import { makeOciArchive } from "./oci.ts";
import { makeRpm } from "./rpm.ts";
import { layOut } from "./system-tree.ts";

export interface PackagesOptions {
  /** The project's folder. */
  readonly root: string;
  /** The folder of the archive. */
  readonly archive: string;
  /** A folder for what is needed on the way. */
  readonly work: string;
  /** Where the packages go. */
  readonly directory: string;
  readonly version: string;
  readonly epochSeconds: number;
}

/** @throws Error when a package cannot be made; only rpmbuild may be missing, which is said. */
export function makePackages(options: PackagesOptions): void {
  const { root, archive, work, directory, version, epochSeconds } = options;
  const common = { version, arch: "x64", epochSeconds, directory };
  const folder = (name: string): string => {
    const path = join(work, name);
    mkdirSync(path);
    return path;
  };
  // A tree of its own for each: dpkg-deb wants its folder inside.
  const forRpm = folder("rpm-tree");
  layOut(archive, forRpm);
  const rpm = makeRpm({ ...common, tree: forRpm, work: folder("rpm-work") });
  if (rpm === undefined) console.warn("no rpm is made: rpmbuild is not installed");
  const forDeb = folder("deb-tree");
  layOut(archive, forDeb);
  makeDeb({ ...common, tree: forDeb });
  makeNpmPackage({ ...common, archive, work: folder("npm") });
  const entrypoint = join(root, "deploy/docker/entrypoint.sh");
  makeOciArchive({ ...common, archive, entrypoint, work: folder("oci") });
}
