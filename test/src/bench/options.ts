// What may be said on the command line of `npm run bench`.

import { parseArgs } from "node:util";

export const ROW_NAMES = [
  "fan-out",
  "post",
  "reach",
  "intake",
  "signed-acks",
  "r3",
  "deliver",
  "hot",
  "ingest",
  "idle",
  "handshake",
  "resume",
  "latency",
  "storm",
  "stuck",
  "growth",
] as const;
export type RowName = (typeof ROW_NAMES)[number];
const USUAL_ROWS = ROW_NAMES.filter((name) => name !== "growth"); // it alone takes minutes

export interface BenchOptions {
  rows: readonly RowName[];
  /** Measured rounds of each side, after the warm-up. */
  rounds: number;
  /** Of one side in one round. */
  seconds: number;
  /** Small sizes where a row has sizes. */
  quick: boolean;
  /** How long growth may take: a size that would not be done by then is left out. */
  minutes: number;
  /** Where the results go; undefined = a file of its own under .outcry/bench. */
  json: string | undefined;
  /** Folder for a CPU profile of each row's service, taken in one more round that is not counted. */
  profile: string | undefined;
}

export const HELP = `npm run bench [-- options]
npm run bench -- compare A B      two saved runs, row by row

Measures Outcry against raw loops on the same servers, in turns within one run, and prints ratios.

  --rows a,b       of: ${ROW_NAMES.join(", ")}
                   (default: ${USUAL_ROWS.join(", ")}; \`all\` is these and growth)
  --rounds n       measured rounds per side, at least 1        (default: 5)
  --seconds s      length of one side in one round             (default: 1)
  --quick          2 rounds of 0.2 s and small sizes of growth: a sample, no figures
  --minutes n      how long growth may take; a size that would take longer is left out        (default: 10)
  --json file      where the results go, and beside it the plot as .svg (default: .outcry/bench/<time>.json)
  --profile dir    one more round per row with a CPU profile of the service, as .cpuprofile files
  --help           this text

Rows
  fan-out   1,000, 100 and 10 nodes, 8 intents in flight: delivered and their acks recorded
  post      POST /v1/intents accepted per second, 1, 16 and 128 connections
  reach     POST until the last of 100 nodes has the intent, 99th percentile
  intake    quotes stored, verified, ranked and announced
  signed-acks
            1,000 and 100 nodes whose acks are signed and verified, against the same nodes with plain acks
  r3        post (16, 128), fan-out (100 nodes) and reach on three local nats-servers with three replicas
  deliver   events to 1,000 sockets of the gateway, 1 and 8 at a time: deliveries per second of its CPU
  ingest    republished events heard by a gateway without subscribers, 20,000/s: CPU per event
  idle      memory of 10,000 idle connections, each with one subscription
  handshake connections with auth and one subscription, per second of the gateway's CPU
  resume    100 events behind a cursor, from the ring and from the record
  latency   published → a client has it, at half of the load that a bare server takes, 99th percentile
  storm     10,000 clients that come back with their cursors behind a crash of the gateway: nothing lost, nothing doubled
  stuck     950 clients beside 50 that never read
  hot       one event to 10,000 sockets: the longest turn of the event loop
  growth    cost of one item at 10, 100, 1,000, 10,000 nodes and at 1,000, 10,000, 100,000, 1,000,000 intents stored, with a
            verdict per step; at most 10 minutes, and 6 GiB of disk under .outcry/bench, removed at the end
`;

export type ReadOptions =
  | { kind: "run"; options: BenchOptions }
  | { kind: "help" }
  | { kind: "compare"; files: [before: string, after: string] }
  | { kind: "wrong"; message: string };

export function readOptions(args: readonly string[]): ReadOptions {
  try {
    const { values, positionals } = parseArgs({
      args: args.filter((arg) => arg !== "--"),
      allowPositionals: true,
      options: {
        rows: { type: "string" },
        rounds: { type: "string" },
        seconds: { type: "string" },
        quick: { type: "boolean", default: false },
        minutes: { type: "string" },
        json: { type: "string" },
        profile: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return { kind: "help" };
    const [verb, before, after, ...rest] = positionals;
    if (verb === "compare" && before !== undefined && after !== undefined && rest.length === 0)
      return { kind: "compare", files: [before, after] };
    if (verb === "compare") return { kind: "wrong", message: "compare takes two files of saved runs" };
    if (verb !== undefined) return { kind: "wrong", message: `there is nothing like ${verb} to do` };
    const rows = rowsOf(values.rows);
    const unknown = rows.find((name) => !ROW_NAMES.includes(name as RowName));
    if (unknown !== undefined)
      return { kind: "wrong", message: `there is no row ${unknown}; there are ${ROW_NAMES.join(", ")}` };
    const rounds = Number(values.rounds ?? (values.quick ? 2 : 5));
    const seconds = Number(values.seconds ?? (values.quick ? 0.2 : 1));
    if (!Number.isInteger(rounds) || rounds < 1) return { kind: "wrong", message: "--rounds must be 1 or more" };
    if (!(seconds > 0 && seconds <= 60)) return { kind: "wrong", message: "--seconds must be above 0 and at most 60" };
    const minutes = Number(values.minutes ?? 10);
    if (!(minutes > 0 && minutes <= 60)) return { kind: "wrong", message: "--minutes must be above 0 and at most 60" };
    const { json, profile } = values;
    return {
      kind: "run",
      options: { rows: rows as RowName[], rounds, seconds, quick: values.quick, minutes, json, profile },
    };
  } catch (error) {
    return { kind: "wrong", message: error instanceof Error ? error.message : String(error) };
  }
}

function rowsOf(said: string | undefined): readonly string[] {
  if (said === undefined) return USUAL_ROWS;
  return said === "all" ? ROW_NAMES : said.split(",").map((name) => name.trim());
}
