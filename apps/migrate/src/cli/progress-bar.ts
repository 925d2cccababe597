/** A progress bar on standard error, only where that is a terminal. */
import type { ProgressSink } from "../sources/source.ts";

const MEGABYTE = 1_000_000;
const TITLES = { check: "checking", replay: "importing" } as const;

interface Bar {
  readonly phase: keyof typeof TITLES;
  update(bytes: number): void;
  stop(): void;
}

export interface Progress {
  readonly sink: ProgressSink;
  /** Removes the bar; call before writing anything else. */
  stop(): void;
}

/** Progress that is shown on a terminal and nowhere else. */
export async function startProgress(): Promise<Progress> {
  if (!process.stderr.isTTY) return { sink: () => undefined, stop: () => undefined };
  const { Format, Presets, SingleBar } = await import("cli-progress");
  let bar: Bar | undefined;
  const start = (phase: Bar["phase"], total: number): Bar => {
    const drawn = new SingleBar(
      {
        format: (options, params) =>
          `${TITLES[phase]} ${Format.BarFormat(params.progress, options)} ` +
          `${Math.floor(params.progress * 100)}% of ${(params.total / MEGABYTE).toFixed(1)} MB`,
        clearOnComplete: true,
        hideCursor: true,
        stream: process.stderr,
      },
      Presets.shades_classic,
    );
    drawn.start(total, 0);
    return {
      phase,
      update: (bytes) => {
        drawn.update(bytes);
      },
      stop: () => {
        drawn.stop();
      },
    };
  };
  return {
    sink: (phase, done, total) => {
      if (bar?.phase !== phase) {
        bar?.stop();
        bar = start(phase, total);
      }
      bar.update(done);
    },
    stop: () => {
      bar?.stop();
      bar = undefined;
    },
  };
}
