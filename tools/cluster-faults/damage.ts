/**
 * What a member does with a damaged directory: every file of one that was killed under load is cut,
 * emptied, removed, or has bits turned, one at a time, and the member is started on it. It must refuse
 * with one clear line, or serve everything that was ever acknowledged; `etcd-migrate verify` must not
 * call a directory sound that the server refuses.
 *
 *   node --conditions=etcd2-source tools/cluster-faults/damage.ts [--rounds 1] [--seed N] [--only wal]
 */
import { execFile } from "node:child_process";
import {
  cpSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { Cluster, put } from "./cluster.ts";
import type { MemberProcess } from "./member-process.ts";
import { seededRandom, until } from "@etcd2/test-support";
import { contradictions, leaves, WriteLoad } from "./write-load.ts";
import type { Acknowledged } from "./write-load.ts";

const MIGRATE = join(import.meta.dirname, "..", "..", "apps", "migrate", "bin", "etcd-migrate");

/** Small figures make a log that was cut and a store with files of its own. */
const FLAGS = ["--snapshot-count", "150", "--snapshot-catchup-entries", "20"];

type Damage = (path: string, random: () => number) => string;

function flip(path: string, at: number): string {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  writeFileSync(path, bytes);
  return `bit turned at ${String(at)}`;
}

/** Length of what was written: a log is filled up with zeros. */
function usedBytes(path: string): number {
  const bytes = readFileSync(path);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end;
}

const DAMAGES: readonly Damage[] = [
  (path, random) => flip(path, Math.floor(random() * usedBytes(path))),
  (path, random) => flip(path, Math.floor((random() * usedBytes(path)) / 4)),
  (path) => flip(path, Math.max(0, usedBytes(path) - 2)),
  (path, random) => {
    const length = Math.floor(random() * usedBytes(path));
    truncateSync(path, length);
    return `cut to ${String(length)}`;
  },
  (path) => {
    truncateSync(path, 0);
    return "emptied";
  },
  (path, random) => {
    const bytes = readFileSync(path);
    const from = Math.floor(random() * usedBytes(path));
    bytes.fill(0, from, Math.min(from + 512, bytes.length));
    writeFileSync(path, bytes);
    return `512 zeros at ${String(from)}`;
  },
  (path) => {
    rmSync(path);
    return "removed";
  },
];

function filesOf(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

function verify(dataDir: string): Promise<{ code: number; text: string }> {
  return new Promise((resolve) => {
    execFile(MIGRATE, ["verify", "--data-dir", dataDir], (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ code, text: `${stdout}${stderr}`.trim() });
    });
  });
}

/** Damage to more than one file, or to names. */
const WHOLE: readonly (readonly [string, (directory: string) => void])[] = [
  [
    "CURRENT names another generation",
    (directory) => {
      writeFileSync(join(directory, "member/store/CURRENT"), "generation-00000009\n");
    },
  ],
  ...["member/store", "member/store/generation-00000001", "member/wal"].map(
    (path) =>
      [
        `${path} removed`,
        (directory: string): void => {
          rmSync(join(directory, path), { recursive: true });
        },
      ] as const,
  ),
];

/** What the start came to: served, or the last line of the refusal. */
async function outcomeOf(member: MemberProcess): Promise<{ refused: string } | { tree: string }> {
  const exit = member.exited().then(({ code, signal }) => ({ code, signal }));
  const serves = until(
    "it serves or ends",
    async () => {
      if (!member.isRunning) return true;
      const { status } = await member.send("/v2/keys/load?quorum=true", { timeoutMs: 1500 });
      return status === 200 || status === 404;
    },
    12_000,
  );
  await serves;
  const answer = member.isRunning
    ? await member.send("/v2/keys/load?recursive=true").catch(() => undefined)
    : undefined;
  if (answer?.status === 200) {
    await put(member, "/after", "1");
    return { tree: answer.body };
  }
  if (answer?.status === 404) return { tree: '{"node":{}}' };
  if (answer !== undefined) return { refused: `${String(answer.status)}: ${answer.body}` };
  const { code } = await exit;
  const lines = member.log.trim().split("\n");
  return { refused: code === 1 ? (lines.at(-1) ?? "") : `exit ${String(code)}: ${member.log}` };
}

