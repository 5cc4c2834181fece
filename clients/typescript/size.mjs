/** What the core weighs, as a browser gets it: bundled, made small, gzipped. */

import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const LIMITS = {
  "src/index.ts": 4736,
  "src/shared.ts": 5120,
  "src/conversation.ts": 3328,
  "src/seeds/index.ts": 3200,
  "src/vue.ts": 6176,
  "src/react.ts": 6176,
};
/** Packages that a page has already. */
const external = ["vue", "react"];

let isOver = false;
for (const [input, limit] of Object.entries(LIMITS)) {
  const bundle = await rolldown({ input, external, logLevel: "silent" });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  const bytes = gzipSync(output[0].code, { level: 9 }).length;
  isOver ||= bytes > limit;
  process.stdout.write(`${input}: ${bytes} bytes of at most ${limit}\n`);
}
process.exit(isOver ? 1 : 0);
