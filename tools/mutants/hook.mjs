// Loads one file with a planted bug: MUTANT is the JSON of { file, find, replace }.
import { registerHooks } from "node:module";

const { file, find, replace } = JSON.parse(process.env.MUTANT ?? "{}");
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (file === undefined || !url.endsWith(file)) return loaded;
    return { ...loaded, source: String(loaded.source).replace(find, () => replace) };
  },
});
