/** One chart: lines over the last ten minutes, and the threshold of the alert, if it has one. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import { type Line, newestOf, seconds } from "../state/series.ts";

export interface ChartProps {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly show: (value: number) => string;
  readonly threshold?: { readonly value: number; readonly alert: string };
}

const HEIGHT_PX = 180;

/** A colour for each line, of the style sheet, so that they fit light and dark. */
const COLOURS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"];

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function drawThreshold(plot: uPlot, value: number): void {
  const y = plot.valToPos(value, "y", true);
  const { left, top, width, height } = plot.bbox;
  if (y < top || y > top + height) return;
  const { ctx } = plot;
  ctx.save();
  ctx.strokeStyle = colour("--bad");
  ctx.setLineDash([6, 4]);
  ctx.beginPath();
  ctx.moveTo(left, y);
  ctx.lineTo(left + width, y);
  ctx.stroke();
  ctx.restore();
}

function optionsOf(props: ChartProps, width: number): uPlot.Options {
  const { lines, show, threshold } = props;
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 } };
  return {
    ...{ width, height: HEIGHT_PX },
    cursor: { show: false },
    legend: { show: false },
    scales: {
      x: { time: false },
      y: {
        range: (_plot, _min, max) => {
          // The threshold comes into sight when a line comes near it.
          const top = threshold !== undefined && max > threshold.value / 4 ? threshold.value : 0;
          return [0, Math.max(max, top) * 1.1 || 1];
        },
      },
    },
    axes: [
      {
        ...axis,
        incrs: [60, 120, 300],
        values: (_plot, values) => values.map((at) => `${Math.round(at / 60)} min`),
      },
      { ...axis, size: 76, values: (_plot, values) => values.map(show) },
    ],
    series: [
      {},
      ...lines.map((_, at) => ({
        stroke: colour(COLOURS[at % COLOURS.length] ?? ""),
        width: 2,
        spanGaps: false,
        points: { show: false },
      })),
    ],
    hooks: {
      draw:
        threshold === undefined
          ? []
          : [
              (plot) => {
                drawThreshold(plot, threshold.value);
              },
            ],
    },
  };
}

function dataOf(lines: readonly Line[]): uPlot.AlignedData {
  return [[...seconds], ...lines.map(({ values }) => [...values])];
}

/** Draws anew when lines come or go, the width changes, or light turns to dark. */
function usePlot(props: ChartProps): { current: HTMLDivElement | null } {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const labels = props.lines.map(({ label }) => label).join("\t");
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    let isGone = false;
    const draw = async (): Promise<void> => {
      const { default: Plot } = await import("uplot");
      if (isGone) return;
      plot.current?.destroy();
      const width = Math.max(200, element.clientWidth);
      plot.current = new Plot(optionsOf(props, width), dataOf(props.lines), element);
    };
    void draw();
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const again = (): void => void draw();
    const sizes = new ResizeObserver(() => {
      plot.current?.setSize({ width: Math.max(200, element.clientWidth), height: HEIGHT_PX });
    });
    sizes.observe(element);
    dark.addEventListener("change", again);
    return () => {
      isGone = true;
      sizes.disconnect();
      dark.removeEventListener("change", again);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [labels]);
  useEffect(() => {
    plot.current?.setData(dataOf(props.lines));
  }, [props.lines]);
  return box;
}

export function Chart(props: ChartProps): JSX.Element {
  const { title, lines, show, threshold } = props;
  const box = usePlot(props);
  const newest = lines.map((line) => ({ label: line.label, value: newestOf(line) }));
  const isOver = newest.some(
    ({ value }) => threshold !== undefined && value !== null && value > threshold.value,
  );
  return (
    <figure class="card chart">
      <figcaption>
        <strong class={isOver ? "bad" : ""}>{title}</strong>
        {threshold !== undefined && (
          <span class="soft">
            {threshold.alert} &gt; {show(threshold.value)}
          </span>
        )}
      </figcaption>
      <div ref={box} class="plot" aria-hidden="true" />
      <ul class="legend">
        {newest.map(({ label, value }, at) => (
          <li key={label} class={`line${at % COLOURS.length}`}>
            {label} <span class="mono">{value === null ? "–" : show(value)}</span>
          </li>
        ))}
      </ul>
    </figure>
  );
}
