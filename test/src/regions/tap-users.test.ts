// The users that `mint-tap-users` makes, between two regions with a domain each: what docs/regions.md gives them works, and the server
// refuses all else by name. Where tap and record share a domain: packages/backbone/src/tap.test.ts.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { connect, credsAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import {
  type Backbone,
  connectBackbone,
  ensureTap,
  INBOX_PREFIXES,
  openBucket,
  readBatch,
  streamHead,
} from "@outcry/backbone";
import { BUCKETS, newId, silentLog, STREAMS, systemClock, tapStream } from "@outcry/protocol";
import { type LeafLayout, startLeafRegions } from "@outcry/regions";
import { foreignSubjects } from "../foreign-subjects.js";
import { repository } from "../workspaces.js";
import { eventually, newLayoutOptions, RegionWorld } from "./region-world.js";

const COMMAND = path.join(repository, "infra", "regions", "dist", "mint-tap-users.js");
const TAP = tapStream("us");
const KV_ACCESS = `KV_${BUCKETS.access}`;
const FOREIGN = foreignSubjects(newId("nod"), newId("nod"), newId("int"));
const USERS = ["gateway", "tap"] as const;
type User = (typeof USERS)[number];

let layout: LeafLayout;
let world: RegionWorld;
let folder: string;
let dataDir: string;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  const options = newLayoutOptions();
  ({ dataDir } = options);
  layout = await startLeafRegions(options);
  world = await RegionWorld.start(layout, options, { urls: [layout.home.url], replicas: 1, region: "eu" });
  folder = path.join(dataDir, "tap-us");
  const { code, err } = await mint(layout.authDir, folder, "us", "eu");
  if (code !== 0) throw new Error(err);
}, 60_000);
afterAll(async () => {
  for (const connection of open) await connection.close();
  await world?.remove();
});

async function mint(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [COMMAND, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const said = { out: "", err: "" };
  child.stdout.on("data", (text: Buffer) => (said.out += text.toString()));
  child.stderr.on("data", (text: Buffer) => (said.err += text.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...said };
}

const credsOf = (user: User, from = folder): string => readFileSync(path.join(from, `${user}.creds`), "utf8");

/** As our own processes connect in `us`; with a domain as they ask for the record. */
async function as(user: User, domain?: string): Promise<Backbone> {
  const backbone = await connectBackbone({
    servers: [layout.region.url],
    credentials: { creds: credsOf(user) },
    name: user,
    inboxPrefix: INBOX_PREFIXES.gateway,
    log: silentLog,
    clock: systemClock,
    ...(domain === undefined ? {} : { domain }),
  });
  open.push(backbone);
  return backbone;
}

/** As whoever stole the file would, with what the server refused. */
async function asThief(user: User): Promise<{ nats: NatsConnection; refused: string[] }> {
  const authenticator = credsAuthenticator(Buffer.from(credsOf(user)));
  const nats = await connect({ servers: layout.region.url, authenticator, reconnect: false });
  open.push(nats);
  const refused: string[] = [];
  void (async () => {
    for await (const status of nats.status()) if (status.type === "error") refused.push(status.error.message);
  })();
  return { nats, refused };
}

/** Every stream of both regions with how many messages it ever took. */
async function streams(): Promise<unknown> {
  const us = await world.connect([layout.region.url]);
  const listed = async (backbone: Backbone) => {
    const { data } = await backbone.request(`${backbone.api}.STREAM.LIST`, Buffer.from("{}"));
    const { streams: all } = JSON.parse(Buffer.from(data).toString()) as {
      streams: { config: { name: string }; state: { last_seq: number; messages: number } }[];
    };
    return all.map(({ config, state }) => `${config.name} ${state.last_seq} ${state.messages}`).toSorted();
  };
  return [await listed(world.record), await listed(us)];
}

interface Rights {
  readonly pub: { readonly allow?: string[]; readonly deny?: string[] };
  readonly sub: { readonly allow?: string[]; readonly deny?: string[] };
}

function rightsIn(creds: string): Rights {
  const jwt = /BEGIN NATS USER JWT-----\s+(\S+)/.exec(creds)![1]!;
  const { nats } = JSON.parse(Buffer.from(jwt.split(".")[1]!, "base64url").toString()) as { nats: Rights };
  return { pub: nats.pub, sub: nats.sub };
}

/** A row of the last table of docs/permissions.md. */
function documented(user: string, withoutDomain = false): Rights {
  const page = readFileSync(path.join(repository, "docs", "permissions.md"), "utf8");
  const row = page.split("\n").find((line) => line.startsWith(`| ${user} `))!;
  const [pub, sub] = row
    .split("|")
    .slice(2, 4)
    .map((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, subject]) => subject!));
  const plain = (subjects: string[]) =>
    withoutDomain ? subjects.map((subject) => subject.replace("$JS.eu.API", "$JS.API")) : subjects;
  return { pub: { allow: plain(pub!) }, sub: { allow: plain(sub!) } };
}

