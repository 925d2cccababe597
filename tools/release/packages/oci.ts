/**
 * Makes an image archive in the layout of the Open Container Initiative, without a daemon and without
 * a base image: the programs, the C and C++ libraries of the building machine, a shell for the
 * entrypoint, and the certificates of the usual authorities. `podman load`, `skopeo copy
 * oci-archive:...` and `ctr image import` take it.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { PROGRAMS } from "./system-tree.ts";

const USER = 1001;
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";
/** What the C library looks for at run time, beside what the programs name. */
const RESOLVER = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"];

export interface OciOptions {
  /** The folder of the archive. */
  readonly archive: string;
  /** The script that takes bare flags and whole command lines. */
  readonly entrypoint: string;
  readonly version: string;
  readonly arch: string;
  readonly epochSeconds: number;
  /** An empty folder. */
  readonly work: string;
  readonly directory: string;
}

/** Shared libraries that a program needs, as paths of this machine, the loader among them. */
function librariesOf(program: string): readonly string[] {
  const env = { LD_TRACE_LOADED_OBJECTS: "1" };
  const listed = execFileSync(program, [], { encoding: "utf8", env, timeout: 20_000 });
  return listed.split("\n").flatMap((line) => {
    const path = /=> (\/\S+) \(0x/.exec(line)?.[1] ?? /^\s*(\/\S+) \(0x/.exec(line)?.[1];
    return path === undefined ? [] : [path];
  });
}

function put(root: string, path: string, text: string): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function fillRoot(root: string, { archive, entrypoint }: OciOptions): void {
  for (const folder of ["bin", "etc", "tmp", "usr/local/bin", "usr/share/doc/etcd2"]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  const runtime = join(archive, "etcd2-runtime");
  cpSync(runtime, join(root, "usr/local/bin/etcd2-runtime"));
  // The runtime knows by its name which program it is.
  for (const program of PROGRAMS)
    symlinkSync("etcd2-runtime", join(root, "usr/local/bin", program));
  cpSync(entrypoint, join(root, "usr/local/bin/entrypoint.sh"));
  const shell = realpathSync("/bin/sh");
  cpSync(shell, join(root, "bin/sh"));
  const needed = new Set([...librariesOf(runtime), ...librariesOf(shell)]);
  const folder = dirname([...needed].find((path) => basename(path).startsWith("libc.so")) ?? "");
  for (const name of RESOLVER) if (existsSync(join(folder, name))) needed.add(join(folder, name));
  for (const path of needed) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    cpSync(realpathSync(path), join(root, path));
  }
  for (const name of ["libc6", "libstdc++6", "libatomic1", "dash"]) {
    const file = `/usr/share/doc/${name}/copyright`;
    if (existsSync(file)) put(root, file, readFileSync(file, "utf8"));
  }
  put(root, "etc/passwd", `root:x:0:0::/:/bin/sh\netcd:x:${USER}:${USER}::/var/lib/etcd:/bin/sh\n`);
  put(root, "etc/group", `root:x:0:\netcd:x:${USER}:\n`);
  put(root, "etc/nsswitch.conf", "hosts: files dns\n");
  if (existsSync(CERTIFICATES)) put(root, CERTIFICATES, readFileSync(CERTIFICATES, "utf8"));
  for (const name of ["LICENSE", "THIRD-PARTY-NOTICES.txt"]) {
    cpSync(join(archive, name), join(root, "usr/share/doc/etcd2", name));
  }
}

/** The files of the image as one archive: all of root, but for the data directory. */
function packRoot(root: string, work: string, epochSeconds: number): Buffer {
  const file = join(work, "layer.tar");
  const common = [
    ...["--file", file, "--format=gnu", "--sort=name", "--numeric-owner"],
    `--mtime=@${epochSeconds}`,
  ];
  const all = ["--create", ...common, "--owner=0", "--group=0", "--mode=go=rX,u+rw"];
  execFileSync("tar", [...all, "--exclude=./tmp", "--directory", root, "."]);
  const state = join(work, "state");
  mkdirSync(join(state, "var/lib/etcd"), { recursive: true });
  const own = ["--append", ...common, `--owner=${USER}`, `--group=${USER}`, "--mode=0700"];
  execFileSync("tar", [...own, "--no-recursion", "--directory", state, "./var/lib/etcd"]);
  const open = ["--append", ...common, "--owner=0", "--group=0", "--mode=1777"];
  execFileSync("tar", [...open, "--no-recursion", "--directory", root, "./tmp"]);
  return readFileSync(file);
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Keeps a blob under its digest. */
function keep(layout: string, name: string, bytes: Uint8Array): Descriptor {
  const digest = digestOf(bytes);
  writeFileSync(join(layout, "blobs/sha256", digest), bytes);
  const mediaType = `application/vnd.oci.image.${name}`;
  return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
}

/** How containers run. */
function imageConfig(
  { version, epochSeconds }: OciOptions,
  architecture: string,
  layerDigest: string,
): object {
  const created = new Date(epochSeconds * 1000).toISOString();
  return {
    created,
    architecture,
    os: "linux",
    config: {
      User: `${USER}:${USER}`,
      ExposedPorts: { "2379/tcp": {}, "2380/tcp": {}, "4001/tcp": {}, "7001/tcp": {} },
      Env: [
        "PATH=/usr/local/bin:/bin",
        "ETCD_DATA_DIR=/var/lib/etcd",
        "ETCDCTL_ENDPOINTS=http://127.0.0.1:2379",
      ],
      Entrypoint: ["/bin/sh", "/usr/local/bin/entrypoint.sh"],
      Cmd: ["etcd"],
      Volumes: { "/var/lib/etcd": {} },
      WorkingDir: "/var/lib/etcd",
      Labels: {
        "org.opencontainers.image.title": "etcd2",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "Apache-2.0",
      },
      StopSignal: "SIGTERM",
    },
    rootfs: { type: "layers", diff_ids: [`sha256:${layerDigest}`] },
    history: [{ created, created_by: "npm run release" }],
  };
}

/** @returns the name of the image archive in its folder. */
export function makeOciArchive(options: OciOptions): string {
  const { version, arch, epochSeconds, work, directory } = options;
  const architecture = ARCHITECTURES[arch];
  if (architecture === undefined) throw new Error(`images have no name for ${arch}`);
  const root = join(work, "root");
  mkdirSync(root, { recursive: true });
  fillRoot(root, options);
  const plain = packRoot(root, work, epochSeconds);
  const layout = join(work, "layout");
  mkdirSync(join(layout, "blobs/sha256"), { recursive: true });
  const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  const layer = keep(layout, "layer.v1.tar+gzip", gzipSync(plain, { level: 6 }));
  const content = imageConfig(options, architecture, digestOf(plain));
  const config = keep(layout, "config.v1+json", json(content));
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const list = { schemaVersion: 2, mediaType, config, layers: [layer] };
  const manifest = {
    ...keep(layout, "manifest.v1+json", json(list)),
    platform: { architecture, os: "linux" },
    annotations: { "org.opencontainers.image.ref.name": `etcd2:${version}` },
  };
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [manifest],
  };
  writeFileSync(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(layout, "index.json"), JSON.stringify(index));
  const name = `etcd2-${version}-linux-${arch}.oci.tar`;
  execFileSync("tar", [
    ...["--create", "--file", join(directory, name), "--format=gnu", "--sort=name"],
    ...["--owner=0", "--group=0", "--numeric-owner", `--mtime=@${epochSeconds}`],
    ...["--directory", layout, "oci-layout", "index.json", "blobs"],
  ]);
  return name;
}
