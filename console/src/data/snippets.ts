/** A request as a person would write it: for a terminal, Python and JavaScript. */

export type SnippetKind = "curl" | "Python" | "JavaScript";

export function snippet(kind: SnippetKind, path: string, body: unknown): string {
  const url = `${location.origin}${path}`;
  const json = JSON.stringify(body, null, 2);
  if (kind === "curl") {
    const quoted = json.replaceAll("'", "'\\''");
    return `curl -N -X POST ${url} \\\n  -H 'Content-Type: application/json' \\\n  -d '${quoted}'\n`;
  }
  if (kind === "Python") {
    return `import json

import httpx

body = json.loads(r'''${json.replaceAll("'''", "\\'\\'\\'")}''')

with httpx.stream("POST", "${url}", json=body, timeout=None) as answer:
    for line in answer.iter_lines():
        if line.startswith("data: "):
            print(line[6:])
`;
  }
  return `import { openRun } from "unspool-client";

const run = openRun("${url}", { body: ${json} });
for await (const event of run) {
  if (event.type === "text.delta") console.log(event.data.text);
}
`;
}