describe("the folder", () => {
  test("holds the two users and nothing of the tree, for nobody else to read", () => {
    expect(readdirSync(folder).toSorted()).toEqual(["gateway.creds", "tap.creds"]);
    for (const user of USERS) expect(statSync(path.join(folder, `${user}.creds`)).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  test("gives each what docs/permissions.md says, with the record's domain and without", async () => {
    const alone = path.join(dataDir, "tap-us-alone");
    expect(await mint(layout.authDir, alone, "us")).toMatchObject({ code: 0 });
    for (const [user, row] of [
      ["gateway", "gateway of tap us"],
      ["tap", "keeper of tap us"],
    ] as const) {
      expect(rightsIn(credsOf(user))).toEqual(documented(row));
      expect(rightsIn(credsOf(user, alone))).toEqual(documented(row, true));
    }
  });
});

describe("between two domains", () => {
  test("the keeper's user makes the tap, deletes it and makes it again", async () => {
    const [local, record] = [await as("tap"), await as("tap", "eu")];
    const ensure = () => ensureTap({ local, record, tap: "us" });
    expect(await ensure()).toMatchObject({ stream: TAP, outcome: "created" });
    await local.request(`$JS.API.STREAM.DELETE.${TAP}`, Buffer.from(""));
    expect(await ensure()).toMatchObject({ stream: TAP, outcome: "created" });
    expect(await ensure()).toMatchObject({ stream: TAP, outcome: "found" });
  });

  test("the gateway's user hears and reads the tap, and reads the record's head and the keys over the line", async () => {
    const [local, record] = [await as("gateway"), await as("gateway", "eu")];
    const live: string[] = [];
    local.subscribe("live.us.rt.>", ({ subject }) => void live.push(subject));
    await local.flush();
    const access = openBucket(record, BUCKETS.access, { log: silentLog });
    const keys: string[] = [];
    const watching = access.watch({ onEntry: ({ key }) => void keys.push(key) });
    await watching.ready;
    expect(keys).toEqual([expect.stringMatching(/^api-key\./)]);
    await openBucket(world.record, BUCKETS.access, { log: silentLog }).put("later", Buffer.from("{}"));
    await eventually(() => keys.includes("later"));
    watching.stop();
    await world.tell(3);
    await world.inStep("us", await world.connect([layout.region.url]));
    await eventually(() => live.length === 3);
    expect((await readBatch(local, TAP, { seq: 1 })).messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(await streamHead(record, STREAMS.events)).toMatchObject({ lastSeq: 3 });
    expect((await access.get("later"))?.key).toBe("later");
  });
});

/** Verbs that make, change, empty or read a stream, in both domains (the server reads `$JS.us.API` as `$JS.API` before it judges). */
const API = ["$JS.API", "$JS.eu.API"].flatMap((api) =>
  [TAP, STREAMS.events, STREAMS.intents, KV_ACCESS, "MINE"].flatMap((stream) =>
    [
      "STREAM.INFO",
      "STREAM.CREATE",
      "STREAM.UPDATE",
      "STREAM.DELETE",
      "STREAM.PURGE",
      "STREAM.MSG.GET",
      "STREAM.MSG.DELETE",
      "DIRECT.GET",
      "CONSUMER.CREATE",
      "CONSUMER.LIST",
    ].map((verb) => `${api}.${verb}.${stream}`),
  ),
);
const RECORD = [
  "rt.node.-.-.x",
  "live.us.rt.node.-.-.x",
  "live.eu.rt.node.-.-.x",
  `$KV.${BUCKETS.access}.x`,
  `$KV.${BUCKETS.nodes}.x`,
];

const MAY: Readonly<Record<User, readonly string[]>> = {
  gateway: [
    `$JS.API.STREAM.INFO.${TAP}`,
    `$JS.API.DIRECT.GET.${TAP}`,
    `$JS.eu.API.STREAM.INFO.${STREAMS.events}`,
    `$JS.eu.API.STREAM.INFO.${KV_ACCESS}`,
    `$JS.eu.API.DIRECT.GET.${KV_ACCESS}`,
    "live.us.rt.>",
    `$KV.${BUCKETS.access}.>`,
    "_INBOX_gw.>",
  ],
  tap: [
    `$JS.API.STREAM.INFO.${TAP}`,
    `$JS.API.STREAM.CREATE.${TAP}`,
    `$JS.API.STREAM.DELETE.${TAP}`,
    `$JS.eu.API.STREAM.INFO.${STREAMS.events}`,
    "_INBOX_gw.>",
  ],
};

describe.each(USERS)("%s.creds in other hands", (user) => {
  const notGiven = (subjects: readonly string[]) => [...new Set(subjects)].filter((one) => !MAY[user].includes(one));

  test("publishes nowhere else: not into the record, no stream made or deleted, none read", async () => {
    const { nats, refused } = await asThief(user);
    const before = await streams();
    const subjects = notGiven([...API, ...RECORD, ...FOREIGN.publishes]);
    for (const subject of subjects) nats.publish(subject, "{}", { reply: "_INBOX_gw.x" });
    await nats.flush();
    await eventually(() => refused.length >= subjects.length);
    for (const subject of subjects)
      expect([subject, refused.filter((line) => line.includes(`"${subject}"`)).length]).toEqual([subject, 1]);
    expect(refused).toHaveLength(subjects.length);
    expect(await streams()).toEqual(before);
  });

  test("hears nothing else: no node, no other region, no other's answers", async () => {
    const { nats, refused } = await asThief(user);
    const heard: string[] = [];
    const subjects = notGiven([...FOREIGN.subscriptions, "live.eu.rt.>", "live.us.>", "live.us.rt.>"]);
    for (const subject of subjects)
      nats.subscribe(subject, { callback: (error, message) => void (error ?? heard.push(message.subject)) });
    await nats.flush();
    await eventually(() => refused.length >= subjects.length);
    for (const subject of subjects)
      expect([subject, refused.some((line) => line.includes(`"${subject}"`))]).toEqual([subject, true]);
    await world.tell(1);
    await nats.flush();
    expect(heard).toEqual([]);
  });
});

describe("the command", () => {
  const USAGE = /^mint-tap-users <auth folder> <new folder> <tap> \[<domain of the record>\]/;

  test("says what it takes: asked for it, and behind arguments that it does not take", async () => {
    const asked = await mint("--help");
    expect(asked).toEqual({ code: 0, out: expect.stringMatching(USAGE), err: "" });
    for (const args of [[], ["a"], ["a", "b"], ["a", "b", "us", "eu", "more"], ["a", "b", "us", "--domain=eu"]]) {
      const { code, out, err } = await mint(...args);
      expect([args, code, out]).toEqual([args, 2, ""]);
      expect(err).toMatch(USAGE);
    }
  });

  test.each([
    ["a tap whose name is not one token", (auth: string, other: string) => [auth, other, "u.s"], '"u.s" is no safe'],
    ["a domain that is none", (auth: string, other: string) => [auth, other, "us", "e*"], '"e*" is no name'],
    [
      "a folder without the tree",
      (_: string, other: string) => [other, `${other}-2`, "us"],
      "auth-tree.json is missing",
    ],
    ["the services' own folder", (auth: string) => [auth, auth, "us"], "is there already"],
  ])("refuses %s in one line, and makes nothing", async (_, args, reason) => {
    const other = path.join(dataDir, "never-made");
    const gatewayBefore = credsOf("gateway", layout.authDir);
    const { code, out, err } = await mint(...args(layout.authDir, other));
    expect([code, out, err.trim().split("\n")]).toEqual([1, "", [expect.stringContaining(reason)]]);
    expect([existsSync(other), existsSync(`${other}-2`)]).toEqual([false, false]);
    expect(credsOf("gateway", layout.authDir)).toBe(gatewayBefore);
  });
});
