export { fixedKey, keyFolder } from "./access/key-store.js";
export { broadcastFromContext, type StartedBroadcast } from "./from-context.js";
export type { PipelineMetrics } from "./metrics.js";
export { type BroadcastOptions, type BroadcastService, startBroadcast } from "./service.js";
export type { RouteTable } from "./http/route-table.js";
export { NO_QUOTAS, type Quotas } from "./quotas.js";
