/** The tree of keys, a directory at a time, and the key that is chosen in it. */
import { errorCodes, type FileNode, isEtcdError, type KeyNode } from "@etcd2/client";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { JSX } from "preact";
import { client, reasonOf } from "../state/api.ts";
import { say } from "../state/words.ts";
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

/** What can be done with the directory that is open. */
function DirectoryTools({ shown: { dir, index }, attempt }: ToolsProps): JSX.Element {
  const { keys } = client.value;
  return (
    <div class="row">
      <button
        onClick={() => {
          const name = prompt(say("newKey"));
          if (name) attempt(() => keys.create(below(dir, name), ""), below(dir, name));
        }}
      >
        {say("newKey")}
      </button>
      <button
        onClick={() => {
          const name = prompt(say("newDir"));
          if (name) attempt(() => keys.mkdir(below(dir, name)), below(dir, name));
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
            const name = dir.slice(dir.lastIndexOf("/") + 1);
            if (prompt(say("confirmName", name)) !== name) return;
            attempt(() => keys.delete(dir, { recursive: true }), parentOf(dir));
          }}
        >
          {say("delete")}
        </button>
      )}
      <span class="soft">X-Etcd-Index {index}</span>
    </div>
  );
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
      else shown.value = { dir: parentOf(node.key), index, nodes: [node], file: node };
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
          {nodes
            .filter(({ key }) => key.startsWith(typed.value))
            .slice(0, 20)
            .map(({ key }) => (
              <option key={key} value={key} />
            ))}
        </datalist>
        <button class="main">{say("open")}</button>
      </form>
      <Problem text={problem.value} />
      <div class="split">
        <div>
          <h2 class="mono">{dir}</h2>
          <p class="soft">{say("children", nodes.length)}</p>
          <KeyList nodes={nodes} chosen={file?.key ?? ""} choose={(node) => void open(node.key)} />
          <DirectoryTools shown={shown.value} attempt={attempt} />
        </div>
        {file !== undefined && <KeyDetail node={file} changed={() => void open(file.key)} />}
      </div>
    </>
  );
}
