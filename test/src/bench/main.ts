// npm run bench: how fast Outcry is, as ratios to raw loops that run in turns with it on the same servers.
// It measures and shows; what the goals are and why stands in the design, what was done about them in docs/performance.md.

import { type FoundServers, findServers } from "@outcry/servers";
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import path from "node:path";
import { repository } from "../workspaces.js";
import { compareRuns, readRun } from "./compare.js";
import type { Figures } from "./measure.js";
import { type BenchOptions, HELP, type RowName, readOptions } from "./options.js";
import { type Growth, growthTable } from "./growth.js";
import { growthPlot } from "./growth-plot.js";
import { plot } from "./plot.js";
import { readIntents } from "./real-intents.js";
import { deliverRow } from "./rows/deliver.js";
import { fanOutRow } from "./rows/fan-out.js";
import { growthRow } from "./rows/growth.js";
import { hotRow } from "./rows/hot.js";
import { intakeRow } from "./rows/intake.js";
import { postRow } from "./rows/post.js";
import { handshakeRow } from "./rows/handshake.js";
import { idleRow } from "./rows/idle.js";
import { ingestRow } from "./rows/ingest.js";
import { latencyRow } from "./rows/latency.js";
import { resumeRow } from "./rows/resume.js";
import { stormRow } from "./rows/storm.js";
import { stuckRow } from "./rows/stuck.js";
import { r3Row } from "./rows/r3.js";
import { reachRow } from "./rows/reach.js";
import type { Row } from "./rows/row.js";
import { signedAcksRow } from "./rows/signed-acks.js";
import { conditions, costTable, resultTable } from "./table.js";

const ratioRows: Record<Exclude<RowName, "growth">, Row> = {
  "fan-out": fanOutRow,
  post: postRow,
  reach: reachRow,
  intake: intakeRow,
  "signed-acks": signedAcksRow,
  r3: r3Row,
  deliver: deliverRow,
  hot: hotRow,
  stuck: stuckRow,
  storm: stormRow,
  resume: resumeRow,
  latency: latencyRow,
  ingest: ingestRow,
  idle: idleRow,
  handshake: handshakeRow,
};
const LOAD_PER_CPU_TOLD = 2; // growth alone keeps it at about one
const begunMs = Date.now();
const folder = path.join(repository, ".outcry", "bench");

const read = readOptions(process.argv.slice(2));
switch (read.kind) {
  case "help":
    process.stdout.write(HELP);
    break;
  case "wrong":
    process.stderr.write(`${read.message}\n\n${HELP}`);
    process.exitCode = 2;
    break;
  case "compare":
    compare(...read.files);
    break;
  case "run":
    await bench(read.options).catch((error: unknown) => {
      process.stderr.write(`bench: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exitCode = 1;
    });
}

function compare(before: string, after: string): void {
  try {
    process.stdout.write(`${compareRuns(readRun(before), readRun(after))}\n`);
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}

async function bench(options: BenchOptions): Promise<void> {
  const servers = await findServers({
    dataDir: path.join(repository, ".outcry"),
    env: process.env,
    progress: (line) => say("servers", line),
  });
  const machine = describeMachine(servers);
  say("bench", `${machine.cpus} CPUs (${machine.model}), load average ${machine.loadBefore[0]}, ${machine.intents}`);
  if (options.profile) mkdirSync(options.profile, { recursive: true });

  const figures: Figures[] = [];
  const growth: Growth[] = [];
  for (const name of options.rows) {
    say(name, "starting its servers and processes");
    const context = { ...options, servers, folder, progress: (text: string) => say(name, text) };
    if (name === "growth") growth.push(...(await growthRow(context, options)));
    else figures.push(...(await ratioRows[name](context)));
  }
  const results = {
    machine: { ...machine, loadAfter: loadNow() },
    options,
    seconds: Math.round((Date.now() - begunMs) / 1_000),
    figures,
    growth,
  };
  const file = path.resolve(options.json ?? path.join(folder, `${machine.started.replaceAll(":", "-")}.json`));
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
  const pictures = drawn(file, figures, growth, machine);

  if (figures.length > 0)
    process.stdout.write(`\n${resultTable(figures)}\n\n${costTable(figures)}\n\n${conditions(figures)}\n`);
  if (growth.length > 0) process.stdout.write(`\n${growthTable(growth)}\n`);
  const { loadBefore, loadAfter } = results.machine;
  const load = Math.max(loadBefore[0]!, loadAfter[0]!);
  if (growth.length > 0 && load > LOAD_PER_CPU_TOLD * machine.cpus)
    process.stdout.write(
      `\ndisturbed: load average ${load}; what else the machine does may look like growth: repeat it alone\n`,
    );
  process.stdout.write(
    `\nMedians of ${options.rounds} rounds of ${options.seconds} s per side, in turns; a ratio is the median of the rounds' ratios. ` +
      `Everything on one machine with ${machine.cpus} CPUs; load average ${loadBefore[0]} → ${loadAfter[0]}. nats-server ${machine.nats} ` +
      `and redis-server ${machine.redis} sync every write.\n${results.seconds} s; saved as ${path.relative(process.cwd(), file)} and ${pictures.join(" and ")}\n`,
  );
}

/** A picture for ratios and one for growth, as far as there are any. Returns their names. */
function drawn(
  file: string,
  figures: Figures[],
  growth: Growth[],
  machine: ReturnType<typeof describeMachine>,
): string[] {
  const { cpus: cores, node, nats, redis, started } = machine;
  const subtitle = `${started}, ${cores} CPUs, Node ${node}, nats-server ${nats}, Redis ${redis}`;
  const pictures = [
    ...(figures.length === 0 ? [] : [{ end: ".svg", svg: plot(figures, subtitle) }]),
    ...(growth.length === 0 ? [] : [{ end: "-growth.svg", svg: growthPlot(growth, subtitle) }]),
  ];
  return pictures.map(({ end, svg }) => {
    const picture = file.replace(/(\.json)?$/, end);
    writeFileSync(picture, svg);
    return path.basename(picture);
  });
}

function describeMachine({ natsServer, redisServer }: FoundServers) {
  return {
    started: new Date(begunMs).toISOString(),
    node: process.version,
    cpus: availableParallelism(),
    model: cpus()[0]?.model ?? "unknown",
    nats: natsServer.version,
    redis: redisServer.version,
    intents: readIntents().origin,
    loadBefore: loadNow(),
  };
}

function loadNow(): number[] {
  return loadavg().map((load) => Math.round(load * 100) / 100);
}

function say(step: string, text: string): void {
  const seconds = ((Date.now() - begunMs) / 1_000).toFixed(1).padStart(6);
  process.stdout.write(`${seconds} s  ${step.padEnd(8)} ${text}\n`);
}
