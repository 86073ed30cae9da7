// /livez, /readyz, /metrics as plain handlers; a service mounts them on its HTTP framework.

import type { Lifecycle } from "./lifecycle.js";
import type { Metrics } from "./metrics.js";

export interface OpsResponse {
  status: number;
  contentType: string;
  body: string;
}

export interface OpsRoute {
  path: "/livez" | "/readyz" | "/metrics";
  handler: () => Promise<OpsResponse>;
}

const JSON_TYPE = "application/json; charset=utf-8";

export function opsRoutes({ lifecycle, metrics }: { lifecycle: Lifecycle; metrics: Metrics }): OpsRoute[] {
  return [
    { path: "/livez", handler: async () => ({ status: 200, contentType: JSON_TYPE, body: '{"status":"alive"}' }) },
    {
      path: "/readyz",
      async handler() {
        const { ready, checks } = await lifecycle.readiness();
        const body = JSON.stringify({ status: ready ? "ready" : "not_ready", checks });
        return { status: ready ? 200 : 503, contentType: JSON_TYPE, body };
      },
    },
    {
      path: "/metrics",
      handler: async () => ({ status: 200, contentType: metrics.contentType, body: await metrics.text() }),
    },
  ];
}
