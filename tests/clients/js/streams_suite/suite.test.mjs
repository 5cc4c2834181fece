// The conformance suite of Durable Streams, against the server at AT; `run.py` chooses its groups.
import { runConformanceTests } from "@durable-streams/server-conformance-tests";

runConformanceTests({ baseUrl: process.env.AT, longPollTimeoutMs: 45_000 });
