/** The tree of keys, a directory at a time, and the key that is chosen in it. */
import { errorCodes, type FileNode, isEtcdError, type KeyNode } from "@etcd2/client";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { JSX } from "preact";
import { client, reasonOf } from "../state/api.ts";
import { say } from "../state/words.ts";
import { ask } from "./dialog.tsx";
import { KeyDetail } from "./key-detail.tsx";
import { KeyList } from "./key-list.tsx";
import { Problem } from "./parts.tsx";

function parentOf(key: string): string {
  return key.slice(0, key.lastIndexOf("/")) || "/";
}

function below(dir: string, name: string): string {
  return `${dir === "/" ? "" : dir}/${name}`;
}

function download(name: string, value: unknown): void {
  const blob = new Blob([JSON.stringify(value, undefined, 2)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replaceAll("/", "_") || "root"}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

interface Shown {
  readonly dir: string;
  readonly index: number;
  readonly nodes: readonly KeyNode[];
  readonly file: FileNode | undefined;
}

interface ToolsProps {
  readonly shown: Shown;
  readonly attempt: (change: () => Promise<unknown>, next?: string) => void;
}

function* filesIn(node: KeyNode): Generator<FileNode> {
  if (!node.dir) yield node;
  else for (const child of node.nodes) yield* filesIn(child);
}

/**
 * Asks whether a directory is to go with all it holds. The API has no condition for directories, so
 * what it holds now, and how much of that has changed since it was shown, is said before.
 */
async function removeDirectory(dir: string, shownIndex: number): Promise<boolean> {
  const name = dir.slice(dir.lastIndexOf("/") + 1);
  const found = await client.value.keys.find(dir, { recursive: true, quorum: true });
  const files = found === undefined ? [] : [...filesIn(found.node)];
  const changed = files.filter(({ modifiedIndex }) => modifiedIndex > shownIndex).length;
  const answer = await ask({
    title: say("confirmName", name),
    detail: (
      <>
        <p>{say("holdsKeys", files.length)}</p>
        {changed > 0 && <p class="bad">{say("changedSince", changed, shownIndex)}</p>}
      </>
    ),
    ...{ action: say("delete"), isDangerous: true, required: name },
  });
  return answer !== undefined;
}

/** What can be done with the directory that is open. */
function DirectoryTools({ shown: { dir, index }, attempt }: ToolsProps): JSX.Element {
  const { keys } = client.value;
  return (
    <div class="row">
      <button
        onClick={() => {
          void ask({ title: say("newKey"), action: say("create"), initial: "" }).then((name) => {
            if (name) attempt(() => keys.create(below(dir, name), ""), below(dir, name));
          });
        }}
      >
        {say("newKey")}
      </button>
      <button
        onClick={() => {
          void ask({ title: say("newDir"), action: say("create"), initial: "" }).then((name) => {
            if (name) attempt(() => keys.mkdir(below(dir, name)), below(dir, name));
          });
        }}
      >
        {say("newDir")}
      </button>
      <button
        onClick={() => {
          attempt(async () => {
            download(dir, (await keys.get(dir, { recursive: true, sorted: true })).node);
          });
        }}
      >
        {say("export")}
      </button>
      {dir !== "/" && (
        <button
          class="bad"
          onClick={() => {
            void removeDirectory(dir, index).then((isMeant) => {
              if (isMeant) attempt(() => keys.delete(dir, { recursive: true }), parentOf(dir));
            });
          }}
        >
          {say("delete")}
        </button>
      )}
      <span class="soft">X-Etcd-Index {index}</span>
    </div>
  );
}

const COMPLETIONS_MAX = 20;

/** Keys that begin with what was typed: of the directory that is shown, or else asked for. */
function useCompletion(typed: string, dir: string, nodes: readonly KeyNode[]): readonly string[] {
  const found = useSignal<{ dir: string; keys: readonly string[] }>({ dir: "", keys: [] });
  const wanted = typed.slice(0, typed.lastIndexOf("/")) || "/";
  const { keys } = client.value;
  useEffect(() => {
    if (wanted === dir || wanted === found.value.dir) return undefined;
    const timer = setTimeout(() => {
      keys.find(wanted, { sorted: true }).then(
        (answer) => {
          const listed = answer?.node.dir === true ? answer.node.nodes : [];
          found.value = { dir: wanted, keys: listed.map(({ key }) => key) };
        },
        () => undefined,
      );
    }, 150);
    return () => {
      clearTimeout(timer);
    };
  }, [wanted, dir, keys]);
  const known =
    wanted === dir
      ? nodes.map(({ key }) => key)
      : wanted === found.value.dir
        ? found.value.keys
        : [];
  return known.filter((key) => key.startsWith(typed)).slice(0, COMPLETIONS_MAX);
}

export function KeysView(): JSX.Element {
  const shown = useSignal<Shown>({ dir: "/", index: 0, nodes: [], file: undefined });
  const typed = useSignal("/");
  const problem = useSignal("");
  const { keys } = client.value;

  /** The answer to the newest question alone is shown, whichever comes last. */
  const question = useRef(0);

  const load = async (path: string): Promise<void> => {
    problem.value = "";
    const own = (question.current += 1);
    try {
      const { node, index } = await keys.get(path, { sorted: true, quorum: true });
      if (own !== question.current) return;
      if (node.dir) shown.value = { dir: node.key, index, nodes: node.nodes, file: undefined };
      else if (parentOf(node.key) === shown.value.dir) shown.value = { ...shown.value, file: node };
      else {
        const parent = parentOf(node.key);
        // Who may read the key may not be allowed to list what is beside it.
        const beside = await keys
          .get(parent, { sorted: true, quorum: true })
          .catch(() => undefined);
        if (own !== question.current) return;
        const nodes = beside?.node.dir === true ? beside.node.nodes : [node];
        shown.value = { dir: parent, index, nodes, file: node };
      }
    } catch (error) {
      if (own !== question.current) return;
      if (isEtcdError(error, errorCodes.keyNotFound) && shown.value.file?.key === path) {
        await load(shown.value.dir);
        problem.value = `${path}: ${say("gone")}`;
      } else problem.value = reasonOf(error);
    }
  };
  const open = (path: string): Promise<void> => {
    typed.value = path;
    return load(path);
  };
  const attempt = (change: () => Promise<unknown>, next = shown.value.dir): void => {
    change().then(
      async () => {
        await open(shown.value.dir);
        if (next !== shown.value.dir) await open(next);
      },
      (error: unknown) => {
        problem.value = reasonOf(error);
      },
    );
  };
  useEffect(() => {
    // What is being typed already stays.
    void load("/");
  }, [keys]);
  const { dir, nodes, file } = shown.value;
  const known = useCompletion(typed.value, dir, nodes);
  return (
    <>
      <h1>{say("keys")}</h1>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          void open(typed.value);
        }}
      >
        <button type="button" disabled={dir === "/"} onClick={() => void open(parentOf(dir))}>
          {say("up")}
        </button>
        <input
          id="path"
          class="grow mono"
          aria-label={say("path")}
          list="completion"
          value={typed.value}
          onInput={(event) => {
            typed.value = event.currentTarget.value;
          }}
        />
        <datalist id="completion">
          {known.map((key) => (
            <option key={key} value={key} />
          ))}
        </datalist>
        <button class="main">{say("open")}</button>
      </form>
      <Problem text={problem.value} />
      <div class="split">
        <div>
          <h2 class="mono">{dir}</h2>
          <p class="soft">{nodes.length === 1 ? say("child") : say("children", nodes.length)}</p>
          <KeyList nodes={nodes} chosen={file?.key ?? ""} choose={(node) => void open(node.key)} />
          <DirectoryTools shown={shown.value} attempt={attempt} />
        </div>
        {file !== undefined && <KeyDetail node={file} changed={() => void open(file.key)} />}
      </div>
    </>
  );
}
