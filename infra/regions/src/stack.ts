// A whole market over two regions: the services at home in `eu`, a gateway in each region, the keeper of the tap in `us`.

import path from "node:path";
import { type FoundServers, type RunningNats, startRedis } from "@outcry/servers";
import { type Layout, type LayoutOptions, startClusters, startLeafRegions } from "./layouts.js";
import { type ServiceName, ServiceProcess } from "./service-process.js";

export type LayoutName = "leaf" | "clusters";

export interface RegionStackOptions {
  readonly layout: LayoutName;
  readonly dataDir: string;
  readonly servers: FoundServers;
  readonly progress: (line: string) => void;
}

export interface RegionStack {
  /** The API, at home. */
  readonly api: ServiceProcess;
  readonly gateways: Readonly<Record<"eu" | "us", ServiceProcess>>;
  readonly nats: Readonly<Record<string, RunningNats>>;
  readonly adminKey: string;
  stop(): Promise<void>;
}

interface Places {
  readonly layout: Layout;
  readonly nats: Readonly<Record<string, RunningNats>>;
  /** NATS servers by region. */
  readonly urls: Readonly<Record<"eu" | "us", string>>;
  /** Of the record, as `us` asks for it. */
  readonly domain: string | undefined;
}

export async function startRegionStack(options: RegionStackOptions): Promise<RegionStack> {
  const { dataDir, servers, progress } = options;
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step();
  };
  try {
    const places = await LAYOUTS[options.layout]({ dataDir, binary: servers.natsServer.path });
    undo.push(() => places.layout.stop());
    progress(`nats-server: ${Object.keys(places.nats).join(", ")}`);
    const redis = await startRedis({ binary: servers.redisServer.path, dataDir: path.join(dataDir, "redis") });
    undo.push(() => redis.stop());
    const begin = async (name: ServiceName, env: Readonly<Record<string, string>>): Promise<ServiceProcess> => {
      const service = await ServiceProcess.start(name, { ...env, OUTCRY_DATA_DIR: path.join(dataDir, "services") });
      undo.push(() => service.stop());
      return service;
    };
    return { ...(await startServices(places, redis.url, begin, progress)), nats: places.nats, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const LAYOUTS: Readonly<Record<LayoutName, (options: LayoutOptions) => Promise<Places>>> = {
  async leaf(options) {
    const layout = await startLeafRegions(options);
    const { home, region } = layout;
    const nats = { "eu-1": home, "us-1": region };
    return { layout, nats, urls: { eu: home.url, us: region.url }, domain: "eu" };
  },
  async clusters(options) {
    const layout = await startClusters(options, { eu: 2, us: 1 });
    const nats = layout.servers;
    const urls = { eu: `${nats["eu-1"]!.url},${nats["eu-2"]!.url}`, us: nats["us-1"]!.url };
    return { layout, nats, urls, domain: undefined };
  },
};

type Begin = (name: ServiceName, env: Readonly<Record<string, string>>) => Promise<ServiceProcess>;

async function startServices(
  { layout, urls, domain }: Places,
  redisUrl: string,
  begin: Begin,
  progress: (line: string) => void,
): Promise<Pick<RegionStack, "api" | "gateways" | "adminKey">> {
  const common = { OUTCRY_CURSOR_SECRET: "the same in every region of this demonstration" };
  const home = { ...common, OUTCRY_NATS_URL: urls.eu, OUTCRY_NATS_AUTH_DIR: layout.authDir, OUTCRY_REGION: "eu" };
  const away = {
    ...common,
    OUTCRY_NATS_URL: urls.us,
    OUTCRY_NATS_AUTH_DIR: layout.tapAuthDir("us", domain),
    OUTCRY_EVENTS_TAP: "us",
    ...(domain === undefined ? {} : { OUTCRY_RECORD_DOMAIN: domain }),
  };
  const api = await begin("broadcast", { ...home, OUTCRY_REDIS_URL: redisUrl });
  progress("broadcast at home, in eu");
  await begin("intake", { ...home, OUTCRY_REDIS_URL: redisUrl });
  await begin("tap", away);
  progress("the tap of us: EVENTS_us");
  // In one domain a tap may answer reads of EVENTS: then the gateways at home read one, too.
  const near = { ...home, OUTCRY_NATS_AUTH_DIR: layout.tapAuthDir("eu-tap"), OUTCRY_EVENTS_TAP: "eu-tap" };
  if (domain === undefined) await begin("tap", near);
  const gateways = {
    eu: await begin("gateway", domain === undefined ? near : home),
    us: await begin("gateway", away),
  };
  progress("gateways in eu and us");
  return { api, gateways, adminKey: /Admin key [^:]*: (\S+)/.exec(api.output.join("\n"))?.[1] ?? "" };
}
