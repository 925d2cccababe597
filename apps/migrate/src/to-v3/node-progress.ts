/** A bar on standard error for nodes: how many, how fast, how long to go. Only where that is a terminal. */

export interface NodeProgress {
  update(done: number, total: number): void;
  /** Removes the bar; call before writing anything else. */
  stop(): void;
}

const EVERY_MS = 100;

export async function startNodeProgress(): Promise<NodeProgress> {
  if (!process.stderr.isTTY) return { update: () => undefined, stop: () => undefined };
  const { Format, Presets, SingleBar } = await import("cli-progress");
  let bar: InstanceType<typeof SingleBar> | undefined;
  let started = 0;
  let shown = 0;
  const stop = (): void => {
    bar?.stop();
    bar = undefined;
  };
  const start = (total: number): InstanceType<typeof SingleBar> => {
    started = performance.now();
    const drawn = new SingleBar(
      {
        format: (options, { progress, value, total: all }) =>
          `copying ${Format.BarFormat(progress, options)} ` +
          describePace(value, all, performance.now() - started),
        clearOnComplete: true,
        hideCursor: true,
        stream: process.stderr,
      },
      Presets.shades_classic,
    );
    drawn.start(total, 0);
    return drawn;
  };
  return {
    update: (done, total) => {
      // Following looks at nodes too, beyond what was counted.
      if (done > total) return;
      const now = performance.now();
      if (bar !== undefined && now - shown < EVERY_MS && done < total) return;
      bar ??= start(total);
      bar.update(done);
      shown = now;
      if (done === total) stop();
    },
    stop,
  };
}

/** "1200 of 5000, 600/s, 6 s left". */
function describePace(done: number, total: number, elapsedMs: number): string {
  const perSecond = done / Math.max(elapsedMs / 1000, 0.001);
  const left = perSecond === 0 ? undefined : Math.ceil((total - done) / perSecond);
  const wait = left === undefined ? "" : `, ${describeSeconds(left)} left`;
  return `${done} of ${total}, ${Math.round(perSecond)}/s${wait}`;
}

function describeSeconds(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}
