/** The page: which view is open, who is signed in, the language, and the keyboard. */
import { useSignal } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import type { JSX } from "preact";
import { areAccepted, client, credentials } from "./state/api.ts";
import { gatherHealth } from "./state/health.ts";
import { language, say } from "./state/words.ts";
import { AccessView } from "./views/access.tsx";
import { ClusterView } from "./views/cluster.tsx";
import { Dialog } from "./views/dialog.tsx";
import { HealthView } from "./views/health.tsx";
import { KeysView } from "./views/keys.tsx";
import { WatchView } from "./views/watch.tsx";

const VIEWS = ["cluster", "keys", "watch", "health", "access"] as const;
type View = (typeof VIEWS)[number];

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

function viewOf(hash: string): View {
  return VIEWS.find((view) => `#${view}` === hash) ?? "cluster";
}

/** Credentials stay in the memory of this tab. */
function SignIn(): JSX.Element {
  const username = useSignal("");
  const password = useSignal("");
  const isRefused = useSignal(false);
  const signIn = async (): Promise<void> => {
    const given = { username: username.value, password: password.value };
    isRefused.value = !(await areAccepted(given).catch(() => true));
    if (isRefused.value) return;
    credentials.value = given;
    password.value = "";
  };
  if (credentials.value !== undefined) {
    return (
      <button onClick={() => (credentials.value = undefined)}>
        {say("signOut")} {credentials.value.username}
      </button>
    );
  }
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        void signIn();
      }}
    >
      <input
        aria-label={say("user")}
        placeholder={say("user")}
        size={8}
        required
        autocomplete="off"
        value={username.value}
        onInput={(event) => {
          username.value = event.currentTarget.value;
        }}
      />
      <input
        type="password"
        aria-label={say("password")}
        placeholder={say("password")}
        size={8}
        autocomplete="off"
        value={password.value}
        onInput={(event) => {
          password.value = event.currentTarget.value;
        }}
      />
      <button>{say("signIn")}</button>
      {isRefused.value && (
        <span class="bad" role="alert">
          {say("badSignIn")}
        </span>
      )}
    </form>
  );
}

function useKeyboard(go: (view: View) => void, toggleHelp: () => void): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const { target } = event;
      const isTyping = target instanceof Element && /^(?:INPUT|TEXTAREA)$/.test(target.tagName);
      if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/") {
        event.preventDefault();
        go("keys");
        requestAnimationFrame(() => document.querySelector<HTMLInputElement>("#path")?.select());
      } else if (event.key === "e") {
        const edit = document.querySelector<HTMLButtonElement>("#edit");
        edit?.click();
        if (edit !== null) {
          event.preventDefault();
          requestAnimationFrame(() => document.querySelector("textarea")?.focus());
        }
      } else if (event.key === "?") toggleHelp();
    };
    addEventListener("keydown", onKey);
    return () => {
      removeEventListener("keydown", onKey);
    };
  }, []);
}

function App(): JSX.Element {
  const view = useSignal<View>(viewOf(location.hash));
  const isAuthOn = useSignal<boolean | undefined>(undefined);
  const showsHelp = useSignal(false);
  const asked = client.value;
  const go = (next: View): void => {
    view.value = next;
    history.replaceState(null, "", `#${next}`);
  };
  useKeyboard(go, () => (showsHelp.value = !showsHelp.value));
  useEffect(() => {
    asked.request({ method: "GET", path: "/v2/auth/enable" }).then(
      ({ body }) => {
        isAuthOn.value = (JSON.parse(body) as { enabled?: boolean }).enabled === true;
      },
      () => undefined,
    );
  }, [asked, view.value]);
  useEffect(gatherHealth, [asked]);
  useEffect(() => {
    document.documentElement.lang = language.value === 0 ? "en" : "zh";
  }, [language.value]);
  const isOpen = isAuthOn.value === false && !LOOPBACK.has(location.hostname);
  return (
    <>
      {isOpen && (
        <div class="bar" role="alert">
          {say("authOff")}
        </div>
      )}
      <header>
        <strong>etcd</strong>
        <nav aria-label="etcd">
          {VIEWS.map((name) => (
            <button
              key={name}
              aria-current={view.value === name ? "page" : undefined}
              onClick={() => {
                go(name);
              }}
            >
              {say(name)}
            </button>
          ))}
        </nav>
        <button
          lang={language.value === 0 ? "zh" : "en"}
          onClick={() => (language.value = language.value === 0 ? 1 : 0)}
        >
          {language.value === 0 ? "中文" : "English"}
        </button>
        <SignIn />
      </header>
      <main>
        {showsHelp.value && (
          <p class="card">
            <strong>{say("help")}:</strong> {say("helpText")}
          </p>
        )}
        {view.value === "cluster" && <ClusterView />}
        {view.value === "keys" && <KeysView />}
        {view.value === "watch" && <WatchView />}
        {view.value === "health" && <HealthView />}
        {view.value === "access" && <AccessView isAuthOn={isAuthOn.value} />}
      </main>
      <Dialog />
    </>
  );
}

const root = document.querySelector("#app");
if (root !== null) render(<App />, root);
