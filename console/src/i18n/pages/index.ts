/** Words of each page, both languages of a page in one file. */

import * as ask from "./ask";
import * as cases from "./cases";
import * as copy from "./copy";
import * as data from "./data";
import * as debug from "./debug";
import * as experiments from "./experiments";
import * as extraction from "./extraction";
import * as findings from "./findings";
import * as first from "./first";
import * as flows from "./flows";
import * as graph from "./graph";
import * as interest from "./interest";
import * as keys from "./keys";
import * as list from "./list";
import * as models from "./models";
import * as prompts from "./prompts";
import * as run from "./run";
import * as runs from "./runs";
import * as settings from "./settings";
import * as share from "./share";
import * as signIn from "./signIn";
import * as states from "./states";
import * as story from "./story";
import * as tools from "./tools";
import * as usage from "./usage";

export const zh = {
  run: run.zh,
  runs: runs.zh,
  settings: settings.zh,
  first: first.zh,
  debug: debug.zh,
  cases: cases.zh,
  data: data.zh,
  copy: copy.zh,
  experiments: experiments.zh,
  interest: interest.zh,
  keys: keys.zh,
  list: list.zh,
  models: models.zh,
  prompts: prompts.zh,
  usage: usage.zh,
  flows: flows.zh,
  extraction: extraction.zh,
  graph: graph.zh,
  story: story.zh,
  tools: tools.zh,
  share: share.zh,
  ask: ask.zh,
  signIn: signIn.zh,
  states: states.zh,
  findings: findings.zh,
};

export const en = {
  run: run.en,
  runs: runs.en,
  settings: settings.en,
  first: first.en,
  debug: debug.en,
  cases: cases.en,
  data: data.en,
  copy: copy.en,
  experiments: experiments.en,
  interest: interest.en,
  keys: keys.en,
  list: list.en,
  models: models.en,
  prompts: prompts.en,
  usage: usage.en,
  flows: flows.en,
  extraction: extraction.en,
  graph: graph.en,
  story: story.en,
  tools: tools.en,
  share: share.en,
  ask: ask.en,
  signIn: signIn.en,
  states: states.en,
  findings: findings.en,
};
