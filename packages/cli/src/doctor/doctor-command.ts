// outcry doctor: looks at a deployment with what it is given, says what is wrong and the line that mends it. Changes nothing.

import { existsSync } from "node:fs";
import path from "node:path";
import type { Command, CommandContext } from "../command.js";
import { CheckFailed } from "../exit-codes.js";
import { fetchKeySet } from "../key-set.js";
import type { Printer } from "../print.js";
import { checkApi } from "./check-api.js";
import { checkCreds, checkFolder, checkSigningKey } from "./check-files.js";
import type { NatsPlace } from "./check-nats.js";
import { checkRuntime } from "./check-runtime.js";
import { type Finding, messageOf, skip } from "./finding.js";

export const doctor: Command = {
  summary: "Check a deployment: versions, durability, clock, ports, keys, streams",
  args: [],
  options: {
    "nats-url": { type: "string", value: "url", help: "NATS servers, by commas; OUTCRY_NATS_URL or NATS_URL" },
    "nats-auth-dir": {
      type: "string",
      value: "folder",
      help: "with service.creds and system.creds; OUTCRY_NATS_AUTH_DIR",
    },
    "nats-creds": { type: "string", value: "file", help: "the service's creds, when there is no such folder" },
    "nats-monitor-url": { type: "string", value: "url", help: "NATS monitoring; OUTCRY_NATS_MONITOR_URL" },
    "nats-ca": { type: "string", value: "file", help: "CA of the NATS servers; OUTCRY_NATS_TLS_CA_FILE" },
    "redis-url": { type: "string", value: "url", help: "Redis; OUTCRY_REDIS_URL or REDIS_URL" },
    "data-dir": { type: "string", value: "folder", help: "the service's data folder: file modes, signing key, creds" },
    creds: { type: "string", multiple: true, value: "file", help: "a node's creds: when do they end? may be repeated" },
    replicas: { type: "string", value: "number", help: "of the streams; OUTCRY_REPLICAS, else 1" },
    region: { type: "string", value: "name", help: "OUTCRY_REGION, else local" },
  },
  examples: [
    "doctor --data-dir .outcry --nats-url nats://127.0.0.1:4222 --redis-url redis://127.0.0.1:6379",
    "doctor --url https://outcry.example --json | jq 'select(.status == \"fail\")'",
  ],
  async run(context) {
    const findings: Finding[] = [];
    for (const check of checksOf(context)) {
      const found = await check();
      for (const finding of found) print(context.print, finding);
      findings.push(...found);
    }
    const counts = countsOf(findings);
    context.print.note(
      `\n${counts.ok} ok, ${counts.warn} to watch, ${counts.fail} to mend, ${counts.skip} not looked at`,
    );
    if (counts.fail > 0) throw new CheckFailed(`${counts.fail} checks failed`);
  },
};

function checksOf(context: CommandContext): (() => Promise<Finding[]> | Finding[])[] {
  const dataDir = context.options.text("data-dir") ?? context.env["OUTCRY_DATA_DIR"];
  return [
    () => checkRuntime(),
    () => checkApi(context),
    () => natsFindings(context, dataDir),
    () => redisFindings(context),
    () => fileFindings(context, dataDir),
    () => context.options.list("creds").map((file) => checkCreds(file)),
  ];
}

/** The client libraries of the servers are loaded only when they are needed. */
async function natsFindings(context: CommandContext, dataDir: string | undefined): Promise<Finding[]> {
  const { checkNats, natsSkipped } = await import("./check-nats.js");
  const place = natsPlace(context, dataDir);
  return place.urls.length === 0 && place.monitorUrl === undefined ? [natsSkipped()] : checkNats(place);
}

function natsPlace({ options, env }: CommandContext, dataDir: string | undefined): NatsPlace {
  const urls = options.text("nats-url") ?? env["OUTCRY_NATS_URL"] ?? env["NATS_URL"] ?? "";
  const inDataDir = dataDir === undefined ? undefined : path.join(dataDir, "nats-auth");
  return {
    urls: urls.split(",").filter((url) => url !== ""),
    monitorUrl: options.text("nats-monitor-url") ?? env["OUTCRY_NATS_MONITOR_URL"],
    authDir:
      options.text("nats-auth-dir") ??
      env["OUTCRY_NATS_AUTH_DIR"] ??
      (inDataDir !== undefined && existsSync(inDataDir) ? inDataDir : undefined),
    credsFile: options.text("nats-creds"),
    caFile: options.text("nats-ca") ?? env["OUTCRY_NATS_TLS_CA_FILE"],
    replicas: options.integer("replicas") ?? Number(env["OUTCRY_REPLICAS"] ?? 1),
    region: options.text("region") ?? env["OUTCRY_REGION"] ?? "local",
  };
}

async function redisFindings({ options, env }: CommandContext): Promise<Finding[]> {
  const { checkRedis, redisSkipped } = await import("./check-redis.js");
  const url = options.text("redis-url") ?? env["OUTCRY_REDIS_URL"] ?? env["REDIS_URL"];
  return url === undefined ? [redisSkipped()] : checkRedis(url);
}

async function fileFindings(context: CommandContext, dataDir: string | undefined): Promise<Finding[]> {
  if (dataDir === undefined) return [];
  const folder = checkFolder(dataDir);
  if (!existsSync(dataDir)) return folder;
  return [...folder, ...(await signingKeyFindings(context, path.join(dataDir, "signing-key.json")))];
}

/** A key set that cannot be read has its own finding, keys.published. */
async function signingKeyFindings(context: CommandContext, file: string): Promise<Finding[]> {
  if (!existsSync(file)) return [];
  try {
    const published = await fetchKeySet(context);
    return checkSigningKey(
      file,
      published.map(({ kid }) => kid),
    );
  } catch (error) {
    return [skip("keys.signing", messageOf(error), "mend keys.published first")];
  }
}

const PAINT = { ok: "green", warn: "yellow", fail: "red", skip: "dim" } as const;

function print(printer: Printer, finding: Finding): void {
  const { check, status, found, wanted, fix } = finding;
  printer.one(finding, [
    `${printer.paint(status.padEnd(4), PAINT[status])}  ${check.padEnd(24)}  ${found}`,
    ...(wanted === undefined ? [] : [`      wanted: ${wanted}`]),
    ...(fix === undefined ? [] : [`      ${status === "skip" ? "to see" : "fix"}: ${fix}`]),
  ]);
}

const countsOf = (findings: readonly Finding[]) => {
  const count = (status: Finding["status"]) => findings.filter((finding) => finding.status === status).length;
  return { ok: count("ok"), warn: count("warn"), fail: count("fail"), skip: count("skip") };
};
