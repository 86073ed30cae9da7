// prom-client behind the table of metrics: names and labels are checked by the compiler. No global registry.

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { type Metric, METRICS } from "./metrics-table.js";

type Table = typeof METRICS;
type NamesOf<Kind extends Metric["kind"]> = {
  [N in keyof Table]: Table[N]["kind"] extends Kind ? N : never;
}[keyof Table];
type LabelsOf<N extends keyof Table> = Record<Table[N]["labels"][number], string>;

export interface Metrics {
  count<N extends NamesOf<"counter">>(name: N, labels: LabelsOf<N>, by?: number): void;
  set<N extends NamesOf<"gauge">>(name: N, labels: LabelsOf<N>, value: number): void;
  observe<N extends NamesOf<"histogram">>(name: N, labels: LabelsOf<N>, seconds: number): void;
  /** Reads gauges at the time of a scrape. A collector that throws leaves its gauges as they were. */
  onScrape(collect: () => void | Promise<void>): void;
  text(): Promise<string>;
  readonly contentType: string;
}

/** `processMetrics` adds prom-client's own: CPU, memory, event loop. */
export function createMetrics({ processMetrics = false }: { processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry();
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();
  const collectors: (() => void | Promise<void>)[] = [];
  for (const [name, { kind, help, labels, buckets }] of Object.entries<Metric>(METRICS)) {
    const shape = { name, help, labelNames: [...labels], registers: [registry] };
    if (kind === "counter") counters.set(name, new Counter(shape));
    else if (kind === "gauge") gauges.set(name, new Gauge(shape));
    else histograms.set(name, new Histogram({ ...shape, ...(buckets ? { buckets: [...buckets] } : {}) }));
  }
  if (processMetrics) collectDefaultMetrics({ register: registry });

  return {
    count: (name, labels, by = 1) => counters.get(name)!.inc(labels, by),
    set: (name, labels, value) => gauges.get(name)!.set(labels, value),
    observe: (name, labels, seconds) => histograms.get(name)!.observe(labels, seconds),
    onScrape: (collect) => void collectors.push(collect),
    async text() {
      await Promise.allSettled(collectors.map(async (collect) => collect()));
      return registry.metrics();
    },
    contentType: registry.contentType,
  };
}