interface Trial {
  readonly template: string;
  readonly member: MemberProcess;
  readonly acknowledged: readonly Acknowledged[];
}

/** One damage, judged; undefined when the member did right. */
async function attempt(
  cluster: Cluster,
  { template, member, acknowledged }: Trial,
  damage: (directory: string) => string,
): Promise<string | undefined> {
  rmSync(member.dataDir, { recursive: true, force: true });
  cpSync(template, member.dataDir, { recursive: true });
  const what = damage(member.dataDir);
  const verdict = await verify(member.dataDir);
  const start = async (): Promise<Awaited<ReturnType<typeof outcomeOf>>> => {
    member.log = "";
    cluster.restart(member, ...["--initial-cluster", `${member.name}=${member.peerUrl}`]);
    return outcomeOf(member);
  };
  try {
    let outcome = await start();
    // A refusal must hold: nothing may have been made in place of what is damaged.
    if ("refused" in outcome && !member.isRunning) outcome = await start();
    if ("tree" in outcome) {
      const lost = contradictions(acknowledged, leaves(outcome.tree));
      if (lost.length > 0)
        return `${what}: SILENT LOSS of ${String(lost.length)}: ${lost[0] ?? ""}`;
      console.log(`${what}: serves everything (verify: ${String(verdict.code)})`);
      return undefined;
    }
    const isClear =
      / [CE] \| /.test(outcome.refused) && !/TypeError|undefined|at .*:\d+/.test(outcome.refused);
    console.log(`${what}: refused (verify: ${String(verdict.code)}): ${outcome.refused.slice(29)}`);
    if (!isClear) return `${what}: unclear: ${outcome.refused}`;
    if (verdict.code === 0)
      return `${what}: verify calls it sound, the server refuses: ${outcome.refused}`;
    return undefined;
  } catch (error) {
    return `${what}: neither served nor refused: ${String(error)}\n${member.log.slice(-1500)}`;
  } finally {
    await member.end("SIGKILL");
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "1" },
      seed: { type: "string", default: "1" },
      only: { type: "string", default: "" },
    },
  });
  const random = seededRandom(Number(values.seed));
  const cluster = await Cluster.start({ size: 1, flags: FLAGS });
  const problems: string[] = [];
  try {
    const [member] = cluster.members;
    if (member === undefined) throw new Error("no member");
    const load = new WriteLoad({ urls: () => [member.clientUrl], clients: 4, valueBytes: 100 });
    for (const count of [300, 700]) {
      await until("the load runs", () => load.acknowledged.length > count);
      await member.end("SIGKILL");
      cluster.restart(member);
    }
    await until("the load runs", () => load.acknowledged.length > 1000);
    await member.end("SIGKILL");
    await load.stop();
    const template = join(cluster.directory, "template");
    cpSync(member.dataDir, template, { recursive: true });
    const trial = { template, member, acknowledged: load.acknowledged };
    const files = filesOf(template).filter(
      // Lock files hold no data; RocksDB writes IDENTITY and OPTIONS for people.
      (path) => path.includes(values.only) && !/lock-|\.lock$|LOCK|IDENTITY|OPTIONS/.test(path),
    );
    const judge = (problem: string | undefined): void => {
      if (problem === undefined) return;
      problems.push(problem);
      console.log(`PROBLEM ${problem}`);
    };
    for (const [what, damage] of WHOLE) {
      if (!what.includes(values.only)) continue;
      judge(
        await attempt(cluster, trial, (directory) => {
          damage(directory);
          return what;
        }),
      );
    }
    for (let round = 0; round < Number(values.rounds); round += 1) {
      for (const file of files) {
        for (const damage of DAMAGES) {
          judge(
            await attempt(cluster, trial, (directory) => {
              const path = join(directory, file);
              if (statSync(path).size === 0) return `${file}: empty`;
              return `${file}: ${damage(path, random)}`;
            }),
          );
        }
      }
    }
  } finally {
    await cluster.close();
  }
  console.log(`${String(problems.length)} problems\n${problems.join("\n")}`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

await main();
