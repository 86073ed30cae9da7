export { intakeFromContext } from "./from-context.js";
export { NO_NODE_QUOTAS, type NodeQuotas } from "./node-limits.js";
export { type IntakeMetrics, type IntakeOptions, type IntakeService, startIntake } from "./service.js";
