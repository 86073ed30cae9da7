// The intake service as its configuration says, with metrics, readiness and an ordered stop.

import { platformConfig } from "@outcry/delivery";
import type { ServiceContext } from "@outcry/runtime";
import { type IntakeService, startIntake } from "./service.js";

export async function intakeFromContext(context: ServiceContext): Promise<IntakeService> {
  const { config, lifecycle, metrics } = context;
  const service = await startIntake({
    ...platformConfig("intake", context),
    ackWindowMs: config.ackWindowMs,
    quotas: {
      quotesPerMinute: config.limitQuotes,
      quoteBytesPerMinute: config.limitQuoteBytes,
      quotesSharePercent: config.limitQuotesShare,
    },
    metrics: {
      answered: (kind, code) => metrics.count("outcry_quotes_total", { result: code ?? kind }),
      judged: (kind, code) => metrics.count("outcry_quotes_total", { result: code ?? kind }),
    },
  });
  for (const name of Object.keys(service.checks())) lifecycle.addCheck(`intake.${name}`, () => service.checks()[name]!);
  lifecycle.onStop("intake", "intake", () => service.stop(), { timeoutMs: config.shutdownGraceMs });
  return service;
}
