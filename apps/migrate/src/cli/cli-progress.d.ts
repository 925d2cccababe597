/** The part of cli-progress that is used here; the package brings no types. */
declare module "cli-progress" {
  import type { Writable } from "node:stream";

  export interface Options {
    readonly barsize?: number;
  }
  export interface Params {
    readonly progress: number;
    readonly value: number;
    readonly total: number;
  }
  export interface BarOptions {
    readonly format?: (options: Options, params: Params) => string;
    readonly clearOnComplete?: boolean;
    readonly hideCursor?: boolean;
    readonly stream?: Writable;
  }
  export const Format: { BarFormat(progress: number, options: Options): string };
  export const Presets: { readonly shades_classic: object };
  export class SingleBar {
    constructor(options: BarOptions, preset: object);
    start(total: number, value: number): void;
    setTotal(total: number): void;
    update(value: number): void;
    stop(): void;
  }
}
