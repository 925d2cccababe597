/**
 * Makes the bill of materials of a release in CycloneDX form from what the lock file says. The
 * same packages and date give the same text. Knows nothing of files.
 */
import { createHash } from "node:crypto";
import type { LockedPackage } from "./lockfile.ts";

export interface SbomInput {
  readonly name: string;
  readonly version: string;
  /** ISO 8601. */
  readonly timestamp: string;
  readonly packages: readonly LockedPackage[];
  /** Paths of the packages the release itself depends on. */
  readonly roots: readonly string[];
  /** Shared libraries in the archive that come from no package. */
  readonly libraries?: readonly SharedLibrary[];
  /** Libraries that were linked into the binary of a package. */
  readonly embedded?: readonly EmbeddedLibrary[];
}

export interface EmbeddedLibrary {
  readonly name: string;
  /** undefined where the binary does not tell. */
  readonly version: string | undefined;
  /** An SPDX expression. */
  readonly license: string;
  /** The name of the package. */
  readonly within: string;
}

export interface SharedLibrary {
  /** `libNAME.so.VERSION` */
  readonly file: string;
  /** An SPDX expression. */
  readonly license: string;
}

function purl(name: string, version: string): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

/** The reference of a package; the path keeps two copies of one version apart. */
function reference(locked: LockedPackage): string {
  return `${purl(locked.name, locked.version)}#${locked.path}`;
}

function hashes(integrity: string | undefined): object {
  const match = /^sha512-(.+)$/.exec(integrity ?? "");
  if (match?.[1] === undefined) return {};
  return { hashes: [{ alg: "SHA-512", content: Buffer.from(match[1], "base64").toString("hex") }] };
}

function licenses(license: string | undefined): object {
  if (license === undefined) return {};
  const isExpression = /[ ()]/.test(license);
  return { licenses: [isExpression ? { expression: license } : { license: { id: license } }] };
}

/** A UUID that depends on the content alone. */
function serialNumber(content: string): string {
  const hex = createHash("sha256").update(content).digest("hex");
  return `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The bill of materials as JSON text. */
export function sbom(input: SbomInput): string {
  const byPath = new Map(input.packages.map((locked) => [locked.path, locked]));
  const referencesOf = (paths: readonly string[]): string[] =>
    paths.flatMap((path) => {
      const locked = byPath.get(path);
      return locked === undefined ? [] : [reference(locked)];
    });
  const libraries = (input.libraries ?? []).map(({ file, license }) => {
    const [name = file, version = ""] = file.split(".so.");
    const self = `pkg:generic/${name}@${version}`;
    return {
      type: "library",
      ...{ "bom-ref": self, name, version, purl: self },
      licenses: [{ expression: license }],
    };
  });
  const packages = input.packages.map((locked) => ({
    type: locked.isWorkspace ? "application" : "library",
    "bom-ref": reference(locked),
    name: locked.name,
    version: locked.version,
    purl: purl(locked.name, locked.version),
    ...hashes(locked.integrity),
    ...licenses(locked.isWorkspace ? "Apache-2.0" : locked.license),
  }));
  const embedded = (input.embedded ?? []).map(({ name, version, license }) => {
    const self = `pkg:generic/${name}${version === undefined ? "" : `@${version}`}`;
    return {
      type: "library",
      ...{ "bom-ref": self, name, ...(version !== undefined && { version }), purl: self },
      licenses: [{ expression: license }],
    };
  });
  const embeddedIn = (name: string): string[] =>
    embedded.flatMap((library, at) =>
      input.embedded?.[at]?.within === name ? [library["bom-ref"]] : [],
    );
  const components = [...packages, ...libraries, ...embedded];
  const self = `pkg:generic/${input.name}@${input.version}`;
  const dependencies = [
    {
      ref: self,
      dependsOn: [...referencesOf(input.roots), ...libraries.map((library) => library["bom-ref"])],
    },
    ...input.packages.map((locked) => ({
      ref: reference(locked),
      dependsOn: [...new Set([...referencesOf(locked.needs), ...embeddedIn(locked.name)])],
    })),
  ];
  const document = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: serialNumber(JSON.stringify([self, components, dependencies])),
    version: 1,
    metadata: {
      timestamp: input.timestamp,
      component: {
        type: "application",
        "bom-ref": self,
        name: input.name,
        version: input.version,
        purl: self,
        licenses: [{ license: { id: "Apache-2.0" } }],
      },
    },
    components,
    dependencies,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
