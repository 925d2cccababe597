/** The recorded data directories: unpacking them, and what the old servers showed for each. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { untar } from "./untar.ts";

const FOLDER = join(import.meta.dirname, "..", "fixtures");

export interface ShownNode {
  readonly key?: string;
  readonly value?: string;
  readonly dir?: boolean;
  readonly expiration?: string;
  readonly createdIndex?: number;
  readonly modifiedIndex?: number;
  readonly nodes?: readonly ShownNode[];
}

interface Shown {
  readonly keys?: { readonly node?: ShownNode };
  readonly hidden?: Readonly<Record<string, { readonly node?: ShownNode }>>;
  readonly etcd_index?: number;
  readonly raft_index?: number;
}

export interface ShownMember {
  readonly id: string;
  readonly name: string;
  readonly peerURLs: readonly string[];
  readonly clientURLs: readonly string[];
}

export interface Expected extends Shown {
  readonly produced_by: string;
  readonly member_name?: string;
  readonly cluster_id?: string;
  readonly members?: readonly ShownMember[];
  readonly server_starts?: boolean;
  readonly source?: Shown;
  readonly source_after_restart?: Shown;
  readonly keys_after_restart?: Shown["keys"];
  readonly hidden_after_restart?: Shown["hidden"];
  readonly before_damage?: Shown;
  readonly v3?: { readonly kvs: readonly unknown[] };
}

export function fixtureNames(): readonly string[] {
  return readdirSync(FOLDER).sort();
}

export function expectedOf(name: string): Expected {
  return JSON.parse(readFileSync(join(FOLDER, name, "expected.json"), "utf8")) as Expected;
}

/** A folder of its own with the fixture's directory in it; dispose removes it. */
export class UnpackedFixture implements Disposable {
  readonly root: string;
  readonly directory: string;

  constructor(name: string) {
    this.root = mkdtempSync(join(tmpdir(), "etcd-migrate-test-"));
    this.directory = join(this.root, "data");
    untar(join(FOLDER, name, "data.tar.gz"), this.root);
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** One key as compared: what it holds, its indexes, its expiration to the millisecond. */
export interface FlatNode {
  readonly value: string | undefined;
  readonly dir: boolean;
  readonly createdIndex: number | undefined;
  readonly modifiedIndex: number | undefined;
  readonly expiration: string | undefined;
}

function flatten(node: ShownNode, into: Map<string, FlatNode>): void {
  if (node.key !== undefined && node.key !== "/") {
    into.set(node.key, {
      value: node.value,
      dir: node.dir ?? false,
      createdIndex: node.createdIndex,
      modifiedIndex: node.modifiedIndex,
      expiration: milliseconds(node.expiration),
    });
  }
  for (const child of node.nodes ?? []) flatten(child, into);
}

/** An expiration cut to milliseconds: what our store keeps. */
function milliseconds(time: string | undefined): string | undefined {
  if (time === undefined) return undefined;
  const [seconds = "", fraction = ""] = time.replace("Z", "").split(".");
  return `${seconds}.${fraction.padEnd(3, "0").slice(0, 3)}`;
}

/** The keys an import must end up with: 0.4 is held to what the old server itself showed. */
export function expectedKeys(expected: Expected): ReadonlyMap<string, FlatNode> {
  const into = new Map<string, FlatNode>();
  const is04 = expected.produced_by.startsWith("etcd 0.");
  const source = expected.source_after_restart ?? expected.source;
  const keys = is04 ? source?.keys : (expected.keys_after_restart ?? expected.keys);
  const hidden = is04 ? source?.hidden : (expected.hidden_after_restart ?? expected.hidden);
  if (keys?.node !== undefined) flatten(keys.node, into);
  for (const dump of Object.values(hidden ?? {})) {
    if (dump.node !== undefined) flatten(dump.node, into);
  }
  return into;
}
