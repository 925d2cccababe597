/**
 * Turns a staged folder into an archive with its papers beside it, all or nothing: whatever goes
 * wrong, the target folder holds no archive of that name afterwards, not even an older one.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  createReadStream,
  createWriteStream,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

const WORK_PREFIX = ".release-";

export interface Release {
  /** The folder inside the archive; the archive is `<name>.tar.gz`. */
  readonly name: string;
  /** Where the files go. */
  readonly directory: string;
  /** Seconds since 1970: the time of every file in the archive. */
  readonly epochSeconds: number;
  readonly sbom: string;
  /** Fills the folder; the second one is for what is needed on the way. */
  readonly stage: (folder: string, work: string) => void | Promise<void>;
  /** Lists and signs the files, whose names it gets, in their folder. */
  readonly finish?: (directory: string, names: readonly string[]) => void;
  /** Makes further files of the release in `out` from the folder of the archive. */
  readonly extras?: (folder: string, work: string, out: string) => void | Promise<void>;
}

/** The list of all files of the release, whose signature may lie beside it. */
export const CHECKSUMS = "SHA256SUMS";

/** What an earlier run left: what it listed goes first, the list itself last. */
function removeEarlier(directory: string, targets: readonly string[]): void {
  const list = join(directory, CHECKSUMS);
  const listed = existsSync(list)
    ? readFileSync(list, "utf8").matchAll(/^[0-9a-f]{64} {2}([^/\n]+)$/gm)
    : [];
  const names = [...targets, ...[...listed].flatMap(([, name]) => name ?? [])];
  const lists = ["", ".sig", ".minisig", ".asc"].map((ending) => `${CHECKSUMS}${ending}`);
  for (const name of [...names, ...lists]) rmSync(join(directory, name), { force: true });
}

/** @returns the path of the archive. */
export async function publish(release: Release): Promise<string> {
  const { name, directory } = release;
  mkdirSync(directory, { recursive: true });
  const targets = [`${name}.tar.gz`, `${name}.tar.gz.sha256`, `${name}.cdx.json`];
  removeEarlier(directory, targets);
  // One that was killed could not clean up.
  for (const name of readdirSync(directory)) {
    if (name.startsWith(WORK_PREFIX))
      rmSync(join(directory, name), { recursive: true, force: true });
  }
  const work = mkdtempSync(join(directory, WORK_PREFIX));
  const cleanUp = (): void => {
    rmSync(work, { recursive: true, force: true });
  };
  process.once("exit", cleanUp);
  try {
    const folder = join(work, name);
    mkdirSync(folder);
    const scratch = join(work, "scratch");
    mkdirSync(scratch);
    await release.stage(folder, scratch);
    const archive = join(work, `${name}.tar.gz`);
    const digest = await pack(work, release, archive);
    writeFileSync(`${archive}.sha256`, `${digest}  ${name}.tar.gz\n`);
    writeFileSync(join(work, `${name}.cdx.json`), release.sbom);
    const out = join(work, "extras");
    mkdirSync(out);
    await release.extras?.(folder, scratch, out);
    for (const target of targets) renameSync(join(work, target), join(out, target));
    release.finish?.(out, readdirSync(out));
    const names = readdirSync(out).filter((name) => name !== targets[0]);
    for (const made of names) renameSync(join(out, made), join(directory, made));
    // The archive comes last: where it is, everything else is.
    renameSync(join(out, `${name}.tar.gz`), join(directory, `${name}.tar.gz`));
    return join(directory, `${name}.tar.gz`);
  } finally {
    cleanUp();
    process.off("exit", cleanUp);
  }
}

/** @returns the SHA-256 of the archive in hexadecimal. */
async function pack(work: string, release: Release, archive: string): Promise<string> {
  const tarball = join(work, "archive.tar");
  execFileSync("tar", [
    ...["--create", "--file", tarball, "--directory", work, "--format=gnu", "--sort=name"],
    ...["--owner=0", "--group=0", "--numeric-owner", "--mode=u+rw,go=rX"],
    ...[`--mtime=@${String(release.epochSeconds)}`, release.name],
  ]);
  await pipeline(createReadStream(tarball), createGzip({ level: 6 }), createWriteStream(archive));
  const file = openSync(archive, "r");
  fsyncSync(file);
  closeSync(file);
  const hash = createHash("sha256");
  await pipeline(createReadStream(archive), hash);
  return hash.digest("hex");
}
