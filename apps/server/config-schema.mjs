/**
 * `npm run config:schema`: writes docs/configuration.schema.json, the JSON schema of the configuration file, from
 * the table of flags.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { format } from "prettier";
import { configSchema } from "./src/config/config-schema.ts";

const path = join(import.meta.dirname, "..", "..", "docs", "configuration.schema.json");
const text = JSON.stringify(configSchema());
writeFileSync(path, await format(text, { parser: "json", printWidth: 100 }));
