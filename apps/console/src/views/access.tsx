/** Who may do what: users, roles, and what those without credentials may. */
import type { Role, User } from "@etcd2/client";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { JSX } from "preact";
import { client, reasonOf } from "../state/api.ts";
import { say } from "../state/words.ts";
import { Problem } from "./parts.tsx";

interface Shown {
  readonly users: readonly User[];
  readonly roles: readonly Role[];
}

function RoleCard({ role }: { role: Role }): JSX.Element {
  return (
    <div class="card">
      <strong>{role.name === "guest" ? `${role.name}: ${say("guest")}` : role.name}</strong>
      <dl>
        <dt>{say("mayRead")}</dt>
        <dd class="mono">{role.permissions.read.join(" ") || "–"}</dd>
        <dt>{say("mayWrite")}</dt>
        <dd class="mono">{role.permissions.write.join(" ") || "–"}</dd>
      </dl>
    </div>
  );
}

export function AccessView({ isAuthOn }: { isAuthOn: boolean | undefined }): JSX.Element {
  const shown = useSignal<Shown | undefined>(undefined);
  const problem = useSignal("");
  const { auth } = client.value;
  useEffect(() => {
    shown.value = undefined;
    problem.value = "";
    Promise.all([auth.users.list(), auth.roles.list()]).then(
      ([users, roles]) => {
        shown.value = { users, roles };
      },
      (error: unknown) => {
        problem.value = reasonOf(error);
      },
    );
  }, [auth]);
  return (
    <>
      <h1>{isAuthOn === true ? say("authOn") : say("authOff")}</h1>
      <Problem text={problem.value} />
      <h2>{say("users")}</h2>
      <div class="cards">
        {shown.value?.users.map(({ name, roles }) => (
          <div class="card" key={name}>
            <strong>{name}</strong> <span class="soft">{roles.join(", ")}</span>
          </div>
        ))}
      </div>
      <h2>{say("roles")}</h2>
      <div class="cards">
        {shown.value?.roles.map((role) => (
          <RoleCard key={role.name} role={role} />
        ))}
      </div>
    </>
  );
}
