/** A progress bar on standard error. Loaded only when that is a terminal. */
import { Format, Presets, SingleBar } from "cli-progress";

export interface Bar {
  update(bytes: number): void;
  stop(): void;
}

const megabyte = 1_000_000;

/** Starts a bar; without a known total it counts without a percentage. */
export function startBar(totalBytes: number | undefined): Bar {
  const inMegabytes = (value: number): string => `${(value / megabyte).toFixed(1)} MB`;
  const bar = new SingleBar(
    {
      format: (options, params) => {
        const done = inMegabytes(params.value);
        if (totalBytes === undefined) return `saving ${done}`;
        const drawn = Format.BarFormat(params.progress, options);
        return `saving ${drawn} ${Math.floor(params.progress * 100)}% ${done} of ${inMegabytes(totalBytes)}`;
      },
      clearOnComplete: true,
      hideCursor: true,
      stream: process.stderr,
    },
    Presets.shades_classic,
  );
  bar.start(totalBytes ?? 0, 0);
  return {
    update: (bytes) => {
      if (totalBytes === undefined) bar.setTotal(bytes);
      bar.update(bytes);
    },
    stop: () => {
      bar.stop();
    },
  };
}
