// NATS as the service will find it: version and durability of each server, streams with their settings and how full they are.
// Reads only; loaded when --nats-url or --nats-monitor-url is given.

import { readFileSync } from "node:fs";
import path from "node:path";
import {
  type Backbone,
  checkNatsPromises,
  connectBackbone,
  INBOX_PREFIXES,
  inspectStreams,
  readDurability,
  type StreamReport,
} from "@outcry/backbone";
import { LIMITS, silentLog, systemClock } from "@outcry/protocol";
import { type Finding, fail, messageOf, ok, skip, warn } from "./finding.js";

const FIRST_CONNECT_MS = 3_000;
const FILL_WARN_RATIO = 0.75; // time enough to raise max_bytes before POST answers 503

export interface NatsPlace {
  readonly urls: readonly string[];
  readonly monitorUrl: string | undefined;
  /** Folder with service.creds and system.creds, or a creds file alone. */
  readonly authDir: string | undefined;
  readonly credsFile: string | undefined;
  readonly caFile: string | undefined;
  readonly replicas: number;
  readonly region: string;
}

export async function checkNats(place: NatsPlace): Promise<Finding[]> {
  const service = place.urls.length === 0 ? undefined : await connectAs(place, "service");
  const system = place.urls.length === 0 || place.authDir === undefined ? undefined : await connectAs(place, "system");
  // Settings of a server that nobody can reach are not worth a line each.
  const reachable = place.monitorUrl !== undefined || service?.backbone !== undefined;
  try {
    return [
      ...[service, system].flatMap((link) => (link === undefined ? [] : [link.finding])),
      ...(reachable ? await serversOf(place, system?.backbone) : []),
      ...(service?.backbone === undefined ? [] : await streamsOf(service.backbone, place)),
    ];
  } finally {
    await Promise.all([service?.backbone?.close(), system?.backbone?.close()]);
  }
}

interface Link {
  readonly finding: Finding;
  readonly backbone?: Backbone;
}

async function connectAs(place: NatsPlace, kind: "service" | "system"): Promise<Link> {
  const check = `nats.connect.${kind}`;
  try {
    const file = kind === "service" && place.credsFile !== undefined ? place.credsFile : credsIn(place.authDir, kind);
    const backbone = await connectBackbone({
      servers: place.urls,
      ...(file === undefined ? {} : { credentials: { creds: readFileSync(file, "utf8") } }),
      ...(place.caFile === undefined ? {} : { tls: { caFile: place.caFile } }),
      name: "outcry doctor",
      inboxPrefix: INBOX_PREFIXES[kind],
      log: silentLog,
      clock: systemClock,
      firstConnectMs: FIRST_CONNECT_MS,
    });
    return { backbone, finding: ok(check, `${place.urls.join(", ")}, nats-server ${backbone.serverVersion ?? "?"}`) };
  } catch (error) {
    return {
      finding: fail(check, messageOf(error), { wanted: "a connection", fix: connectFix(messageOf(error), place) }),
    };
  }
}

const credsIn = (folder: string | undefined, kind: string): string | undefined =>
  folder === undefined ? undefined : path.join(folder, `${kind}.creds`);

/** What the library's words mean for whoever set this up. */
function connectFix(message: string, { urls }: NatsPlace): string {
  if (/authorization|authentication/i.test(message))
    return "these credentials are not of this server's operator: give the folder the service uses, --nats-auth-dir";
  if (/ENOENT|EACCES/.test(message)) return "name the creds: --nats-auth-dir <folder> or --nats-creds <file>";
  if (/certificate|tls|ssl/i.test(message)) return "name the CA of the servers: --nats-ca <file>";
  if (/ENOTFOUND|EAI_AGAIN/.test(message)) return `no such host: correct --nats-url (${urls.join(", ")})`;
  return `nothing listens there: start nats-server, or correct --nats-url (${urls.join(", ")})`;
}

async function serversOf(place: NatsPlace, system: Backbone | undefined): Promise<Finding[]> {
  const servers = await readDurability({
    ...(system === undefined ? {} : { systemBackbone: system }),
    ...(place.monitorUrl === undefined ? {} : { monitoringUrl: place.monitorUrl }),
  });
  const unkept = checkNatsPromises(servers, { payloadBytesMin: LIMITS.recordBytesMax });
  const broken = unkept.map(({ setting, server, found, wanted, fixLine, promise }) =>
    fail(`nats.${setting.split(".").at(-1)!}`, `${found} on ${server}: ${promise}`, { wanted, fix: fixLine }),
  );
  const brokenServers = new Set(unkept.map(({ server }) => server));
  const good = servers.filter(({ server }) => !brokenServers.has(server));
  return [
    ...broken,
    ...good.map(({ server, version }) => ok("nats.server", `${server}: ${version}, sync_interval always`)),
  ];
}

async function streamsOf(backbone: Backbone, { replicas, region }: NatsPlace): Promise<Finding[]> {
  try {
    return (await inspectStreams(backbone, { replicas, region })).flatMap(streamFindings);
  } catch (error) {
    const fix = "is JetStream on (jetstream { store_dir: … }), and are these the service's credentials?";
    return [fail("nats.streams", messageOf(error), { wanted: "readable streams", fix })];
  }
}

function streamFindings({ name, subjects, found, wrong, bytes, bytesMax }: StreamReport): Finding[] {
  const check = `nats.stream.${name}`;
  if (!found) {
    const fix = "start the broadcast service once: it creates what is absent";
    return [fail(check, `no stream covers ${subjects.join(", ")}`, { wanted: name, fix })];
  }
  if (wrong.length > 0)
    return wrong.map((what) =>
      fail(check, what, {
        wanted: "as the service creates it",
        fix: `nats stream edit ${name}, or back it up and let the service create it anew`,
      }),
    );
  const ratio = bytesMax > 0 ? bytes / bytesMax : 0;
  const filled = `${(100 * ratio).toFixed(1)} % of ${Math.round(bytesMax / 1024 ** 2)} MiB`;
  const advice = {
    wanted: `below ${100 * LIMITS.recordFullRatio} %, where POST answers record_full`,
    fix: `nats stream edit ${name} --max-bytes …`,
  };
  if (ratio >= LIMITS.recordFullRatio) return [fail(check, filled, advice)];
  return [ratio >= FILL_WARN_RATIO ? warn(check, filled, advice) : ok(check, filled)];
}

export const natsSkipped = (): Finding =>
  skip("nats", "not looked at", "give --nats-url with --nats-auth-dir or --data-dir, or --nats-monitor-url");
