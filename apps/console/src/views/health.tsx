/** Ten minutes of every member's health, with the thresholds of the alerts drawn in. */
import type { JSX } from "preact";
import { health, healthProblem } from "../state/health.ts";
import { byMember, byMethod, byPair } from "../state/series.ts";
import { thresholds } from "../state/thresholds.ts";
import { say } from "../state/words.ts";
import { Chart } from "./chart.tsx";
import { Problem, sizeText } from "./parts.tsx";

function rate(value: number): string {
  return `${value >= 10 ? Math.round(value) : Number(value.toFixed(1))}/s`;
}

function time(value: number): string {
  if (value >= 1) return `${Number(value.toFixed(2))} s`;
  return `${Number((value * 1000).toFixed(value < 0.01 ? 1 : 0))} ms`;
}

function count(value: number): string {
  return String(Math.round(value));
}

/** A percentile of nothing is none. */
const orNothing = (value: number): number | null => (value === 0 ? null : value);

export function HealthView(): JSX.Element {
  const members = health.value;
  const silent = members.filter(({ problem }) => problem !== undefined);
  return (
    <>
      <h1>{say("health")}</h1>
      <Problem text={healthProblem.value} />
      {silent.map(({ id, name, problem }) => (
        <p key={id} class="bad">
          {name || id}: {say(problem ?? "down")}
        </p>
      ))}
      <div class="charts">
        <Chart title={say("requests")} lines={byMethod(members, "perSecond")} show={rate} />
        <Chart title={say("requestTime")} lines={byMethod(members, "p99Seconds")} show={time} />
        <Chart
          title={say("syncTime")}
          lines={byMember(members, (sample) => orNothing(sample.fsyncP99Seconds))}
          show={time}
          threshold={thresholds.sync}
        />
        <Chart
          title={say("loopDelay")}
          lines={byMember(members, (sample) => sample.loopDelaySeconds)}
          show={time}
          threshold={thresholds.loop}
        />
        <Chart
          title={say("roundTrips")}
          lines={byPair(members)}
          show={time}
          threshold={thresholds.roundTrip}
        />
        <Chart
          title={say("store")}
          lines={byMember(members, (sample) => sample.storeBytes)}
          show={sizeText}
        />
        <Chart
          title={say("proposals")}
          lines={byMember(members, (sample) => sample.proposalsPerSecond)}
          show={rate}
        />
        <Chart
          title={say("pending")}
          lines={byMember(members, (sample) => sample.pendingProposals)}
          show={count}
        />
      </div>
    </>
  );
}
