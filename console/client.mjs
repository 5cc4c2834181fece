/**
 * The client as ES modules that a page imports from the server: `_console/client/`.
 *
 * `shared.js` imports the core from `unspool-client.js`, so a page that has both has the core once.
 * `conversation.js` stands alone.
 */

import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const SOURCES = at("../clients/typescript/src/");
const CORE = "unspool-client.js";
const MODULES = {
  "index.ts": CORE,
  "shared.ts": "shared.js",
  "conversation.ts": "conversation.js",
};

const coreFromBeside = {
  name: "core-from-beside",
  resolveId: (id, importer) =>
    importer?.endsWith("/shared.ts") ? { id: `./${CORE}`, external: true } : null,
};

for (const [source, file] of Object.entries(MODULES)) {
  const plugins = file === CORE ? [] : [coreFromBeside];
  const bundle = await rolldown({ input: SOURCES + source, plugins, logLevel: "warn" });
  const to = at(`../src/unspool/server/_console/client/${file}`);
  await bundle.write({ file: to, format: "esm", minify: true });
}
