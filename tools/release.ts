/**
 * `npm run release`: builds the programs and leaves in `dist` the archive, its SHA-256 and its bill of
 * materials, and what is made from the archive: packages for dpkg, rpm and npm, and an image. A machine
 * that installs one of them, but for that of npm, needs neither Node nor npm.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Lockfile } from "./release/lockfile.ts";
import { makePackages } from "./release/packages/make-packages.ts";
import { keysOf, sign } from "./release/packages/signature.ts";
import { publish } from "./release/publish.ts";
import { sbom } from "./release/sbom.ts";
import {
  embeddedLibraries,
  notShipped,
  programs,
  runtimePackage,
  shippedLibraries,
  stage,
} from "./release/stage.ts";

const root = join(import.meta.dirname, "..");

/** The time of the last commit, so that the same sources give the same archive. */
function epochSeconds(): number {
  const given = process.env["SOURCE_DATE_EPOCH"];
  if (given !== undefined && /^\d+$/.test(given)) return Number(given);
  try {
    const answer = execFileSync("git", ["log", "-1", "--format=%ct"], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return Number(answer.trim());
  } catch {
    return Math.floor(Date.now() / 1000);
  }
}

async function main(): Promise<void> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error("a release for linux-x64 is made on linux-x64, with its runtime and store");
  }
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    version: string;
  };
  const lockfile = Lockfile.read(join(root, "package-lock.json"));
  const roots = [runtimePackage, ...programs.map(({ folder }) => folder)];
  const seconds = epochSeconds();
  const bin = join(root, "node_modules", ".bin");
  // A signal ends the process through "exit", where half-made files are removed.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => process.exit(1));
  }
  const archive = await publish({
    name: `etcd2-${version}-linux-x64`,
    directory: join(root, "dist"),
    epochSeconds: seconds,
    sbom: sbom({
      name: "etcd2",
      version,
      timestamp: new Date(seconds * 1000).toISOString(),
      packages: lockfile.closure(roots, notShipped),
      roots,
      libraries: shippedLibraries,
      embedded: embeddedLibraries(root),
    }),
    async stage(folder, work) {
      // Never from the cache: a release is made of the sources as they are.
      const words = ["run-many", "-t", "bundle", "--skip-nx-cache", "--output-style=static"];
      execFileSync(join(bin, "nx"), words, {
        cwd: root,
        stdio: ["ignore", "inherit", "inherit"],
        env: { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` },
      });
      await stage({ root, target: folder, lockfile, work, version, epochSeconds: seconds });
    },
    extras(folder, work, out) {
      makePackages({ root, archive: folder, work, directory: out, version, epochSeconds: seconds });
    },
    finish(directory, names) {
      sign(directory, names, keysOf(process.env));
    },
  });
  console.log(`made ${archive}`);
}

try {
  await main();
} catch (error) {
  console.error(`release: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
