// Reads an extraction as pages have been written to: with fetch, each read by itself, nothing
// carried over to the next one. Prints one JSON array for each callback. Half a frame in a read
// is half a document, which throws.
const [, , url, method = "POST"] = process.argv;
const tell = (...call) => console.log(JSON.stringify(call));

async function watch(on) {
  const answer = await fetch(url, { method });
  const body = answer.body.getReader();
  const utf8 = new TextDecoder();
  for (;;) {
    const { done, value } = await body.read();
    if (done) return;
    for (const line of utf8.decode(value, { stream: true }).split("\n")) {
      if (!line.startsWith("data: ")) continue;
      const said = JSON.parse(line.slice("data: ".length));
      if (said.type === "llm_chunk") on.chunk(said.content);
      else if (said.type === "progress") on.progress(said.message);
      else if (said.type === "done") on.done(said);
      else if (said.type === "error") on.error(said.message);
    }
  }
}

try {
  await watch({
    chunk: (text) => tell("chunk", text),
    progress: (message) => tell("progress", message),
    done: (data) => tell("done", data),
    error: (message) => tell("error", message),
  });
  tell("resolved");
} catch (error) {
  tell("rejected", String(error));
}
