/** The members: what they are, how they are, and what can be done with them. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { JSX } from "preact";
import {
  changeMembers,
  client,
  type ClusterFigures,
  clusterFigures,
  type MemberFigures,
  reasonOf,
} from "../state/api.ts";
import { say } from "../state/words.ts";
import { ask } from "./dialog.tsx";
import { Copy, Problem, quoted, sizeText } from "./parts.tsx";

const EVERY_MS = 2000;

function summary({ members }: ClusterFigures): string {
  const voters = members.filter(({ isLearner }) => !isLearner);
  const up = voters.filter(({ problem }) => problem !== "down").length;
  const spare = up - (Math.floor(voters.length / 2) + 1);
  const all = members.filter(({ problem }) => problem !== "down").length;
  const tail =
    spare < 0 ? say("noQuorum") : spare === 1 ? say("toleratesOne") : say("tolerates", spare);
  return say("membersUp", all, members.length) + tail;
}

interface RowProps {
  readonly member: MemberFigures;
  readonly all: ClusterFigures;
  readonly act: (change: () => Promise<void>) => void;
}

function Actions({ member, all, act }: RowProps): JSX.Element {
  const { id, name, isLearner } = member;
  const etcdctl = (words: string): JSX.Element => (
    <Copy what={`etcdctl ${words}`} text={`etcdctl ${words}`} isShort />
  );
  return (
    <>
      {!isLearner && id !== all.leader && member.problem === undefined && (
        <span class="row">
          <button
            aria-label={`${say("moveLeader")}: ${name}`}
            onClick={() => {
              act(() => changeMembers("POST", `/${id}/move-leader`));
            }}
          >
            {say("moveLeader")}
          </button>
          {etcdctl(`move-leader ${id}`)}
        </span>
      )}
      {isLearner && (
        <span class="row">
          <button
            onClick={() => {
              act(() => changeMembers("POST", `/${id}/promote`));
            }}
          >
            {say("promote")}
          </button>
          {etcdctl(`member promote ${id}`)}
        </span>
      )}
      <span class="row">
        <button
          class="bad"
          aria-label={`${say("remove")}: ${name}`}
          onClick={() => {
            void ask({
              title: say("confirmMember", name || id),
              ...{ action: say("remove"), isDangerous: true, required: name || id },
            }).then((typed) => {
              if (typed !== undefined) act(() => changeMembers("DELETE", `/${id}`));
            });
          }}
        >
          {say("remove")}
        </button>
        {etcdctl(`member remove ${id}`)}
      </span>
    </>
  );
}

function Row(props: RowProps): JSX.Element {
  const { member, all } = props;
  const { figures, problem } = member;
  const leader = all.members.find(({ id }) => id === all.leader)?.figures;
  const end = figures?.certificateEnd ?? 0;
  return (
    <tr>
      <th scope="row">
        {member.name || "–"} <div class="soft mono">{member.id}</div>
      </th>
      <td class={problem === undefined ? "" : "bad"}>
        {problem === undefined ? figures?.role : say(problem)}
      </td>
      <td>{figures?.version}</td>
      <td>{figures?.applied}</td>
      <td>{figures && leader ? Math.max(0, leader.committed - figures.applied) : ""}</td>
      <td>{member.roundTripMs === undefined ? "–" : `${member.roundTripMs.toFixed(1)} ms`}</td>
      <td>{figures && sizeText(figures.storeBytes)}</td>
      <td>
        {figures && sizeText(figures.logBytes)}
        <div class="soft">{figures && say("entries", figures.logEntries)}</div>
      </td>
      <td>{figures && sizeText(figures.freeBytes)}</td>
      <td class={figures?.alarms.length ? "bad" : ""}>
        {figures && (figures.alarms.join(", ") || say("none"))}
      </td>
      <td>{end === 0 ? "–" : new Date(end * 1000).toISOString().slice(0, 10)}</td>
      <td>
        <Actions {...props} />
      </td>
    </tr>
  );
}

export function ClusterView(): JSX.Element {
  const state = useSignal<ClusterFigures | undefined>(undefined);
  const problem = useSignal("");
  const actionProblem = useSignal("");
  const url = useSignal("");
  const asked = client.value;
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const turn = async (): Promise<void> => {
      try {
        state.value = await clusterFigures(stop.signal);
        problem.value = "";
      } catch (error) {
        if (!stop.signal.aborted) problem.value = reasonOf(error);
      }
      if (!stop.signal.aborted) timer = window.setTimeout(() => void turn(), EVERY_MS);
    };
    void turn();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [asked]);
  const act = (change: () => Promise<void>): void => {
    actionProblem.value = "";
    change().catch((error: unknown) => {
      actionProblem.value = reasonOf(error);
    });
  };
  const all = state.value;
  const heads = [
    "name",
    "role",
    "version",
    "index",
    "lag",
    "roundTrip",
    "store",
    "log",
    "disk",
    "alarms",
    "certificate",
    "actions",
  ] as const;
  return (
    <>
      <h1>{all === undefined ? say("cluster") : summary(all)}</h1>
      <Problem text={problem.value} />
      <Problem text={actionProblem.value} />
      <div class="scroll" tabIndex={0} role="region" aria-label={say("cluster")}>
        <table>
          <thead>
            <tr>
              {heads.map((head) => (
                <th scope="col" key={head}>
                  {say(head)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {all?.members.map((member) => (
              <Row key={member.id} {...{ member, all, act }} />
            ))}
          </tbody>
        </table>
      </div>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          act(() => changeMembers("POST", "", { peerURLs: [url.value], isLearner: true }));
        }}
      >
        <label>
          {say("peerUrl")}{" "}
          <input
            value={url.value}
            required
            placeholder="http://10.0.0.4:2380"
            onInput={(e) => {
              url.value = e.currentTarget.value;
            }}
          />
        </label>
        <button>{say("addLearner")}</button>
        <Copy what="etcdctl" text={`etcdctl member add NAME ${quoted(url.value)} --learner`} />
      </form>
    </>
  );
}
